"""Carries a training run from round to round: scores, picks, notes what it took, keeps it all.

It is told by a trainer when an epoch begins, what the loss was and when a checkpoint is written, and
tells it which rows to train.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from iterit.rounds.round import Pick, run_round, training_order
from iterit.rounds.round_state import RoundSettings, RoundState, RowArray, first_state
from iterit.training.checkpoints import RoundsCheckpoint, check_same_run, read_checkpoint
from iterit.training.distributed import in_first
from iterit.training.rescoring import Rescorer

if TYPE_CHECKING:
    from iterit.templates.encoding import EncodedRecords


@dataclass
class RoundDriver:
    """What a run of rounds is doing.

    Parameters
    ----------
    encoded : EncodedRecords
    settings : RoundSettings
    rescorer : Rescorer
    pick : callable
        Picks from candidates, in the first process; see :data:`iterit.rounds.round.Pick`.
    state : RoundState
    identity : dict
        Settings that decide the picks, JSON-able; a checkpoint with others is refused.
    facts : dict
        What else a report tells.
    records : DataFrame
        Words, tokens and source of every row, for reports.
    epochs_per_round : int, default=1

    Attributes
    ----------
    history : list of dict
        One entry per round begun: its number, counts, seconds of each part, tokens and losses.
    """

    encoded: "EncodedRecords"
    settings: RoundSettings
    rescorer: Rescorer
    pick: Pick
    state: RoundState
    identity: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    records: pd.DataFrame = field(default_factory=pd.DataFrame)
    epochs_per_round: int = 1
    history: list[dict[str, Any]] = field(default_factory=list)
    _training_since: float | None = None
    _logged_step: int = 0

    def begin(self) -> None:
        """Begin with nothing scored, also where an earlier training ended."""
        self.state = first_state(self.state.n_rows, self.state.rows)
        self.history, self._logged_step, self._training_since = [], 0, None

    def resume(self, folder: str | Path, step: int) -> None:
        """Go on from a checkpoint.

        Parameters
        ----------
        folder : str or Path
            Of the Trainer's checkpoint.
        step : int
            The step at which it was written.

        Raises
        ------
        ResumeError
            It holds no rounds, is damaged, or was written with other settings.
        """
        kept = read_checkpoint(folder)
        check_same_run(kept.settings, self.identity, folder)
        self.state, self.history = kept.state, kept.history
        self._logged_step = step

    def rows_for_epoch(self, trainer: Any, epoch: int, rows_per_step: int) -> RowArray:
        """Rows to train in an epoch, in their order; the first epoch of a round scores and picks.

        Called by all processes.

        Parameters
        ----------
        trainer : transformers.Trainer
        epoch : int
            From 0 on.
        rows_per_step : int
            That the optimiser steps on, in all processes.

        Returns
        -------
        int64 array, shape (n_picks,)
        """
        number = epoch // self.epochs_per_round
        if number >= self.state.round:
            self._begin_round(trainer)
        self._training_since = time.perf_counter()
        picked, lengths = self.state.rows_of(number), self.encoded.lengths
        return training_order(picked, self.settings.seed, epoch, lengths, rows_per_step)

    def _begin_round(self, trainer: Any) -> None:
        """Score and pick."""
        spent, begun = self.rescorer.spent, time.perf_counter()
        before = (spent.seconds, spent.tokens)

        def pick_once(candidates: RowArray, newest: pd.DataFrame, number: int) -> pd.DataFrame:
            return in_first(lambda: self.pick(candidates, newest, number))

        number = self.state.round
        self.state, counts = run_round(
            self.state, self.settings, lambda rows: self.rescorer(trainer, rows), pick_once
        )
        scoring = spent.seconds - before[0]
        picked = self.state.rows_of(number)
        tokens = int(self.encoded.lengths[picked].sum())
        self.history.append(
            {
                "round": number,
                "step": int(trainer.state.global_step),
                **counts,
                "scored_tokens": spent.tokens - before[1],
                "trained_tokens": tokens * self.epochs_per_round,
                "seconds_scoring": scoring,
                "seconds_selecting": time.perf_counter() - begun - scoring,
                "seconds_training": 0.0,
                "loss_sum": 0.0,
                "loss_steps": 0,
            }
        )

    def note_loss(self, loss: float, step: int) -> None:
        """Take a mean loss of the steps since the last one."""
        if self.history and step > self._logged_step:
            self.history[-1]["loss_sum"] += float(loss) * (step - self._logged_step)
            self.history[-1]["loss_steps"] += step - self._logged_step
        self._logged_step = step

    def note_training_time(self) -> None:
        """Add the time since training went on to its round."""
        now = time.perf_counter()
        if self.history and self._training_since is not None:
            self.history[-1]["seconds_training"] += now - self._training_since
        self._training_since = now

    def checkpoint(self) -> RoundsCheckpoint:
        """Return the run as it is to be kept."""
        self.note_training_time()
        return RoundsCheckpoint(self.state, self.history, self.identity, self.facts, self.records)
