"""Parts of a layer that are kept, and the rows and columns of its matrices that they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from iterit.training.pruned.llama_parts import Indices, Sizes

_OUTPUTS = {
    "q_proj": "queries",
    "k_proj": "keys",
    "v_proj": "keys",
    "gate_proj": "neurons",
    "up_proj": "neurons",
}
_INPUTS = {"o_proj": "queries", "down_proj": "neurons"}


@dataclass(frozen=True)
class KeptParts:
    """Neurons and heads of a layer that are kept.

    Parameters
    ----------
    neurons, heads : tuple of int
        Ascending.

    Examples
    --------
    Of two heads with two queries each, four numbers wide, the second is kept:

    >>> sizes = Sizes(n_layers=1, hidden=16, neurons=6, heads=2, group=2, width=4)
    >>> kept = KeptParts((0, 5), (1,))
    >>> kept.outputs("q_proj", sizes).tolist()
    [8, 9, 10, 11, 12, 13, 14, 15]
    >>> kept.inputs("down_proj", sizes).tolist(), kept.inputs("up_proj", sizes)
    ([0, 5], None)
    """

    neurons: tuple[int, ...]
    heads: tuple[int, ...]

    @classmethod
    def whole(cls, sizes: Sizes) -> Self:
        """Return all parts of a layer."""
        return cls(tuple(range(sizes.neurons)), tuple(range(sizes.heads)))

    @classmethod
    def highest(cls, neurons: ArrayLike, heads: ArrayLike, n_neurons: int, n_heads: int) -> Self:
        """Return the parts with the highest importance; of equal ones, the first."""
        return cls(_highest(neurons, n_neurons), _highest(heads, n_heads))

    def outputs(self, projection: str, sizes: Sizes) -> Indices | None:
        """Return the rows of a projection's weight that are kept, or None where all are, whatever is kept."""
        return self._positions(_OUTPUTS.get(projection), sizes)

    def inputs(self, projection: str, sizes: Sizes) -> Indices | None:
        """Return the columns of a projection's weight that are kept, or None."""
        return self._positions(_INPUTS.get(projection), sizes)

    def shape(self, projection: str, sizes: Sizes) -> tuple[int, int]:
        """Return the shape of a projection's weight when only these parts are left."""
        n_outputs, n_inputs = sizes.shape(projection)
        outputs, inputs = self.outputs(projection, sizes), self.inputs(projection, sizes)
        return (
            n_outputs if outputs is None else len(outputs),
            n_inputs if inputs is None else len(inputs),
        )

    def _positions(self, part: str | None, sizes: Sizes) -> Indices | None:
        if part is None:
            return None
        if part == "neurons":
            return np.asarray(self.neurons, dtype=np.int64)
        step = sizes.width * (sizes.group if part == "queries" else 1)
        starts = np.asarray(self.heads, dtype=np.int64)[:, None] * step
        return (starts + np.arange(step)).ravel()


def are_alike(kept: Sequence[KeptParts]) -> bool:
    """Whether all layers keep the same number of neurons and of heads.

    Examples
    --------
    >>> are_alike([KeptParts((0, 1), (0,)), KeptParts((3, 4), (1,))])
    True
    >>> are_alike([KeptParts((0, 1), (0,)), KeptParts((3,), (1,))])
    False
    """
    return len({(len(one.neurons), len(one.heads)) for one in kept}) == 1


def n_kept(total: int, share: float) -> int:
    """Return how many of some parts are kept when a share of them is pruned: the nearest number, at least 1.

    A half is kept rather than pruned.

    Examples
    --------
    >>> [n_kept(3, share) for share in (0, 0.25, 0.5, 0.75, 0.99)]
    [3, 2, 2, 1, 1]
    """
    return max(1, int(np.floor(total * (1 - share) + 0.5 + 1e-9)))


def _highest(importance: ArrayLike, count: int) -> tuple[int, ...]:
    """Return the positions of the largest numbers, ascending."""
    order = np.argsort(-np.asarray(importance, dtype=np.float64), kind="stable")
    return tuple(np.sort(order[:count]).tolist())
