"""A run of rounds in tables: what was picked, how scores moved, lengths, sources, time and cost.

Each table is computed from what a run keeps, so that a report can be made while it trains.
"""

from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from debias.errors import ParameterError
from iterit.rounds.round_state import RoundSettings, pickable
from iterit.training.checkpoints import FOLDER, RoundsCheckpoint, checkpoint_step, read_checkpoint

_PARTS = ("scoring", "selecting", "training")
_PASSES = {"scoring": 2, "training": 6}
"""Floating-point operations per parameter and token: forward; forward and backward."""


class RoundsTables:
    """What a run of rounds did.

    Parameters
    ----------
    kept : RoundsCheckpoint
        Of at least one round.
    title : str
    price_per_hour : float, optional
        What an hour of the machine costs, to say what each part cost.

    Raises
    ------
    ParameterError
        No round was begun.
    """

    def __init__(
        self,
        kept: RoundsCheckpoint,
        title: str = "Rounds of picked instructions",
        price_per_hour: float | None = None,
    ) -> None:
        if not kept.history:
            raise ParameterError("the run has not begun a round; there is nothing to report")
        self.kept, self.title, self.price_per_hour = kept, title, price_per_hour
        self.numbers = [entry["round"] for entry in kept.history]

    @classmethod
    def from_folder(cls, folder: str | Path, **options: Any) -> Self:
        """Report on a run by its output folder, or one of its checkpoints.

        Parameters
        ----------
        folder : str or Path
            A run that is not at its end is reported by its newest checkpoint.
        **options
            Of this class.

        Raises
        ------
        ResumeError
            There is no run in it.
        """
        where = Path(folder)
        if not (where / FOLDER).is_dir() and where.is_dir():
            kept = [
                path for path in where.iterdir() if checkpoint_step(path) >= 0 and (path / FOLDER).is_dir()
            ]
            where = max(kept, key=checkpoint_step, default=where)
        return cls(read_checkpoint(where), **options)

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """What each round scored, picked and lost.

        Returns
        -------
        DataFrame
            Indexed by round: n_scored, n_top, n_stale, n_above, n_widened, n_candidates, n_picked,
            n_completed, n_overlap (picked in the round before, too), overlap (their share), n_new
            (never picked before), n_distinct (ever picked), ifd (mean of the picks), loss (mean of
            the training steps).
        """
        counts = ["n_scored", "n_top", "n_stale", "n_above", "n_widened", "n_candidates", "n_completed"]
        rows, ever, last = [], set[int](), set[int]()
        for entry in self.kept.history:
            picked = set(self._picked(entry["round"]).tolist())
            rows.append(
                {
                    **{name: entry[name] for name in counts},
                    "n_picked": len(picked),
                    "n_overlap": len(picked & last),
                    "overlap": len(picked & last) / len(picked) if last else np.nan,
                    "n_new": len(picked - ever),
                    "n_distinct": len(picked | ever),
                    "ifd": self.kept.state.picks.query("round == @entry['round']")["complexity"].mean(),
                    "loss": entry["loss_sum"] / entry["loss_steps"] if entry["loss_steps"] else np.nan,
                }
            )
            ever, last = ever | picked, picked
        return pd.DataFrame(rows, index=pd.Index(self.numbers, name="round"))

    @cached_property
    def scores(self) -> pd.DataFrame:
        """How far scores moved with training.

        Returns
        -------
        DataFrame
            Indexed by round: n_again (rows scored again), mean_move and median_size of their IFD,
            share_up, rank_correlation (Spearman, old with new), n_rose (came to the bound or above),
            n_fell (came back below it), n_hard (the hardest rows that may be picked, as many as are
            picked), n_newly_hard (those that were not so after the round before) and their share.
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
        """How long the answers are that were picked, and all answers.

        Returns
        -------
        DataFrame
            Indexed by "all" and the rounds: n_rows, mean, median, low and high (10th and 90th
            percentile) of words in the answer, and tokens (mean, with the prompt).
        """
        taking_part = self.kept.records.iloc[self.kept.state.rows]
        groups = {"all": taking_part} | {
            str(n): self.kept.records.iloc[self._picked(n)] for n in self.numbers
        }
        rows = [
            {
                "n_rows": len(own),
                "mean": own["words"].mean(),
                "median": own["words"].median(),
                "low": own["words"].quantile(0.1),
                "high": own["words"].quantile(0.9),
                "tokens": own["tokens"].mean(),
            }
            for own in groups.values()
        ]
        return pd.DataFrame(rows, index=pd.Index(list(groups), name="round"))

    @cached_property
    def sources(self) -> pd.DataFrame:
        """Where the picks come from.

        Returns
        -------
        DataFrame
            Indexed by source, most records first: "all" and a column per round, counts.
        """
        source = self.kept.records["source"]
        columns = {"all": source.iloc[self.kept.state.rows].value_counts()}
        columns |= {str(n): source.iloc[self._picked(n)].value_counts() for n in self.numbers}
        table = pd.DataFrame(columns).fillna(0).astype("int64").rename_axis("source")
        return table.sort_values("all", ascending=False, kind="stable")

    @cached_property
    def costs(self) -> pd.DataFrame:
        """What each part of each round took.

        Returns
        -------
        DataFrame
            Indexed by round and part (scoring, selecting, training): seconds, share of the run,
            tokens through the model, tokens_per_second, teraflop (2 operations per parameter and
            token to score, 6 to train: an estimate, less with LoRA) and, with a price, cost.
        """
        rows, index = [], []
        for entry in self.kept.history:
            for part in _PARTS:
                tokens = {"scoring": entry["scored_tokens"], "training": entry["trained_tokens"]}.get(part, 0)
                flop = _PASSES.get(part, 0) * self.kept.facts.get("n_parameters", 0) * tokens
                seconds = entry[f"seconds_{part}"]
                rate = tokens / seconds if tokens and seconds else np.nan
                rows.append(
                    {
                        "seconds": seconds,
                        "tokens": tokens,
                        "tokens_per_second": rate,
                        "teraflop": flop / 1e12,
                    }
                )
                index.append((entry["round"], part))
        table = pd.DataFrame(rows, index=pd.MultiIndex.from_tuples(index, names=["round", "part"]))
        table.insert(1, "share", table["seconds"] / max(float(table["seconds"].sum()), 1e-12))
        if self.price_per_hour is not None:
            table["cost"] = table["seconds"] / 3600 * self.price_per_hour
        return table

    @property
    def moves(self) -> pd.DataFrame:
        """Every score made again: row, round, before, after (IFD)."""
        log = self.kept.state.scores[["row", "round", "ifd"]].rename(columns={"ifd": "after"})
        log.insert(2, "before", log.groupby("row")["after"].shift())
        return log[log["round"] > 0].reset_index(drop=True)

    def _picked(self, number: int) -> Any:
        return self.kept.state.rows_of(number)

    @cached_property
    def _rules(self) -> RoundSettings:
        names = RoundSettings.__dataclass_fields__
        return RoundSettings(**{name: value for name, value in self.kept.settings.items() if name in names})

    def _hard(self, number: int) -> set[int]:
        """Return the hardest rows that may be picked by what is known after a round's scoring."""
        log = self.kept.state.scores
        newest = log[log["round"] <= number].drop_duplicates("row", keep="last")
        own = newest[pickable(newest, self._rules)].sort_values(["ifd", "row"], ascending=[False, True])
        return set(own["row"].head(self._rules.n_picks).tolist())

    def _moves(self, number: int) -> dict[str, Any]:
        """Say how the scores of a round moved."""
        moves = self.moves
        own = moves[moves["round"] == number].dropna()
        before, after = own["before"].to_numpy(np.float64), own["after"].to_numpy(np.float64)
        change, bound = after - before, self._rules.max_ifd
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
