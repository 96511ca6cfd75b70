"""Runs a model as if its weights were perturbed: what a layer needs is drawn while it runs, and dropped.

Weights are never changed and changed back, which floats do not survive: each layer works with a copy of a
few of its rows. An embedding draws the rows that are looked up, the vocabulary a slice at a time, and
tied weights get the same numbers wherever they are read. Masks are those of the unperturbed weights.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.nn import functional

from debias.inference.zeroth_order.directions import Stream, perturbed, perturbed_rows, stream_of
from debias.inference.zeroth_order.trained_part import TrainedPart

if TYPE_CHECKING:
    from debias.inference.transformers.passes.forward import Forward

_AT_ONCE = 1 << 20
"""Numbers of a matrix that are perturbed at a time."""


@dataclass
class PerturbedMatrix:
    """A perturbed matrix of which only what is asked for is drawn.

    Parameters
    ----------
    weights : float32 tensor, shape (n_rows, width)
        Not perturbed.
    stream : Stream
    threshold, scale : float
    first : int, default=0
        Row of the whole matrix that `weights` begin with.

    Examples
    --------
    >>> matrix = PerturbedMatrix(torch.zeros(4, 2), stream_of(1, "a"), float("inf"), 1.0)
    >>> torch.equal(matrix[1:3].float(), matrix.float()[1:3])
    True
    >>> torch.equal(matrix[torch.tensor([3, 1, 3])], matrix.float()[[3, 1, 3]])
    True
    """

    weights: torch.Tensor
    stream: Stream
    threshold: float
    scale: float
    first: int = 0

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.weights.device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return self.weights.dtype

    def __getitem__(self, rows: "slice | torch.Tensor") -> Any:
        """Return a part that is not yet drawn for a slice, the rows themselves for their numbers."""
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            part = self.weights[start:stop]
            return PerturbedMatrix(part, self.stream, self.threshold, self.scale, self.first + start)
        asked, inverse = torch.unique(rows, return_inverse=True)
        return perturbed_rows(self.weights, asked, self.stream, self.threshold, self.scale)[inverse]

    def float(self) -> torch.Tensor:
        """Draw all of it."""
        first = self.first * self.weights[0].numel()
        return perturbed(self.weights, first, self.stream, self.threshold, self.scale)

    def slices(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """Draw it a slice of rows at a time."""
        n_rows = max(1, _AT_ONCE // self.weights[0].numel())
        for at in range(0, len(self), n_rows):
            rows = slice(at, min(at + n_rows, len(self)))
            yield rows, self[rows].float()


@dataclass
class PerturbedForward:
    """A model that can be run with perturbed weights.

    Parameters
    ----------
    model : Module
    part : TrainedPart
        What is perturbed.
    forward : Forward, optional
        The pass that scores, of which the output matrix is perturbed as well.

    Attributes
    ----------
    whole : set of str
        Tensors that are copied whole while the model runs, as they are read otherwise than by calling
        the module they belong to: norms and biases, which are small, and whatever a trial finds.

    Examples
    --------
    >>> model = nn.Linear(2, 1, bias=False)
    >>> running = PerturbedForward(model, TrainedPart.of(model))
    >>> with torch.no_grad(), running.at(seed=7, scale=0.5):
    ...     moved = model(torch.eye(2))
    >>> with torch.no_grad():
    ...     bool((moved != model(torch.eye(2))).all())
    True
    """

    model: nn.Module
    part: TrainedPart
    forward: "Forward | None" = None
    whole: set[str] = field(default_factory=set)
    met: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.whole |= {name for name, one in self.part.parameters.items() if one.dim() < 2}
        self._owners: list[tuple[nn.Module, list[str]]] = []
        for module in self.model.modules():
            own = [self.part.name_of(one) for one in module.parameters(recurse=False)]
            names = [name for name in own if name is not None]
            if names:
                self._owners.append((module, names))

    def find_unmet(self, run: Callable[[], object]) -> list[str]:
        """Run the model once, and copy whole what was not met on the way; return their names.

        Parameters
        ----------
        run : callable
            Runs the model on any rows.
        """
        self.met.clear()
        with torch.no_grad(), self.at(0, 0.0):
            run()
        unmet = [name for name in self.part.parameters if name not in self.met | self.whole]
        self.whole |= set(unmet)
        return unmet

    @contextmanager
    def at(self, seed: int, scale: float) -> Iterator[None]:
        """Let the model run as if its weights were ``w + scale * m * z``, while the block lasts.

        Parameters
        ----------
        seed : int
            Of the direction z.
        scale : float
        """
        plain = {name: one.data for name, one in self.part.parameters.items()}
        moved = {
            name: PerturbedMatrix(data, stream_of(seed, name), self.part.thresholds[name], scale)
            for name, data in plain.items()
        }
        replaced: list[tuple[nn.Module, Any]] = []
        try:
            for name in self.whole:
                self.part.parameters[name].data = moved[name].float()
            for module, names in self._owners:
                drawn = [name for name in names if name not in self.whole]
                if drawn:
                    replaced.append((module, module.__dict__.get("forward")))
                    module.__dict__["forward"] = self._forward_of(module, drawn, plain, moved)
            if self.forward is not None:
                self.forward.output_matrix = self._output_matrix(moved)
            yield
        finally:
            if self.forward is not None:
                self.forward.output_matrix = None
            for module, before in replaced:
                if before is None:
                    module.__dict__.pop("forward", None)
                else:
                    module.__dict__["forward"] = before
            for name, data in plain.items():
                self.part.parameters[name].data = data

    def _output_matrix(self, moved: dict[str, PerturbedMatrix]) -> torch.Tensor | None:
        """Return the perturbed output matrix, None where it is not perturbed, or is copied whole."""
        assert self.forward is not None
        head = self.forward.model.get_output_embeddings()
        name = self.part.name_of(getattr(head, "weight", None))
        if name is None or name in self.whole:
            return None
        self.met.add(name)
        return cast(torch.Tensor, moved[name])

    def _forward_of(
        self,
        module: nn.Module,
        names: list[str],
        plain: dict[str, torch.Tensor],
        moved: dict[str, PerturbedMatrix],
    ) -> Callable[..., torch.Tensor]:
        """Return what a module does with perturbed weights."""
        before = module.__dict__.get("forward") or partial(type(module).forward, module)
        if len(names) == 1 and "forward" not in module.__dict__:
            if type(module) is nn.Linear:
                return partial(self._linear, names[0], moved[names[0]], module)
            if type(module) is nn.Embedding and module.max_norm is None:
                return partial(self._embedding, names[0], moved[names[0]])
        own = [(name, self.part.parameters[name]) for name in names]
        lock = Lock()  # batches may run in several threads

        def with_copies(*args: object, **more: object) -> torch.Tensor:
            self.met.update(names)
            with lock:
                for name, one in own:
                    one.data = moved[name].float()
                try:
                    return cast(torch.Tensor, before(*args, **more))
                finally:
                    for name, one in own:
                        one.data = plain[name]

        return with_copies

    def _linear(
        self, name: str, matrix: PerturbedMatrix, module: nn.Linear, inputs: torch.Tensor
    ) -> torch.Tensor:
        """Multiply by a perturbed matrix, some of its rows at a time."""
        self.met.add(name)
        if matrix.weights.numel() <= _AT_ONCE:
            return functional.linear(inputs, matrix.float(), module.bias)
        out = inputs.new_empty(*inputs.shape[:-1], len(matrix))
        for rows, weights in matrix.slices():
            bias = None if module.bias is None else module.bias[rows]
            out[..., rows] = functional.linear(inputs, weights, bias)
        return out

    def _embedding(self, name: str, matrix: PerturbedMatrix, input: torch.Tensor) -> torch.Tensor:
        """Look up perturbed rows."""
        self.met.add(name)
        return cast(torch.Tensor, matrix[input.reshape(-1)].view(*input.shape, -1))
