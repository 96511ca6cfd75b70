"""Takes a training run from round to round: scores, picks, measures, and holds what a checkpoint keeps.

A trainer calls it when an epoch begins, with the loss, and when a checkpoint is written; it returns
the rows to train.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from iterit.rounds.examples import examples_of, with_left_scores
from iterit.rounds.round import RowScorer, run_round, training_order
from iterit.rounds.round_settings import RoundSettings
from iterit.rounds.round_state import RoundState, first_state
from iterit.row_numbers import RowArray
from iterit.training.distributed import in_first
from iterit.training.rescoring import Rescorer
from iterit.training.saving.checkpoints import (
    History,
    RoundsCheckpoint,
    read_checkpoint,
)
from iterit.training.saving.same_settings import check_same_run, check_same_training
from iterit.training.saving.whole_checkpoints import trained_steps
from iterit.training.trainer_parts import step_of

if TYPE_CHECKING:
    from transformers import Trainer

    from iterit.templates.encoding import EncodedRecords
    from iterit.training.packing.pack_plan import PackPlan
    from iterit.training.proxy.proxy_scores import ProxyScorer
    from iterit.training.queries.query_signals import QuerySignals


@dataclass
class RoundDriver:
    """A run of rounds.

    Parameters
    ----------
    encoded : EncodedRecords
    settings : RoundSettings
    rescorer : Rescorer
    pick : callable
        Picks from candidates, in the first process; see :data:`iterit.rounds.round.RowPicker`. What
        `signals` returns comes last.
    state : RoundState
    identity : dict
        Settings that decide the picks, JSON-able; a checkpoint with others is refused.
    facts : dict
        Further facts for reports.
    records : DataFrame
        Words, tokens and source of every row, for reports.
    epochs_per_round : int, default=1
    proxy : ProxyScorer, optional
        Scores round 0.
    packing : PackPlan, optional
        How picks are packed, where the trainer packs.
    excerpts : callable, optional
        Returns the beginnings of question and answer of some rows, for the examples of reports.
    comparison : callable, optional
        Compares the model that scores with another one, when a round begins: given the trainer, the rows that
        take part and the settings, it returns facts for the history.
    score_left : callable, optional
        Returns diversity and score of rows that were left out, in the first process, for these examples.
    signals : QuerySignals, optional
        Asks the model about the candidates and a query, before they are picked from.

    Attributes
    ----------
    history : list of dict
        One entry per round begun: its number, counts, seconds of each part, tokens and losses.
    examples : DataFrame
        Picks of each round, and rows that were left out; see :func:`iterit.rounds.examples.examples_of`.
    """

    encoded: "EncodedRecords"
    settings: RoundSettings
    rescorer: Rescorer
    pick: Callable[..., pd.DataFrame]
    state: RoundState
    identity: dict[str, object] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)
    records: pd.DataFrame = field(default_factory=pd.DataFrame)
    epochs_per_round: int = 1
    proxy: "ProxyScorer | None" = None
    packing: "PackPlan | None" = None
    excerpts: Callable[[RowArray], pd.DataFrame] | None = None
    comparison: "Callable[[Trainer, RowArray, RoundSettings], dict[str, float]] | None" = None
    score_left: Callable[[RowArray], pd.DataFrame] | None = None
    signals: "QuerySignals | None" = None
    history: History = field(default_factory=list)
    examples: pd.DataFrame = field(default_factory=pd.DataFrame)
    _training_since: float | None = None
    _logged_step: int = 0

    def begin(self) -> None:
        """Begin with nothing scored, also after an earlier training."""
        first = first_state(self.state.n_rows, self.state.rows)
        self.state = replace(first, by_proxy=self.proxy is not None)
        self.history, self._logged_step, self._training_since = [], 0, None
        self.examples = pd.DataFrame()

    def check_resumed(self, folder: str | Path, max_steps: int) -> None:
        """Refuse a checkpoint that this run cannot resume from; say what has changed.

        Parameters
        ----------
        folder : str or Path
            The Trainer's checkpoint.
        max_steps : int
            Steps that the run is to have in the end.

        Raises
        ------
        ResumeError
            It has no rounds, is damaged, or was written with other settings.
        """
        kept = read_checkpoint(folder)
        check_same_run(kept.settings, self.identity, folder)
        check_same_training(kept.facts, self.facts, folder, trained_steps(folder) >= max_steps)

    def resume(self, folder: str | Path, step: int) -> None:
        """Resume from a checkpoint that was checked.

        Parameters
        ----------
        folder : str or Path
            The Trainer's checkpoint.
        step : int
            The step at which it was written.
        """
        kept = read_checkpoint(folder)
        self.state, self.history, self.examples = kept.state, kept.history, kept.examples
        self.facts |= {name: value for name, value in kept.facts.items() if name.startswith("proxy")}
        self._logged_step = step

    @property
    def n_items(self) -> int:
        """Rows, or packs of rows, that an epoch trains."""
        return self.settings.n_picks if self.packing is None else self.packing.n_packs

    def rows_for_epoch(
        self, trainer: "Trainer", epoch: int, rows_per_step: int
    ) -> RowArray | list[tuple[int, ...]]:
        """Return the rows to train in an epoch, in their order; the first epoch of a round scores and picks.

        All processes call it.

        Parameters
        ----------
        trainer : transformers.Trainer
        epoch : int
            The first is 0.
        rows_per_step : int
            Rows of an optimiser step, in all processes.

        Returns
        -------
        int64 array, shape (n_picks,), or a list of packs
        """
        number = epoch // self.epochs_per_round
        if number >= self.state.round:
            self._begin_round(trainer)
        self._training_since = time.perf_counter()
        picked, lengths = self.state.rows_of(number), self.encoded.lengths
        if self.packing is not None:
            return self.packing.packs(picked, lengths, self.settings.seed, epoch)
        return training_order(picked, self.settings.seed, epoch, lengths, rows_per_step)

    def _begin_round(self, trainer: "Trainer") -> None:
        """Score and pick."""
        compared = {} if self.comparison is None else self.comparison(trainer, self.state.rows, self.settings)
        spent, begun = self.rescorer.spent, time.perf_counter()
        seconds_before, tokens_before = spent.seconds, spent.tokens

        def pick_once(candidates: RowArray, newest: pd.DataFrame, number: int) -> pd.DataFrame:
            asked = [] if self.signals is None else [self.signals(trainer, candidates, spent)]
            return in_first(lambda: self.pick(candidates, newest, number, *asked))

        number = self.state.round
        is_limited = self.settings.floors or self.settings.quotas
        sources = self.records["source"].to_numpy(dtype=object) if is_limited else None
        self.state, counts = run_round(self.state, self.settings, self._scorer(trainer), pick_once, sources)
        scoring = spent.seconds - seconds_before
        tokens = int(self.encoded.lengths[self.state.rows_of(number)].sum())
        self.history.append(
            {
                "round": number,
                "step": step_of(trainer),
                **counts,
                **compared,
                "scored_tokens": spent.tokens - tokens_before,
                "trained_tokens": tokens * self.epochs_per_round,
                "seconds_scoring": scoring,
                "seconds_selecting": time.perf_counter() - begun - scoring,
                "seconds_training": 0.0,
                "loss_sum": 0.0,
                "loss_steps": 0,
            }
        )

        if self.excerpts is not None and len(self.records):
            shown = examples_of(self.state, number, self.records["words"])
            if (score := self.score_left) is not None:
                shown = with_left_scores(shown, lambda rows: in_first(lambda: score(rows)))
            shown = shown.join(self.excerpts(shown["row"].to_numpy()))
            self.examples = pd.concat([self.examples, shown], ignore_index=True)

    def _scorer(self, trainer: "Trainer") -> RowScorer:
        """Return what scores the round that begins: the trainer's model, or the proxy, once both agree."""

        def by_model(rows: RowArray) -> pd.DataFrame:
            return self.rescorer(trainer, rows)

        proxy = self.proxy
        if proxy is None or self.state.round > 0:
            return by_model
        _, facts = proxy.compare(by_model, self.state.rows, self.settings.seed)
        self.facts |= facts

        def by_proxy(rows: RowArray) -> pd.DataFrame:
            with self.rescorer.spent.measured():
                return proxy.of_round(rows)

        return by_proxy

    def add_loss(self, loss: float, step: int) -> None:
        """Add a mean loss of the steps since the last one to its round."""
        if self.history and step > self._logged_step:
            self.history[-1]["loss_sum"] += float(loss) * (step - self._logged_step)
            self.history[-1]["loss_steps"] += step - self._logged_step
        self._logged_step = step

    def add_training_time(self) -> None:
        """Add the time since training began or was last measured to its round."""
        now = time.perf_counter()
        if self.history and self._training_since is not None:
            self.history[-1]["seconds_training"] += now - self._training_since
        self._training_since = now

    def checkpoint(self) -> RoundsCheckpoint:
        """Return what a checkpoint keeps of the run."""
        self.add_training_time()
        return RoundsCheckpoint(
            self.state, self.history, self.identity, self.facts, self.records, self.examples
        )
