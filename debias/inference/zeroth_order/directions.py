"""Random directions of numbers with mean 0 and variance 1, each drawn from its place: nothing is kept.

A number is decided by the seed of a step, the name of a tensor and its place in it: a hash of the place
(SplitMix64; Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014) picks one
of 65,536 equally likely quantiles of the normal distribution. So any rows of any tensor are drawn again
anywhere, in any order and by any number of threads, with the same bytes: integers are hashed, and nothing
but one product and one sum is rounded. The largest number is 4.17.
"""

import functools
import hashlib
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri

from debias.compilation import compiled

N_QUANTILES = 1 << 16
_LANES = 4  # of 16 bits in a hash
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_U1, _U2 = np.uint64(_FIRST), np.uint64(_SECOND)
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)
_S16, _S32, _S48, _LOW = np.uint64(16), np.uint64(32), np.uint64(48), np.uint64(0xFFFF)
_TWO, _THREE = np.uint64(2), np.uint64(3)
_AT_ONCE = 1 << 20


class Stream(NamedTuple):
    """The numbers of one tensor in one step.

    Parameters
    ----------
    key, step : int
        Of 64 bits: what is hashed for the place 0, and what is added for every four places.
    """

    key: int
    step: int


def stream_of(seed: int, name: str) -> Stream:
    """Return the stream of a tensor in a step.

    Parameters
    ----------
    seed : int
        Of the step.
    name : str
        Of the tensor; tied weights have one.

    Returns
    -------
    Stream

    Examples
    --------
    >>> stream_of(1, "a") == stream_of(1, "a"), stream_of(1, "a") == stream_of(2, "a")
    (True, False)
    """
    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    return Stream(int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little") | 1)


@functools.cache
def quantiles() -> NDArray[np.float32]:
    """Return the quantiles that numbers are picked from: symmetrical, mean 0, variance 1.

    Examples
    --------
    >>> table = quantiles().astype(float)
    >>> len(table), abs(round(float(table.mean()), 9)), round(float((table**2).mean()), 6)
    (65536, 0.0, 1.0)
    """
    upper = ndtri((np.arange(N_QUANTILES // 2, N_QUANTILES) + 0.5) / N_QUANTILES)
    upper = upper / np.sqrt((upper**2).mean())
    return np.concatenate([-upper[::-1], upper]).astype(np.float32)


@functools.cache
def quantiles_digest() -> str:
    """Return a digest of the quantiles: a run is replayed where they are the same."""
    return hashlib.sha256(quantiles().astype("<f4").tobytes()).hexdigest()[:16]


@compiled
def _hashed(place, key, step):  # type: ignore[no-untyped-def]
    """Hash four places, which follow ``4 * place``."""
    word = key + place * step
    word = (word ^ (word >> _S30)) * _U1
    word = (word ^ (word >> _S27)) * _U2
    return word ^ (word >> _S31)


@compiled
def _lane(place, key, step):  # type: ignore[no-untyped-def]
    """Return which quantile a place has."""
    at = np.uint64(place)
    return (_hashed(at >> _TWO, key, step) >> ((at & _THREE) * _S16)) & _LOW


@compiled
def _perturb(weights, first, key, step, threshold, scale, table, out):  # type: ignore[no-untyped-def]
    """Write weights plus ``scale`` times their direction, where they are not above the threshold."""
    n, nothing = weights.size, np.float32(0)
    start = min(-first % _LANES, n)
    groups = (n - start) // _LANES
    for i in range(start):
        taken = scale if abs(weights[i]) <= threshold else nothing
        out[i] = weights[i] + taken * table[_lane(first + i, key, step)]
    place = np.uint64((first + start) // _LANES)
    for group in range(groups):
        # invariant: out[: start + 4 * group] is done; out may be weights, each read before it is written
        word, i = _hashed(place + np.uint64(group), key, step), start + _LANES * group
        a, b, c, d = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
        out[i] = a + (scale if abs(a) <= threshold else nothing) * table[word & _LOW]
        out[i + 1] = b + (scale if abs(b) <= threshold else nothing) * table[(word >> _S16) & _LOW]
        out[i + 2] = c + (scale if abs(c) <= threshold else nothing) * table[(word >> _S32) & _LOW]
        out[i + 3] = d + (scale if abs(d) <= threshold else nothing) * table[word >> _S48]
    for i in range(start + _LANES * groups, n):
        taken = scale if abs(weights[i]) <= threshold else nothing
        out[i] = weights[i] + taken * table[_lane(first + i, key, step)]


@compiled
def _perturb_rows(weights, rows, key, step, threshold, scale, table, out):  # type: ignore[no-untyped-def]
    """Write some rows of a matrix, perturbed."""
    width = weights.shape[1]
    for i in range(rows.size):
        # invariant: out[:i] is done
        row = rows[i]
        _perturb(weights[row], row * width, key, step, threshold, scale, table, out[i])


@compiled
def _descend(weights, key, step, threshold, along, decay, table):  # type: ignore[no-untyped-def]
    """Take ``along`` times the direction and ``decay`` times the weight off weights, in place."""
    n, nothing = weights.size, np.float32(0)
    for group in range(n // _LANES):
        # invariant: weights[: 4 * group] have taken their step
        word, i = _hashed(np.uint64(group), key, step), _LANES * group
        a, b, c, d = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
        a_off = along * table[word & _LOW] + decay * a
        b_off = along * table[(word >> _S16) & _LOW] + decay * b
        c_off = along * table[(word >> _S32) & _LOW] + decay * c
        d_off = along * table[word >> _S48] + decay * d
        weights[i] = a - (a_off if abs(a) <= threshold else nothing)
        weights[i + 1] = b - (b_off if abs(b) <= threshold else nothing)
        weights[i + 2] = c - (c_off if abs(c) <= threshold else nothing)
        weights[i + 3] = d - (d_off if abs(d) <= threshold else nothing)
    for i in range(n - n % _LANES, n):
        off = along * table[_lane(i, key, step)] + decay * weights[i]
        weights[i] = weights[i] - (off if abs(weights[i]) <= threshold else nothing)


def perturbed(
    weights: torch.Tensor,
    first: int,
    stream: Stream,
    threshold: float,
    scale: float,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return a perturbed copy of some weights of a tensor.

    Parameters
    ----------
    weights : float32 tensor
        Neighbours in their tensor.
    first : int
        Place of the first of them in the tensor.
    stream : Stream
    threshold : float
        Weights whose size is above it are copied as they are.
    scale : float
        Rounded to float32.
    out : float32 tensor, optional
        Where to write them.

    Returns
    -------
    float32 tensor, of the shape of `weights`

    Examples
    --------
    >>> stream = stream_of(1, "a")
    >>> whole = perturbed(torch.zeros(6), 0, stream, float("inf"), 1.0)
    >>> torch.equal(perturbed(torch.zeros(3), 3, stream, float("inf"), 1.0), whole[3:])
    True
    >>> perturbed(torch.tensor([0.5, 2.0]), 0, stream, 1.0, 1.0)[1]  # above the threshold
    tensor(2.)
    """
    found = torch.empty_like(weights, memory_format=torch.contiguous_format) if out is None else out
    given = weights.detach().contiguous()
    if given.device.type == "cpu":
        _perturb(
            given.view(-1).numpy(), first, np.uint64(stream.key), np.uint64(stream.step),
            np.float32(threshold), np.float32(scale), quantiles(), found.view(-1).numpy(),
        )  # fmt: skip
        return found
    flat, goal = given.view(-1), found.view(-1)
    size = torch.tensor(scale, dtype=torch.float32, device=flat.device)
    for at in range(0, len(flat), _AT_ONCE):
        part = flat[at : at + _AT_ONCE]
        moved = part + size * drawn(stream, first + at, len(part), flat.device)
        goal[at : at + _AT_ONCE] = torch.where(part.abs() <= threshold, moved, part)
    return found


def descend(
    weights: torch.Tensor, stream: Stream, threshold: float, along: float, decay: float = 0.0
) -> None:
    """Take a step along the direction of a tensor, in place.

    Parameters
    ----------
    weights : float32 tensor
        All of them.
    stream : Stream
    threshold : float
        Weights whose size is above it stay.
    along : float
        Learning rate times projected gradient, rounded to float32.
    decay : float, default=0.0
        Learning rate times weight decay, rounded to float32.

    Examples
    --------
    >>> weights = torch.ones(2)
    >>> descend(weights, stream_of(1, "a"), float("inf"), along=0.0, decay=0.25)
    >>> weights
    tensor([0.7500, 0.7500])
    """
    flat = weights.detach().view(-1)
    if flat.device.type == "cpu":
        array, key, step = flat.numpy(), np.uint64(stream.key), np.uint64(stream.step)
        numbers = np.float32(threshold), np.float32(along), np.float32(decay)
        _descend(array, key, step, *numbers, quantiles())
        return
    rate, shrink = (torch.tensor(one, dtype=torch.float32, device=flat.device) for one in (along, decay))
    for at in range(0, len(flat), _AT_ONCE):
        part = flat[at : at + _AT_ONCE]
        moved = part - (rate * drawn(stream, at, len(part), flat.device) + shrink * part)
        part.copy_(torch.where(part.abs() <= threshold, moved, part))


def perturbed_rows(
    weights: torch.Tensor, rows: torch.Tensor, stream: Stream, threshold: float, scale: float
) -> torch.Tensor:
    """Return a perturbed copy of some rows of a matrix; no other row is drawn.

    Parameters
    ----------
    weights : float32 tensor, shape (n, width)
    rows : int64 tensor, shape (n_rows,)
    stream, threshold, scale
        As for :func:`perturbed`.

    Returns
    -------
    float32 tensor, shape (n_rows, width)

    Examples
    --------
    >>> matrix, stream = torch.arange(6.0).view(3, 2), stream_of(1, "a")
    >>> whole = perturbed(matrix, 0, stream, float("inf"), 0.1)
    >>> torch.equal(perturbed_rows(matrix, torch.tensor([2, 0]), stream, float("inf"), 0.1), whole[[2, 0]])
    True
    """
    width = weights.shape[1]
    if weights.device.type == "cpu":
        found = torch.empty(len(rows), width)
        _perturb_rows(
            weights.detach().numpy(), rows.numpy(), np.uint64(stream.key), np.uint64(stream.step),
            np.float32(threshold), np.float32(scale), quantiles(), found.numpy(),
        )  # fmt: skip
        return found
    given = weights.detach()[rows]
    places = rows[:, None] * width + torch.arange(width, device=rows.device)
    size = torch.tensor(scale, dtype=torch.float32, device=rows.device)
    moved = given + size * drawn_at(stream, places)
    return torch.where(given.abs() <= threshold, moved, given)


def drawn(stream: Stream, first: int, count: int, device: "torch.device | str" = "cpu") -> torch.Tensor:
    """Return the numbers at neighbouring places; see :func:`drawn_at`.

    Examples
    --------
    >>> numbers = drawn(stream_of(3, "a"), 0, 40_000)
    >>> abs(float(numbers.mean())) < 0.02, abs(float(numbers.var()) - 1) < 0.03
    (True, True)
    """
    return drawn_at(stream, torch.arange(first, first + count, device=device))


def drawn_at(stream: Stream, places: torch.Tensor) -> torch.Tensor:
    """Return the numbers at some places, drawn by operations that every device has.

    Parameters
    ----------
    stream : Stream
    places : int64 tensor

    Returns
    -------
    float32 tensor, of the shape of `places`
        Those that the compiled loops draw.
    """
    words = _signed(stream.key) + (places >> 2) * _signed(stream.step)
    words = (words ^ _shifted(words, 30)) * _signed(_FIRST)
    words = (words ^ _shifted(words, 27)) * _signed(_SECOND)
    words = words ^ _shifted(words, 31)
    lanes = (words >> ((places & 3) * 16)) & 0xFFFF
    return torch.from_numpy(quantiles()).to(places.device)[lanes]


def _signed(number: int) -> int:
    """Return the signed number of the same 64 bits."""
    return number - (1 << 64) if number >> 63 else number


def _shifted(words: torch.Tensor, bits: int) -> torch.Tensor:
    """Shift words of 64 bits to the right, filled up with zeros."""
    return (words >> bits) & ((1 << (64 - bits)) - 1)
