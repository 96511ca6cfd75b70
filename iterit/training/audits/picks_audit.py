"""Audits picks: whether training them teaches more than random records of the same lengths, at what cost.

Each seed trains two subsets with equal answer tokens, from the same untrained model: picks, and a random
draw with their histogram of answer tokens and turns. What is trained is kept, see
:mod:`iterit.training.audits.subset_runs`, so that a stopped audit resumes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.console.progress import counted_progress
from debias.errors import ParameterError, RecordsError, param
from iterit.ngrams.ngram_counts import count_ngrams
from iterit.records.instruction_records import Record, Records
from iterit.row_numbers import RowArray, row_numbers
from iterit.selection.length_matching import length_matched_draw
from iterit.training.audits.audit_settings import AuditSettings
from iterit.training.audits.datamodels import datamodel_scores, random_subsets
from iterit.training.audits.paired_losses import gain
from iterit.training.audits.picks_description import described, script_of, shares, turns_of
from iterit.training.audits.subset_runs import SubsetRun, SubsetRuns

FORWARDS_PER_TRAINED_TOKEN = 3
"""A token that is trained costs a forward and a backward pass, which is about two forward passes."""
MEASURES = ("token", "record")


@dataclass(frozen=True, eq=False)
class AuditResult:
    """What an audit found.

    Attributes
    ----------
    gains : DataFrame
        One row for each group of picks and measure: picks, by, gain (nats by which the loss is lower than
        after random draws of the same lengths), low, high, verdict ("better", "unclear", "worse").
    losses : DataFrame
        One row for each run: picks, way ("untrained", "picks", "random", "more random"), seed, by_token,
        by_record, and what it trained.
    description, sources, scripts : DataFrame
        Picks beside the pool and a random draw.
    costs : DataFrame
        What selection and training cost.
    datamodel : DataFrame
        Of each way to score; empty where no subsets were trained.
    runs : dict of (str, str, int) to SubsetRun
        By picks, way and seed.
    settings : AuditSettings
    facts : dict
    """

    gains: pd.DataFrame
    losses: pd.DataFrame
    description: pd.DataFrame
    sources: pd.DataFrame
    scripts: pd.DataFrame
    costs: pd.DataFrame
    datamodel: pd.DataFrame
    runs: dict[tuple[str, str, int], SubsetRun]
    settings: AuditSettings
    facts: dict[str, object] = field(default_factory=dict)


def held_out_of(pool: Records, picks: Mapping[str, RowArray], n: int, seed: int) -> RowArray:
    """Draw rows of a pool to hold out: in no picks, and with no text of another row.

    Raises
    ------
    RecordsError
        Fewer than two are left.

    Examples
    --------
    >>> pool = Records.from_rows([{"question": f"{n}?", "answer": str(n)} for n in range(9)])
    >>> len(held_out_of(pool, {"mine": np.arange(3)}, n=4, seed=0))
    4
    """
    taken = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *picks.values()]))
    answers, asked = pd.Series(pool.responses), pd.Series([_asked_first(one) for one in pool])
    alone = np.flatnonzero(~(answers.duplicated(keep=False) | asked.duplicated(keep=False)).to_numpy())
    left = np.random.default_rng([seed, 1]).permutation(np.setdiff1d(alone, taken))
    if len(left) < 2:
        raise RecordsError(
            f"{len(left)} records of the pool are in no picks and share no text with others",
            received=len(left),
            allowed="at least 2",
            fix=f"name held-out records with {param('held_out')}",
        )
    return np.sort(left[:n])


def _asked_first(record: Record) -> str:
    """Return what is asked first: a system text, which many records share, asks nothing."""
    return next((one.content for one in record.messages if one.role != "system"), "")


def within_budget(
    rows: RowArray, answer_tokens: npt.NDArray[np.int64], budget: int, random: np.random.Generator
) -> RowArray:
    """Return all rows, or a random part of them with at most so many answer tokens.

    Examples
    --------
    >>> within_budget(np.array([3, 1]), np.array([9, 5, 9, 4]), 9, np.random.default_rng(0)).tolist()
    [1, 3]
    """
    if int(answer_tokens[rows].sum()) <= budget:
        return np.sort(rows)
    order = random.permutation(rows)
    total = np.cumsum(answer_tokens[order])
    return np.sort(order[: max(int(np.searchsorted(total, budget, side="right")), 1)])


class _Audit:
    """One audit at work."""

    def __init__(
        self, runs: SubsetRuns, picks: Mapping[str, RowArray], candidates: RowArray, settings: AuditSettings
    ) -> None:
        self.runs, self.settings = runs, settings
        self.candidates = np.intersect1d(candidates, runs.usable)
        self.picks = {name: np.intersect1d(rows, runs.usable) for name, rows in picks.items()}
        self.turns = turns_of(runs.pool)
        for name, rows in self.picks.items():
            if not len(rows):
                raise RecordsError(
                    f"no record of {name!r} has an answer that fits into the context",
                    received=len(picks[name]),
                )
            if len(np.setdiff1d(rows, self.candidates)):
                raise ParameterError(
                    f"{name!r} has records that are held out", parameter="held_out",
                    fix=f"choose records for {param('held_out')} that no tool has picked",
                )  # fmt: skip

    def pairs(
        self, name: str, given: Sequence[RowArray] | None = None
    ) -> list[tuple[int, RowArray, RowArray]]:
        """Return seed, picks and random draw of each pair of runs."""
        found = []
        for seed in range(self.settings.n_seeds):
            random = np.random.default_rng([self.settings.seed, seed, 2])
            lengths = self.runs.answer_tokens
            own = within_budget(self.picks[name], lengths, self.settings.answer_tokens, random)
            if given is None:
                drawn = length_matched_draw(
                    lengths, own, seed + 1000 * self.settings.seed,
                    turns=self.turns, candidates=self.candidates,
                )  # fmt: skip
            else:
                drawn = np.intersect1d(given[seed], self.candidates)
            found.append((seed, own, np.sort(drawn)))
        return found

    def more_random(self, name: str, own: RowArray, seed: int, selection_tokens: float) -> RowArray:
        """Return a random draw that costs to train what picks cost to select and to train."""
        share = self.runs.answer_tokens[own].sum() / max(self.runs.answer_tokens[self.picks[name]].sum(), 1)
        n_epochs = self.runs.training.rounds * self.runs.training.epochs_per_round
        extra = share * selection_tokens / FORWARDS_PER_TRAINED_TOKEN / n_epochs
        lengths = self.runs.encoded.lengths
        order = np.random.default_rng([self.settings.seed, seed, 4]).permutation(self.candidates)
        total = np.cumsum(lengths[order])
        n_rows = int(np.searchsorted(total, lengths[own].sum() + extra, side="right"))
        return np.sort(order[: max(n_rows, 1)])


def audit(
    runs: SubsetRuns,
    picks: Mapping[str, npt.ArrayLike],
    *,
    candidates: RowArray | None = None,
    drawn: Sequence[RowArray] | None = None,
    scores: Mapping[str, npt.ArrayLike] | None = None,
    selection_tokens: float | None = None,
    settings: AuditSettings | None = None,
    show_progress: bool = True,
) -> AuditResult:
    """Audit picks.

    Parameters
    ----------
    runs : SubsetRuns
        The pool, the held-out records, the model and how it is trained.
    picks : mapping of str to array-like of int
        Rows of the pool that were picked, by a name for each tool.
    candidates : int64 array, optional
        Rows from which chance draws; all by default. Held-out rows of the pool must not be among them.
    drawn : sequence of int64 array, length n_seeds, optional
        Random records that all groups are compared with; by default each group is compared with draws of
        its own lengths. For groups that are equally long, such as those of ``match_length=True``.
    scores : mapping of str to array-like of shape (n_pool,), optional
        Ways to score whose datamodel scores are measured, where `settings` asks for subsets.
    selection_tokens : float, optional
        Tokens of forward passes that selection took; by default those of one pass of IFD over the
        candidates: each conversation, and its answers alone.
    settings : AuditSettings, optional
    show_progress : bool, default=True

    Returns
    -------
    AuditResult

    Raises
    ------
    RecordsError, ParameterError
        Picks cannot be trained, or are held out.

    Examples
    --------
    >>> runs = SubsetRuns(pool, held_out, "my-model", TrainingSettings(rounds=1), "audit")  # doctest: +SKIP
    >>> result = audit(runs, {"mine": [4, 8, 15], "theirs": [16, 23, 42]})  # doctest: +SKIP
    >>> result.gains[["picks", "by", "gain", "low", "high", "verdict"]]  # doctest: +SKIP
    >>> audit(None, {})
    Traceback (most recent call last):
    debias.errors.ParameterError: picks must be at least one group of rows, got {}.
    """
    if not picks:
        raise ParameterError(parameter="picks", received=dict(picks), allowed="at least one group of rows")
    settings = settings or AuditSettings()
    usable = np.arange(len(runs.pool)) if candidates is None else np.unique(candidates)
    groups = {name: row_numbers(rows, len(runs.pool), "picks") for name, rows in picks.items()}
    work = _Audit(runs, groups, usable, settings)
    one_pass = float((runs.encoded.lengths + runs.answer_tokens)[work.candidates].sum())
    spent = one_pass if selection_tokens is None else float(selection_tokens)
    plan: list[tuple[str, str, int, RowArray]] = [("", "untrained", 0, np.zeros(0, dtype=np.int64))]
    pairs = {name: work.pairs(name, drawn) for name in work.picks}
    for seed in range(settings.n_seeds):  # all groups of one seed first: a part of an audit compares all
        for name in work.picks:
            _, own, chance = pairs[name][seed]
            plan += [(name, "picks", seed, own), (name, "random", seed, chance)]
            if seed < settings.n_more_random and spent:
                plan.append((name, "more random", seed, work.more_random(name, own, seed, spent)))
    subsets = (
        random_subsets(work.candidates, settings.n_subsets, settings.subset_size, settings.seed)
        if settings.n_subsets
        else []
    )
    plan += [("", "subset", place, rows) for place, rows in enumerate(subsets)]
    done: dict[tuple[str, str, int], SubsetRun] = {}
    tokens = [max(int(runs.encoded.lengths[rows].sum()), 1) for *_, rows in plan]
    with counted_progress("training subsets, tokens", sum(tokens), show_progress) as advance:
        for (name, way, seed, rows), n_tokens in zip(plan, tokens, strict=True):
            done[name, way, seed] = runs.run(rows, seed)
            advance(n_tokens)
    rows_of = {(name, way, seed): rows for name, way, seed, rows in plan}
    return AuditResult(
        gains=_gains(done, work, settings),
        losses=_losses(done),
        **_descriptions(work, rows_of),
        costs=_costs(done, work, spent, selection_tokens is None),
        datamodel=_datamodel(done, subsets, scores or {}, settings),
        runs=done,
        settings=settings,
        facts={
            "model": str(runs.model),
            "n_pool": len(runs.pool),
            "n_candidates": len(work.candidates),
            "n_held_out": len(next(iter(done.values())).losses),
            "n_unusable": {name: len(groups[name]) - len(rows) for name, rows in work.picks.items()},
            "overlap": {
                name: float(np.isin(rows_of[name, "random", 0], work.picks[name]).mean())
                for name in work.picks
            },
        },
    )


def _gains(
    done: Mapping[tuple[str, str, int], SubsetRun], work: _Audit, settings: AuditSettings
) -> pd.DataFrame:
    """Return how much lower the loss is than after random draws of the same lengths."""
    rows = []
    for name in work.picks:
        for way in ("picks", "more random"):
            seeds = [seed for own, one, seed in done if own == name and one == way]
            if not seeds:
                continue
            tables = [done[name, way, seed].losses for seed in seeds]
            drawn = [done[name, "random", seed].losses for seed in seeds]
            for by in MEASURES:
                found = gain(tables, drawn, by, settings.confidence)
                rows.append(
                    {
                        "picks": name, "way": way, "by": by, "gain": found.mean, "low": found.low,
                        "high": found.high, "verdict": found.verdict, "n_seeds": found.n_seeds,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def _losses(done: Mapping[tuple[str, str, int], SubsetRun]) -> pd.DataFrame:
    """Return the losses of each run."""
    return pd.DataFrame(
        [
            {"picks": name, "way": way, "seed": seed, "by_token": run.by_token, "by_record": run.by_record}
            | run.facts
            for (name, way, seed), run in done.items()
        ]
    )


def _descriptions(work: _Audit, rows_of: Mapping[tuple[str, str, int], RowArray]) -> dict[str, pd.DataFrame]:
    """Return picks beside the pool and the first random draw."""
    pool = work.runs.pool
    groups = {"pool": work.candidates}
    for name, rows in work.picks.items():
        groups |= {name: rows, f"random for {name}": rows_of[name, "random", 0]}
    counts = count_ngrams(pool.responses)
    scripts = [script_of(text) for text in pool.responses]
    return {
        "description": described(pool, counts, work.runs.answer_tokens, groups),
        "sources": shares(pool.sources, groups),
        "scripts": shares(scripts, groups),
    }


def _costs(
    done: Mapping[tuple[str, str, int], SubsetRun], work: _Audit, spent: float, is_assumed: bool
) -> pd.DataFrame:
    """Return what selection and training cost, in tokens, forward passes and seconds of this machine."""
    untrained = done["", "untrained", 0]
    held_out = work.runs.held_out_encoded
    rate = float(held_out.lengths.sum()) / max(untrained.facts["seconds_measuring"], 1e-9)
    n_records = len(work.candidates)
    rows = [
        {
            "part": "selection, one pass of IFD over the pool" if is_assumed else "selection, as stated",
            "picks": "",
            "forwards": 2 * n_records if is_assumed else np.nan,
            "tokens": spent,
            "forward_tokens": spent,
            "seconds": spent / rate,
        }
    ]
    for name, rows_picked in work.picks.items():
        tokens = float(work.runs.encoded.lengths[rows_picked].sum())
        runs = [run.facts for (own, way, _), run in done.items() if own == name and way == "picks"]
        speed = sum(one["seconds_training"] for one in runs) / sum(one["trained_tokens"] for one in runs)
        n_epochs = work.runs.training.rounds * work.runs.training.epochs_per_round
        rows.append(
            {
                "part": "training all picks",
                "picks": name,
                "forwards": FORWARDS_PER_TRAINED_TOKEN * len(rows_picked) * n_epochs,
                "tokens": tokens * n_epochs,
                "forward_tokens": FORWARDS_PER_TRAINED_TOKEN * tokens * n_epochs,
                "seconds": tokens * n_epochs * speed,
            }
        )
    return pd.DataFrame(rows)


def _datamodel(
    done: Mapping[tuple[str, str, int], SubsetRun],
    subsets: list[RowArray],
    scores: Mapping[str, npt.ArrayLike],
    settings: AuditSettings,
) -> pd.DataFrame:
    """Return the datamodel score of each way to score."""
    if not subsets or not scores:
        return pd.DataFrame(columns=["score", "measure", "correlation", "low", "high", "n_subsets"])
    runs = [done["", "subset", place] for place in range(len(subsets))]
    learnt = {
        "by token": [-run.by_token for run in runs],
        "by record": [-run.by_record for run in runs],
    }
    return datamodel_scores(subsets, learnt, scores, confidence=settings.confidence, seed=settings.seed)
