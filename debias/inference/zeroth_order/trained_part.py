"""The tensors of a model that forward-only training changes: their names, thresholds, steps and digest."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from debias.errors import ParameterError, param
from debias.inference.zeroth_order.directions import Stream, descend, stream_of
from debias.inference.zeroth_order.thresholds import EVERYTHING, threshold_of


@dataclass
class TrainedPart:
    """The parameters of a model that are trained, in their order; tied weights are one.

    Parameters
    ----------
    parameters : dict of str to Parameter
        By name, all in float32.
    thresholds : dict of str to float
        Size up to which the weights of each are touched; fixed before training.
    decayed : frozenset of str
        Those that weight decay shrinks: no biases and no norms.

    Examples
    --------
    >>> part = TrainedPart.of(nn.Linear(4, 4), sparsity=0.75)
    >>> sorted(part.parameters), part.n_touched()
    (['bias', 'weight'], 5)
    """

    parameters: dict[str, nn.Parameter]
    thresholds: dict[str, float]
    decayed: frozenset[str]
    _places: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, model: nn.Module, sparsity: float = 0.0, include: Callable[[str], bool] | None = None
    ) -> "TrainedPart":
        """Return the part of a model that is trained: what requires gradients, though none are computed.

        Parameters
        ----------
        model : Module
        sparsity : float, default=0.0
            Share of the weights of each tensor that is NOT touched: the largest. 0 is plain MeZO.
        include : callable, optional
            Whether to train the parameter of a name.

        Raises
        ------
        ParameterError
            Nothing is trained, a trained tensor is not in float32, or the share is not allowed.
        """
        if not (isinstance(sparsity, int | float) and 0 <= sparsity < 1):
            raise ParameterError(
                parameter="sparsity",
                received=sparsity,
                allowed="a share from 0 to below 1, of the weights that are NOT touched",
            )
        chosen = {
            name: one
            for name, one in model.named_parameters()
            if one.requires_grad and one.numel() and (include is None or include(name))
        }
        if not chosen:
            raise ParameterError(
                "the model has nothing to train: no parameter requires gradients",
                parameter="model",
                fix="call requires_grad_(True) on the part that is to be trained",
            )
        for name, one in chosen.items():
            if one.dtype != torch.float32:
                raise ParameterError(
                    f"{name} is in {str(one.dtype).removeprefix('torch.')}, in which small steps are lost "
                    "to rounding",
                    parameter="dtype",
                    received=str(one.dtype).removeprefix("torch."),
                    allowed="float32 for what is trained; frozen weights may have any format",
                    fix=f"load the model with {param('dtype', 'float32')}, or train an adapter in float32",
                )
            if not one.is_contiguous():
                one.data = one.data.contiguous()
        thresholds = {name: threshold_of(one.data, sparsity) for name, one in chosen.items()}
        decayed = frozenset(name for name, one in chosen.items() if one.dim() > 1)
        return cls(chosen, thresholds, decayed)

    def __post_init__(self) -> None:
        self._places = {id(one): name for name, one in self.parameters.items()}

    def name_of(self, parameter: object) -> str | None:
        """Return the name of a parameter that is trained, None of another object."""
        return self._places.get(id(parameter))

    def streams(self, seed: int) -> Iterator[tuple[str, nn.Parameter, Stream]]:
        """Yield names, parameters and their streams in a step."""
        for name, one in self.parameters.items():
            yield name, one, stream_of(seed, name)

    def step(self, seed: int, projected: float, rate: float, decay: float = 0.0) -> None:
        """Take a step: weights lose ``rate * (projected * m * z + decay * weight)`` where they are touched.

        Parameters
        ----------
        seed : int
            Of the direction.
        projected : float
            Projected gradient; it, the rate and their products are rounded to float32.
        rate : float
            Learning rate.
        decay : float, default=0.0
            Weight decay.
        """
        along = float(np.float32(np.float32(rate) * np.float32(projected)))
        shrink = float(np.float32(np.float32(rate) * np.float32(decay)))
        for name, one, stream in self.streams(seed):
            own = shrink if name in self.decayed else 0.0
            descend(one.data, stream, self.thresholds[name], along, own)

    @property
    def n_weights(self) -> int:
        """Weights of all tensors that are trained."""
        return sum(one.numel() for one in self.parameters.values())

    def n_touched(self) -> int:
        """Count the weights that a step would touch now."""
        touched = 0
        for name, one in self.parameters.items():
            if self.thresholds[name] == EVERYTHING:
                touched += one.numel()
                continue
            for part in torch.split(one.data, 1024):
                touched += int((part.abs() <= self.thresholds[name]).sum().item())
        return touched

    def thresholds_digest(self) -> str:
        """Return a digest of names, shapes and thresholds."""
        digest = hashlib.sha256()
        for name, one in self.parameters.items():
            threshold = np.float32(self.thresholds[name]).astype("<f4").tobytes()
            digest.update(f"{name}\0{tuple(one.shape)}\0".encode() + threshold)
        return digest.hexdigest()[:16]


def weights_digest(model: nn.Module) -> str:
    """Return a digest of every number of a model's parameters, by which a run knows its base.

    Parameters
    ----------
    model : Module

    Returns
    -------
    str

    Examples
    --------
    >>> layer = nn.Linear(2, 2)
    >>> before = weights_digest(layer)
    >>> layer.weight.data[1, 1] += 1
    >>> weights_digest(layer) == before
    False
    """
    digest = hashlib.sha256()
    for name, one in model.named_parameters():
        digest.update(f"{name}\0{tuple(one.shape)}\0{one.dtype}\0".encode())
        for part in torch.split(one.data, 4096) if one.dim() else (one.data,):
            plain = part.contiguous().view(-1).view(torch.uint8).cpu()
            digest.update(cast(NDArray[np.uint8], plain.numpy()).data)
    return digest.hexdigest()[:16]
