"""Computes tables of a run of rounds: picks, changes of scores, lengths, sources, time and cost.

Each table is computed from what a run keeps, so that a report can be made during the training.
"""

from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from debias.errors import ParameterError, ResumeError
from iterit.reports.gains import found_gains, read_gains
from iterit.reports.rounds_mix import mix_of
from iterit.rounds.round_settings import RoundSettings
from iterit.rounds.round_state import pickable
from iterit.row_numbers import RowArray
from iterit.training.saving.checkpoints import FOLDER, RoundsCheckpoint, checkpoint_step, read_checkpoint
from iterit.training.saving.held_out_losses import held_out_losses
from iterit.training.zeroth_order.step_trail import step_trail

_COUNTS = ["n_scored", "n_top", "n_stale", "n_above", "n_widened", "n_candidates", "n_completed"]
_CHECKS = ["n_checked", "n_check_top", "n_missed", "missed_at_most", "bound"]
"""What a round with the window ``bounded`` also counts."""
_PARTS = {"scoring": ("scored_tokens", 2), "selecting": ("", 0), "training": ("trained_tokens", 6)}
"""Tokens, and floating-point operations per parameter and token: forward; forward and backward."""


class RoundsTables:
    """A run of rounds in tables.

    Parameters
    ----------
    kept : RoundsCheckpoint
        Of at least one round.
    title : str
    price_per_hour : float, optional
        Price of an hour of the machine, for the cost of each part.
    held_out : DataFrame, optional
        Losses of held-out records by step, see :mod:`iterit.training.saving.held_out_losses`.
    gains : DataFrame, optional
        Of an audit, see :mod:`iterit.reports.gains`.

    Attributes
    ----------
    steps : DataFrame
        What the steps of each round did, in a run without gradients; see
        :func:`iterit.training.zeroth_order.step_trail.step_trail`.

    Raises
    ------
    ParameterError
        No round has begun, the title is empty, or the price is no amount of money.
    """

    def __init__(
        self,
        kept: RoundsCheckpoint,
        title: str = "Rounds of picked instructions",
        price_per_hour: float | None = None,
        *,
        held_out: pd.DataFrame | None = None,
        gains: pd.DataFrame | None = None,
    ) -> None:
        if not kept.history:
            raise ParameterError(
                "no round of the run has begun: there is nothing to report", parameter="kept"
            )
        if not title.strip():
            raise ParameterError(parameter="title", allowed="a text that is not empty", received=title)
        if price_per_hour is not None and not 0 <= price_per_hour < float("inf"):
            allowed = "a finite number of at least 0"
            raise ParameterError(parameter="price_per_hour", allowed=allowed, received=price_per_hour)
        self.kept, self.title, self.price_per_hour = kept, title, price_per_hour
        self.steps = pd.DataFrame()
        self.held_out, self.gains = held_out, gains
        self.numbers = [int(entry["round"]) for entry in kept.history]
        names = RoundSettings.__dataclass_fields__
        self.settings = RoundSettings.of(
            **{name: value for name, value in kept.settings.items() if name in names}
        )

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        title: str = "Rounds of picked instructions",
        price_per_hour: float | None = None,
        *,
        audit: str | Path | None = None,
    ) -> Self:
        """Report on a run by its output folder, or on one of its checkpoints.

        A run that has not ended is reported by its newest checkpoint. What an audit found is read from
        `audit`, the folder of its tables, else from the folder of the run, if it is there.

        Raises
        ------
        ResumeError
            The folder has no run.
        ParameterError
            `audit` holds no audit.
        """
        where = Path(folder)
        gains = found_gains(where) if audit is None else read_gains(audit)
        beside = {"held_out": held_out_losses(where), "gains": gains}
        if not (where / FOLDER).is_dir():
            found = [path.parent for path in where.glob(f"checkpoint-*/{FOLDER}")]
            for path in sorted(found, key=checkpoint_step, reverse=True):
                with suppress(ResumeError):  # a damaged one does not hide an older one
                    return cls(read_checkpoint(path), title, price_per_hour, **beside)._with_steps(path)
            where = max(found, key=checkpoint_step, default=where)
        return cls(read_checkpoint(where), title, price_per_hour, **beside)._with_steps(where)

    def _with_steps(self, folder: Path) -> Self:
        """Add the steps of a run without gradients, where there is their list."""
        self.steps = step_trail(folder, [int(entry["step"]) for entry in self.kept.history])
        return self

    def number(self, name: str) -> int:
        """Return a fact that is a number, 0 if it is not known."""
        value = self.kept.facts.get(name, 0)
        return value if isinstance(value, int) else 0

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """Scores, picks and loss of each round.

        Returns
        -------
        DataFrame
            Indexed by round: n_scored, n_top, n_stale, n_above, n_widened, n_candidates, n_picked,
            n_completed, n_overlap (also picked in the round before), overlap (their share), n_new
            (never picked before), n_distinct (picked so far), ifd (mean of the picks), loss (mean of
            the training steps), and held_out_loss (the last of the round) where one was logged. With the
            window ``bounded`` also n_checked, n_check_top, n_missed,
            missed_at_most and bound: see :class:`iterit.rounds.bounds.bounded_window.Bounded`.
        """
        rows, ever, last = [], set[int](), set[int]()
        is_bounded = self.settings.window == "bounded"
        ifd = self.kept.state.picks.groupby("round")["complexity"].mean()
        for number, entry in zip(self.numbers, self.kept.history, strict=True):
            picked = set(self.rows_of(number).tolist())
            rows.append(
                {
                    **{name: entry[name] for name in _COUNTS},
                    **({name: entry.get(name, np.nan) for name in _CHECKS} if is_bounded else {}),
                    "n_picked": len(picked),
                    "n_overlap": len(picked & last),
                    "overlap": len(picked & last) / len(picked) if last else np.nan,
                    "n_new": len(picked - ever),
                    "n_distinct": len(picked | ever),
                    "ifd": ifd[number],
                    "loss": entry["loss_sum"] / entry["loss_steps"] if entry["loss_steps"] else np.nan,
                }
            )
            ever, last = ever | picked, picked
        table = pd.DataFrame(rows, index=pd.Index(self.numbers, name="round"))
        if self.held_out is not None and len(self.held_out):
            begun = [float(entry["step"]) for entry in self.kept.history]
            rounds = np.searchsorted(begun, self.held_out["step"].to_numpy(), side="left") - 1
            ends = self.held_out.assign(place=rounds).query("place >= 0").groupby("place")["loss"].last()
            table["held_out_loss"] = ends.reindex(range(len(table))).to_numpy()
        return table

    @cached_property
    def shared(self) -> pd.DataFrame:
        """Share of the picks of a round (index) that another round (columns) has, too."""
        picked = [set(self.rows_of(number).tolist()) for number in self.numbers]
        shares = [[len(one & other) / max(len(one), 1) for other in picked] for one in picked]
        index = pd.Index(self.numbers, name="round")
        return pd.DataFrame(shares, index=index, columns=index.rename("also in"))

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Changes of scores by training.

        Returns
        -------
        DataFrame
            Indexed by round: n_again (rows scored again), mean_move and median_size of the changes of
            their IFD, share_up, rank_correlation (Spearman, old with new), n_rose (to the bound or
            above), n_fell (below the bound), n_hard (the hardest rows that may be picked, as many as
            are picked), n_newly_hard (those that were not hard after the round before) and their share.
        """
        hard = [self._hard(number) for number in self.numbers]
        rows = [self._moves(number) for number in self.numbers]
        for place, row in enumerate(rows):
            before = hard[place - 1] if place else hard[place]
            row["n_hard"] = len(hard[place])
            row["n_newly_hard"] = len(hard[place] - before)
            row["newly_hard"] = len(hard[place] - before) / max(len(hard[place]), 1) if place else np.nan
        return pd.DataFrame(rows, index=pd.Index(self.numbers, name="round"))

    @cached_property
    def lengths(self) -> pd.DataFrame:
        """Lengths of picked answers, and of all answers.

        Returns
        -------
        DataFrame
            Indexed by "all" and the rounds: n_rows, mean, median, low and high (10th and 90th
            percentile) of words in the answer, and tokens (mean, with the prompt).
        """
        taking_part = self.kept.records.iloc[self.kept.state.rows]
        groups = {"all": taking_part} | {
            str(n): self.kept.records.iloc[self.rows_of(n)] for n in self.numbers
        }
        grouped = pd.concat(groups, names=["round"]).groupby("round", sort=False)
        words = grouped["words"]
        table = words.agg(n_rows="size", mean="mean", median="median")
        return table.assign(
            low=words.quantile(0.1), high=words.quantile(0.9), tokens=grouped["tokens"].mean()
        )

    @cached_property
    def sources(self) -> pd.DataFrame:
        """Sources of the picks.

        Returns
        -------
        DataFrame
            Indexed by source, most records first: "all" and a column per round, counts.
        """
        source = self.kept.records["source"]
        columns = {"all": source.iloc[self.kept.state.rows].value_counts()}
        columns |= {str(n): source.iloc[self.rows_of(n)].value_counts() for n in self.numbers}
        table = pd.DataFrame(columns).fillna(0).astype("int64").rename_axis("source")
        return table.sort_values("all", ascending=False, kind="stable")

    @cached_property
    def mix(self) -> pd.DataFrame:
        """Shares of sources and lengths among the picks; see :func:`iterit.reports.rounds_mix.mix_of`."""
        return mix_of(self.kept.state, self.kept.records, self.numbers)

    @property
    def examples(self) -> pd.DataFrame:
        """Picks of each round, and rows that were left out, with the beginnings of their texts.

        Returns
        -------
        DataFrame
            As :func:`iterit.rounds.examples.examples_of` has them, with question and answer; empty for
            runs of earlier releases.
        """
        return self.kept.examples

    @cached_property
    def costs(self) -> pd.DataFrame:
        """Time, tokens and cost of each part of each round.

        Returns
        -------
        DataFrame
            Indexed by round and part (scoring, selecting, training): seconds, share of the run,
            tokens through the model, tokens_per_second, teraflop (2 operations per parameter and
            token to score, 6 to train: an estimate, less with LoRA) and, with a price, cost.
        """
        rows = []
        for number, entry in zip(self.numbers, self.kept.history, strict=True):
            for part, (name, operations) in _PARTS.items():
                if part == "training" and "share_not_touched" in self.kept.facts:
                    operations = 4  # two passes forward
                tokens, seconds = entry.get(name, 0), entry[f"seconds_{part}"]
                rate = tokens / seconds if tokens and seconds else np.nan
                teraflop = operations * self.number("n_parameters") * tokens / 1e12
                rows.append((number, part, seconds, tokens, rate, teraflop))
        names = ["round", "part", "seconds", "tokens", "tokens_per_second", "teraflop"]
        table = pd.DataFrame(rows, columns=names).set_index(["round", "part"])
        table.insert(1, "share", table["seconds"] / max(float(table["seconds"].sum()), 1e-12))
        if self.price_per_hour is not None:
            table["cost"] = table["seconds"] / 3600 * self.price_per_hour
        return table

    @property
    def moves(self) -> pd.DataFrame:
        """Every score of a row that the model scored again: row, round, before, after (IFD)."""
        log = self.kept.state.own_scores()[["row", "round", "ifd"]].rename(columns={"ifd": "after"})
        log.insert(2, "before", log.groupby("row")["after"].shift())
        return log[log["round"] > log["round"].min()].reset_index(drop=True)

    def rows_of(self, number: int) -> RowArray:
        """Return the rows that a round picked."""
        return self.kept.state.rows_of(number)

    def _hard(self, number: int) -> set[int]:
        """Return the hardest rows that may be picked, by the scores up to a round."""
        log = self.kept.state.own_scores() if number else self.kept.state.scores
        newest = log[log["round"] <= number].drop_duplicates("row", keep="last")
        own = newest[pickable(newest, self.settings)].sort_values(["ifd", "row"], ascending=[False, True])
        return set(own["row"].head(self.settings.n_picks).tolist())

    def _moves(self, number: int) -> dict[str, float]:
        """Return how the scores of a round changed."""
        moves = self.moves
        own = moves[moves["round"] == number].dropna()
        before, after = own["before"].to_numpy(np.float64), own["after"].to_numpy(np.float64)
        change, bound = after - before, self.settings.max_ifd
        some = len(own) > 0
        return {
            "n_again": len(own),
            "mean_move": change.mean() if some else np.nan,
            "median_size": np.median(np.abs(change)) if some else np.nan,
            "share_up": (change > 0).mean() if some else np.nan,
            "rank_correlation": own["before"].corr(own["after"], method="spearman") if some else np.nan,
            "n_rose": int(((before < bound) & (after >= bound)).sum()),
            "n_fell": int(((before >= bound) & (after < bound)).sum()),
        }
