"""Checks while a trainer trains that each batch holds the picks whose turn it is, and nothing else.

Collators, loaders and own methods of a trainer are tried out before; only what reaches the model tells
what is trained. A batch is compared with its picks once, as it comes; what the model receives is then
the same tensors, unless a method of the trainer has changed them.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from debias.errors import DebiasWarning, ParameterError, param
from iterit.templates.encoding import IGNORED
from iterit.training.own_trainers.batch_changes import changes, places_of
from iterit.training.own_trainers.trainer_checks import own_method
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
        self._same: list[tuple[torch.Tensor, int, torch.Tensor]] = []
        self._untrained: set[int] = set()
        self._has_labels, self._unseen_loss = False, ""

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
        self._unseen_loss = own_method(trainer, "compute_loss") or own_method(trainer, "training_step") or ""
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

    @contextmanager
    def batch(self, model: Any, batch: object) -> Iterator[None]:
        """Check the next batch before it is trained, and what of it the model receives inside the block.

        Parameters
        ----------
        model : torch.nn.Module
            As the trainer has wrapped it.
        batch : mapping of str to tensor

        Raises
        ------
        ParameterError
            It does not hold the picks or holds others, or the model receives other ones, or not all.
        """
        rows = self._batches[self.n_checked] if self.n_checked < len(self._batches) else ()
        self.n_checked += 1
        if not self._is_on:
            yield
            return
        self._expected, self._same, self._has_labels = [self.rows[row] for row in rows], [], False
        self._untrained = {n for n, one in enumerate(self._expected) if set(one["labels"]) != {IGNORED}}
        self.check(batch)
        hook = model.register_forward_pre_hook(self._receive, with_kwargs=True)
        try:
            yield
            self._check_received()
        finally:
            hook.remove()
            self._expected, self._same = None, []  # what is evaluated is no pick

    def check(self, batch: object) -> None:
        """Check the batch that is trained once more, where methods of the trainer may have changed it.

        Raises
        ------
        ParameterError
            It does not hold the picks, or holds others.
        """
        if self._expected is None or self._is_same(batch):
            return
        if problem := changes(batch, self._expected, self.n_known):
            raise self._other_batch(f"something {problem}")
        self._keep(batch)

    def _receive(self, model: object, args: object, given: Mapping[str, Any]) -> None:
        """Check what the model receives; without labels or gradients it trains nothing by itself."""
        if self._expected is None or given.get("labels") is None or not torch.is_grad_enabled():
            return
        self._has_labels = True
        if self._is_same(given) or not changes(given, self._expected, self.n_known):
            self._untrained.clear()
            return
        if (found := places_of(given, self._expected)) is None:
            raise self._other_batch(
                "the trainer gives the model other tokens or labels than those of the picks"
            )
        self._untrained -= found

    def _check_received(self) -> None:
        """Refuse a batch of which a part was not trained; say where that cannot be known."""
        if self._has_labels and self._untrained:
            raise self._other_batch(
                f"the trainer does not give the model {len(self._untrained)} of its picks"
            )
        if not self._has_labels and self._unseen_loss:
            warnings.warn(
                f"{self._unseen_loss} gives the model no labels: its loss is computed elsewhere, if at all, "
                f"and it is not checked whether only the answers are trained; labels of {IGNORED} must not "
                "count.",
                DebiasWarning,
                stacklevel=4,
            )
            self._unseen_loss = ""

    def _keep(self, batch: Any) -> None:
        """Remember the tensors of a batch that was checked, so that the same ones are known at once."""
        tensors = [batch["input_ids"], batch["labels"]]
        if all(map(torch.is_tensor, tensors)):
            self._same = [(one, one._version, one.detach().clone()) for one in tensors]

    def _is_same(self, batch: Any) -> bool:
        """Tell whether a batch has the tokens and labels that were checked."""
        if not self._same or not isinstance(batch, Mapping) or not {"input_ids", "labels"} <= set(batch):
            return False
        pairs = zip((batch["input_ids"], batch["labels"]), self._same, strict=True)
        return all(_equal(one, *kept) for one, kept in pairs)

    def _other_batch(self, problem: str) -> ParameterError:
        return _refused(f"batch {self.n_checked - 1} of the epoch is not that of its picks: {problem}")

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


def _equal(given: Any, kept: torch.Tensor, version: int, content: torch.Tensor) -> bool:
    """Tell whether a tensor has the content of a kept one; the same one, unchanged, is not looked at."""
    if given is kept and given._version == version:
        return True
    same_kind = torch.is_tensor(given) and given.shape == content.shape
    return same_kind and bool(torch.equal(given.to(content.device), content))


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
