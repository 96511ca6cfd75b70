"""Checks while a trainer trains that each batch holds the picks whose turn it is, and nothing else.

Collators, loaders and own methods of a trainer are tried out before; only what reaches the training
step tells what is trained.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from debias.errors import ParameterError, param
from iterit.templates.encoding import IGNORED
from iterit.training.own_trainers.batch_changes import changes
from iterit.training.training_rows import RoundSampler, TrainingRows

if TYPE_CHECKING:
    from transformers import Trainer


class BatchCheck:
    """Compares batches with the picks of an epoch, in their order.

    Parameters
    ----------
    rows : TrainingRows
        What the trainer is to train.
    n_known : int
        Tokens that the model knows.
    """

    def __init__(self, rows: TrainingRows, n_known: int) -> None:
        self.rows, self.n_known = rows, n_known
        self.n_checked = 0
        self._is_on = True
        self._batches: list[Sequence[Any]] = []
        self._expected: list[dict[str, list[int]]] | None = None

    def begin(self, trainer: "Trainer", loader: Any, sampler: RoundSampler) -> None:
        """Refuse a loader that was made for other rows, or draws them in another way.

        Where processes share the tokens of a sequence, none has whole records, and nothing is checked.

        Parameters
        ----------
        trainer : transformers.Trainer
        loader : DataLoader
            The one that the trainer is going to use.
        sampler : RoundSampler

        Raises
        ------
        ParameterError
        """
        self._is_on = getattr(trainer.accelerator, "parallelism_config", None) is None
        found = _sampler_of(loader)
        if self._is_on and (getattr(loader, "dataset", None) is not self.rows or found is not sampler):
            raise ParameterError(
                "the training data are not loaded by the rounds, which train their picks alone",
                parameter="get_train_dataloader",
                received=type(found or loader).__name__,
                allowed="the loader of the Trainer",
                fix="remove what loads training data from the trainer; a collator of your own may stay",
            )

    def begin_epoch(self, trainer: "Trainer", loader: Any, sampler: RoundSampler, first: int) -> None:
        """Take the rows of an epoch.

        Parameters
        ----------
        trainer : transformers.Trainer
        loader : DataLoader
        sampler : RoundSampler
            With the rows of the epoch.
        first : int
            Batches of this process that were trained before.
        """
        shard = loader.batch_sampler
        whole = getattr(shard, "batch_sampler", shard)
        size, n_processes = int(whole.batch_size), int(trainer.args.world_size)
        n_processes = int(getattr(shard, "num_processes", n_processes))
        index = int(getattr(shard, "process_index", trainer.args.process_index))
        if getattr(shard, "split_batches", False) or getattr(loader, "split_batches", False):
            size //= n_processes
        every = list(sampler)
        starts = range(index * size, len(every), n_processes * size)
        self._batches = [every[start : start + size] for start in starts]
        self.n_checked = first

    def begin_batch(self, batch: object) -> None:
        """Check the next batch, before it is trained."""
        rows = self._batches[self.n_checked] if self.n_checked < len(self._batches) else ()
        self.n_checked += 1
        if self._is_on:
            self._expected = [self.rows[row] for row in rows]
            self.check(batch)

    def end_batch(self) -> None:
        """Expect nothing until the next batch; what is evaluated is no pick."""
        self._expected = None

    def check(self, batch: object) -> None:
        """Check the batch that is trained once more, where methods of the trainer may have changed it.

        Raises
        ------
        ParameterError
            It does not hold the picks, or holds others.
        """
        if self._expected is not None and (problem := changes(batch, self._expected, self.n_known)):
            raise _refused(
                f"batch {self.n_checked - 1} of the epoch is not that of its picks: something {problem}"
            )

    def end_epoch(self) -> None:
        """Refuse an epoch in which picks were not trained.

        Raises
        ------
        ParameterError
        """
        if self.n_checked != (n_batches := len(self._batches)):
            raise _refused(
                f"{self.n_checked} batches of the epoch were trained, and its picks make {n_batches}"
            )


def _refused(problem: str) -> ParameterError:
    return ParameterError(
        problem,
        parameter="data_collator",
        allowed=f"one that keeps all examples, their input_ids and labels, and pads labels with {IGNORED}",
        fix=f"remove what changes batches from {param('data_collator')} or from methods of the trainer",
    )


def _sampler_of(loader: Any) -> object:
    """Return what draws the rows of a loader; several processes share it by a wrapper."""
    batches = getattr(loader, "batch_sampler", None)
    return getattr(getattr(batches, "batch_sampler", batches), "sampler", None)
