"""Gives a Trainer rounds of picked records: IterIT, for one line in a training script.

It works with ``transformers.Trainer`` and TRL's ``SFTTrainer``, which keep their training loop, and
with it LoRA, gradient accumulation, mixed precision and several processes. torch and transformers are
imported when a trainer is given rounds, not with this file.
"""

import hashlib
import warnings
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from debias.errors import ExcludedRowsWarning, ParameterError, param
from debias.settings import check_positive_integer
from iterit.rounds.examples import excerpt_of
from iterit.rounds.round_settings import RoundSettings
from iterit.rounds.round_state import answer_tokens, fall_of_losses, first_state, n_picks_of
from iterit.row_numbers import RowArray, row_numbers
from iterit.training.saving.run_facts import records_digest, shortened_argument, training_facts
from iterit.training.trainer_inputs import RecordsLike, engine_of, records_of
from iterit.training.trainer_parts import tokenizer_of

if TYPE_CHECKING:
    from transformers import Trainer

    from debias.inference.engine import Engine
    from iterit.ngrams.ngram_counts import NgramCounts
    from iterit.templates.encoding import EncodedRecords
    from iterit.templates.template import Template
    from iterit.training.driver import RoundDriver
    from iterit.training.packing.pack_plan import PackPlan
    from iterit.training.proxy.proxy_scores import ProxyScorer
    from iterit.training.queries.query_signals import QuerySignals

Signals = dict[str, Any]
"""What a selection is given beside scores and n-grams."""
QUERY_MODES = ("influence", "representation")
"""Modes that pick by a query."""
ROUND_0_OF_LEARNABLE: dict[str, object] = {"mode": "length_neutral", "diversity": None}
"""Settings of the first round, in which no record has two losses."""
LATER_SETTINGS = ("match_length", "diversity", "low_quantile", "high_quantile", "floors")
"""Settings that earlier releases do not know: a checkpoint of theirs resumes where none of them is used."""


class IterIT:
    """Rounds of scoring, picking and training, put into a trainer by :meth:`attach`.

    An epoch of the trainer is a round: it scores records with the current model, picks the share
    ``ratio`` of them, and trains on those. Give the trainer ``num_train_epochs=3`` for three rounds.

    Parameters
    ----------
    records : Records, str, Path, list of paths, or iterable of dict
        Records to pick from; paths are read by :func:`iterit.records.instruction_records.read_records`.
        Rows that are not usable, and fields that are not read, raise an ExcludedRowsWarning.
    ratio : float, default=0.05
        Share of the records that a round trains.
    rows : sequence of int, optional
        Records that take part; all by default.
    template : {"auto", "chat", "alpaca"}, default="auto"
        Template in which records are scored and trained.
    engine : Engine, optional
        Scores instead of the trainer's own model, and takes its LoRA adapter each round: a
        ``VLLMEngine(..., enable_lora=True)``.
    score_dtype : {"auto", "bfloat16", "float16", "float32"}, default="auto"
        Number format in which the trainer's own model scores; "auto" is the model itself, another one
        takes a copy each round: faster where training is in float32, or an adapter is trained.
    max_tokens : int, optional
        Longer records are cut. By default the ``max_length`` of an SFTTrainer, and never more than the
        model's context. An ExcludedRowsWarning counts the answers that lose their ends.
    epochs_per_round : int, default=1
    cache : path, optional
        Folder in which scores are kept, so that a run that is killed while it scores loses none.
    embeddings, lengths : array-like, optional
        For the modes that need them, see :func:`iterit.selection.selection.select`.
    show_progress : bool, default=True
    **settings
        `mode`, `decay`, `min_ifd`, `max_ifd`, `tokens`, `quotas`, `floors`, `seed`, `match_length`,
        `diversity`, `low_quantile`, `high_quantile`, `window`, `update_ratio`, `above_share`,
        `stale_share`, `confidence`, `missed_share` and `check_share`: see
        :class:`iterit.rounds.round_settings.RoundSettings`. `proxy_engine` is an engine with a small model
        that scores round 0, once its rank correlation with the trainer's model is printed. `query`, given
        like `records`, is some tens of examples of what the model is to learn, for the modes "influence"
        and "representation": each round asks the model as it is then, in float32. The window
        "published" also appends the tokenizer's end-of-text token to each answer before its n-grams are
        counted, as the published code does.

    Attributes
    ----------
    rounds : RoundDriver or None
        The run, once attached: ``rounds.state.picks``, ``rounds.state.scores``, ``rounds.history``.
    refused : dict of int to str
        Records that the template cannot take, once attached, with the reason: they take no part.

    Raises
    ------
    ParameterError
        A value is not allowed, or a name is unknown.

    Examples
    --------
    >>> trainer = Trainer(model, args, processing_class=tokenizer)  # doctest: +SKIP
    >>> IterIT("alpaca.jsonl", ratio=0.05).attach(trainer)  # doctest: +SKIP
    >>> trainer.train()  # doctest: +SKIP
    >>> IterIT([{"question": "1 + 1?", "answer": "2"}], ratio=1.0, update_ration=2)
    Traceback (most recent call last):
    debias.errors.ParameterError: there is no parameter 'update_ration'; did you mean 'update_ratio'?
    """

    def __init__(
        self,
        records: RecordsLike,
        ratio: float = 0.05,
        *,
        rows: ArrayLike | None = None,
        template: str = "auto",
        engine: "Engine | None" = None,
        score_dtype: str = "auto",
        max_tokens: int | None = None,
        epochs_per_round: int = 1,
        cache: str | Path | None = None,
        embeddings: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        show_progress: bool = True,
        **settings: object,
    ) -> None:
        check_positive_integer("epochs_per_round", epochs_per_round)
        check_positive_integer("max_tokens", max_tokens, or_none=True)
        self.records = records_of(records)
        query = settings.pop("query", None)
        self.query = None if query is None else records_of(query, "query")
        n_rows = len(self.records)
        self.rows = np.arange(n_rows) if rows is None else np.unique(row_numbers(rows, n_rows))
        self.proxy_engine = engine_of(settings.pop("proxy_engine", None))
        self.settings = RoundSettings.of(n_picks=n_picks_of(ratio, len(self.rows)), **settings)
        self.ratio, self.template, self.max_tokens = ratio, template, max_tokens
        self.engine, self.score_dtype = engine, score_dtype
        self.epochs_per_round, self.cache, self.show_progress = epochs_per_round, cache, show_progress
        given = {"embeddings": embeddings, "lengths": lengths}
        self._given = {name: value for name, value in given.items() if value is not None}
        self._check_limits()
        self.rounds: RoundDriver | None = None
        self.refused: dict[int, str] = {}
        self._counts: NgramCounts | None = None
        self._appended = ""

    def attach(self, trainer: "Trainer") -> "Trainer":
        """Give a trainer rounds, before it trains.

        Its training data are replaced by the records, encoded with the template that scores them; its
        class becomes a subclass that adds the sampler. Its collator goes on joining other examples, such
        as those of an evaluation.

        Parameters
        ----------
        trainer : transformers.Trainer or trl.SFTTrainer

        Returns
        -------
        The trainer.

        Raises
        ------
        ParameterError
            The trainer has a setting with which rounds are impossible: the message names it.
        """
        from iterit.templates.named_templates import template_for
        from iterit.templates.template import check_some_taken, cuts_told, refusals_told
        from iterit.training.driver import RoundDriver
        from iterit.training.own_trainers.trainer_checks import check_steps, check_trainer, limit_of
        from iterit.training.own_trainers.trainer_data import set_rows
        from iterit.training.rescoring import Rescorer, refuse_scattered
        from iterit.training.trainer_callback import install

        check_trainer(trainer, self.epochs_per_round)
        if self.engine is None or self.query is not None:
            refuse_scattered(trainer)
        template = template_for(tokenizer_of(trainer), self.template)
        limit = limit_of(trainer, self.max_tokens)
        encoded = template.encode_all(self.records, max_tokens=limit)
        self.refused = dict(encoded.refused)
        check_some_taken(self.refused, len(self.records))
        if self.refused:
            warnings.warn(refusals_told(self.refused), ExcludedRowsWarning, stacklevel=2)
        taken = np.setdiff1d(self.rows, list(self.refused))
        if cuts := cuts_told(encoded, taken, limit):
            warnings.warn(cuts, ExcludedRowsWarning, stacklevel=2)

        def score_rows(engine: "Engine", rows: RowArray, step: int) -> pd.DataFrame:
            from iterit.scoring.complexity import score_complexity

            return score_complexity(
                self.records, engine, template=template, rows=rows, cache=self.cache, step=step,
                max_tokens=limit, encoded=encoded, show_progress=self.show_progress,
            )  # fmt: skip

        packing = self._packing(trainer, encoded.lengths[taken], limit)
        n_items = self.settings.n_picks if packing is None else packing.n_packs
        check_steps(trainer, n_items, self.epochs_per_round)
        batch_check = set_rows(trainer, encoded, packed=packing is not None)
        self.rounds = RoundDriver(
            encoded=encoded,
            settings=self.settings,
            rescorer=Rescorer(score_rows, encoded.lengths, self.engine, self.score_dtype),
            pick=self._pick,
            state=first_state(len(self.records), taken),
            identity=self._identity(template, limit),
            facts=self._facts(trainer, n_items),
            records=self._described(encoded),
            epochs_per_round=self.epochs_per_round,
            proxy=self._proxy(limit, encoded.lengths),
            packing=packing,
            excerpts=self._excerpts,
            score_left=lambda rows: self._score_left(rows),
            signals=self._signals(encoded, template, limit),
        )
        if self.rounds.proxy is not None:
            self.rounds.identity["proxy"] = self.rounds.proxy.fingerprint
        if self.settings.window == "published":
            self._appended = str(tokenizer_of(trainer).eos_token or "")
        install(trainer, self.rounds, batch_check)
        return trainer

    def _packing(self, trainer: "Trainer", lengths: RowArray, limit: int | None) -> "PackPlan | None":
        """Plan the packs of a trainer that packs."""
        from iterit.training.packing.pack_plan import plan_packs

        if not getattr(trainer.args, "packing", False):
            return None
        return plan_packs(lengths, self.settings.n_picks, limit or int(lengths.max()))

    def _proxy(self, limit: int | None, lengths: RowArray) -> "ProxyScorer | None":
        """Return what scores round 0 with the proxy, in the template of its own tokenizer."""
        if self.proxy_engine is None:
            return None
        from iterit.scoring.complexity import score_complexity
        from iterit.scoring.score_run import template_of
        from iterit.templates.named_templates import template_for
        from iterit.training.proxy.proxy_scores import ProxyScorer

        tokenizer = getattr(self.proxy_engine, "tokenizer", None)
        if tokenizer is None:
            template = template_of(self.proxy_engine)
        else:
            template = template_for(tokenizer, self.template)

        def score_rows(engine: "Engine", rows: RowArray) -> pd.DataFrame:
            return score_complexity(
                self.records, engine, template=template, rows=rows, cache=self.cache, max_tokens=limit,
                show_progress=self.show_progress,
            )  # fmt: skip

        return ProxyScorer(self.proxy_engine, score_rows, lengths)

    def _signals(
        self, encoded: "EncodedRecords", template: "Template", limit: int | None
    ) -> "QuerySignals | None":
        """Return what asks the model about the query in each round."""
        if self.query is None:
            return None
        from iterit.training.queries.query_signals import QuerySignals

        return QuerySignals(
            self.settings.mode, self.records, self.query, encoded, template, limit, self.settings.seed,
            self.show_progress,
        )  # fmt: skip

    def _pick(
        self, candidates: RowArray, newest: pd.DataFrame, number: int, signals: Signals | None = None
    ) -> pd.DataFrame:
        """Pick from candidates; n-grams are counted once, when they are first needed."""
        from iterit.ngrams.ngram_counts import count_ngrams
        from iterit.selection.orders.left_out import scores_of_left_out
        from iterit.selection.selection import select
        from iterit.selection.selection_settings import SelectionSettings

        if self._counts is None:
            self._counts = count_ngrams(
                self.records.responses, tokens=self.settings.tokens, end_of_text=self._appended
            )
        settings: dict[str, Any] = dict(self.settings.selection)
        given = self._given | (signals or {})
        if self.settings.mode == "banded":
            settings |= {"low_quantile": 0.0, "high_quantile": 1.0}  # the candidates are those of the band
        elif self.settings.mode == "learnable":
            assert self.rounds is not None
            drop = fall_of_losses(self.rounds.state.newest(), newest, number)
            if number == 0:
                settings |= ROUND_0_OF_LEARNABLE
            else:
                given["values"] = drop
        if self.settings.match_length:
            given.setdefault("lengths", answer_tokens(newest))
        n_picks = self.settings.n_picks
        selection = select(
            newest["ifd"].to_numpy(),
            self._counts,
            n_picks if self.settings.floors or self.settings.quotas else min(n_picks, len(candidates)),
            candidates=candidates,
            sources=self.records.sources,
            round=number,
            **given,
            **settings,
        )
        self._score_left = partial(
            scores_of_left_out, how=SelectionSettings.of(**settings), counts=self._counts,
            candidates=candidates, picked=selection.rows, ifd=newest["ifd"],
            values=given.get("values", np.full(len(newest), np.nan) if "similarities" in given else None),
        )  # fmt: skip
        selection.table.attrs["n_compromises"] = sum(selection.compromises.values())
        return selection.table

    def _check_limits(self) -> None:
        """Refuse, before anything is scored, what no round could pick by."""
        from iterit.selection.modes import needs_of
        from iterit.selection.selection_inputs import check_room, check_sources

        needs = needs_of(self.settings.how)
        if "embeddings" in needs and "embeddings" not in self._given:
            problem = f"the mode {self.settings.mode!r} compares records by embeddings, which are missing"
            raise ParameterError(problem, parameter="embeddings")
        asks = self.settings.mode in QUERY_MODES
        if asks and self.query is None:
            raise ParameterError(
                f"{param('mode', self.settings.mode)} picks by examples of what the model is to learn",
                parameter="query",
                received=None,
                fix=f"pass some tens of them as {param('query')}",
            )
        if self.query is not None and not asks:
            modes = " and ".join(param("mode", mode) for mode in QUERY_MODES)
            problem = f"{param('query')} is for {modes} only"
            raise ParameterError(problem, parameter="query", received=self.query, fix="omit it")
        if (asks or self.settings.mode == "learnable") and self.proxy_engine is not None:
            raise ParameterError(
                f"the mode {self.settings.mode!r} needs the model that is trained; a proxy cannot replace it",
                parameter="proxy_engine",
                received=self.proxy_engine,
                fix="omit it, or use another mode",
            )
        check_sources(self.settings, self.records.sources, self.settings.n_picks)
        if self.settings.quotas:
            taking_part = [self.records.sources[row] for row in self.rows.tolist()]
            check_room(self.settings, taking_part, self.settings.n_picks)

    def _identity(self, template: "Template", limit: int | None) -> dict[str, object]:
        """Return what decides the picks, for checkpoints; later settings only where they are used."""
        later = {one.name: one.default for one in fields(RoundSettings) if one.name in LATER_SETTINGS}
        bounds = ("confidence", "missed_share", "check_share")  # earlier checkpoints know none
        unused = bounds if self.settings.window != "bounded" else ()
        settings = {
            name: value
            for name, value in vars(self.settings).items()
            if name not in unused and (name not in later or value != later[name])
        }
        for name in {"quotas", "floors"} & set(settings):
            limits = settings[name]
            settings[name] = None if limits is None else {str(one): most for one, most in limits.items()}
        return {
            **settings,
            "selection": {name: shortened_argument(value) for name, value in self._given.items()},
            "epochs_per_round": self.epochs_per_round,
            "records": records_digest(self.records),
            "rows": hashlib.sha256(self.rows.tobytes()).hexdigest()[:16],
            "template": template.fingerprint,
            "max_tokens": limit,
            "score_dtype": self.score_dtype,
            "scored_by": "trainer" if self.engine is None else type(self.engine).__name__,
            **({} if self.query is None else {"query": records_digest(self.query)}),
        }

    def _described(self, encoded: "EncodedRecords") -> pd.DataFrame:
        """Return words, tokens and source of every record, for reports."""
        words = [len(text.split()) for text in self.records.responses]
        return pd.DataFrame({"words": words, "tokens": encoded.lengths, "source": self.records.sources})

    def _excerpts(self, rows: RowArray) -> pd.DataFrame:
        """Return the beginnings of question and answer of some records, for reports."""
        questions = [
            " ".join(m.content for m in self.records[row].messages if m.role == "user")
            for row in rows.tolist()
        ]
        answers = [self.records.responses[row] for row in rows.tolist()]
        return pd.DataFrame({"question": map(excerpt_of, questions), "answer": map(excerpt_of, answers)})

    def _facts(self, trainer: "Trainer", n_items: int) -> dict[str, object]:
        """Return further facts, for reports, and to say what has changed where a run resumes."""
        n_refused = sum(self.records.refused_counts.values()) + len(self.refused)
        known = {"ratio": self.ratio, "n_records": len(self.records), "n_refused": n_refused}
        return known | training_facts(trainer, n_items)
