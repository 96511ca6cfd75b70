"""The exact search on a GPU: the same tree counted by matrix products of torch, the same answer bit for bit.

The device counts and values all choices of a batch; the few that could change the answer are
compared here, in the order and by the functions of the compiled walk.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch

from debias.errors import ParameterError
from debias.search.device_lanes import DeviceLanes, fit_prefixes
from debias.search.device_values import Values, least_objectives, value_counts
from debias.search.offers import offer_choices, offer_pairs
from debias.search.problem import Candidate, IndexArray, Problem
from debias.search.proof.bounds import TOLERANCE
from debias.search.proof.enumeration import bound_prefixes
from debias.search.proof.enumeration_state import Found, new_state
from debias.search.proof.exact_search import ExactSearch, Known, Walked

MEMORY = 1 << 32
"""Bytes of the device that a search takes at most, beside what torch itself needs."""
_SLACK = 2 * TOLERANCE
"""What a device may round otherwise: so much above the best still goes to the comparison."""
_WAYS = 1_000


def resolve_device(name: str) -> torch.device:
    """Return the device of a name, or say why it cannot be used.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda", "cuda:0", ...}
        ``"auto"`` is a CUDA device where there is one, else the processor.

    Returns
    -------
    torch.device
        Present on this machine.

    Raises
    ------
    ParameterError
        There is no such device.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if n_devices else "cpu"
    kind, _, index = name.partition(":")
    if kind == "cuda" and int(index or 0) >= n_devices:
        there = f"{n_devices} of them" if n_devices else "none"
        raise ParameterError(
            f"device={name!r} needs a CUDA device; torch finds {there} here. Use device=None for "
            "the compiled search, which gives the same answer, or install a torch with CUDA."
        )
    return torch.device(name)


class DeviceSearch(ExactSearch):
    """Branch and bound like :class:`~debias.search.proof.exact_search.ExactSearch`, on a device of torch.

    Algorithm
    ---------
    1. The prefixes of a batch of parts are extended class by class; those whose bound is above
       the best are dropped.
    2. All choices below what is left are counted by matrix products, and valued.
    3. Those that could beat the best, or have the lowest COBias among as many right samples, are
       handed to the comparison of the compiled walk, in its order.

    So the best choice, its objective and the certificate are those of the compiled search, and so
    are the fronts where nothing is pruned. With pruning the fronts hold what was met, and other
    choices are met here: rows of the last class but one are not ruled out one by one.

    Parameters
    ----------
    problem : Problem
        What is searched.
    device : str, default="cuda"
        See :func:`resolve_device`; ``"cpu"`` is for tests, the compiled search is faster there.
    memory : int, default=MEMORY
        Bytes of the device that may be taken.

    Raises
    ------
    ParameterError
        There is no such device, or the tables do not fit.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.objective import Objective
    >>> from debias.search.problem import build_problem
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]])
    >>> problem = build_problem(P, np.array([1, 0, 0]), weights(4), Objective(pmi=0))
    >>> result = DeviceSearch(problem, "cpu").run()
    >>> result.best == ExactSearch(problem).run().best, result.certificate.status
    (True, 'optimal')
    """

    def __init__(self, problem: Problem, device: str = "cuda", memory: int = MEMORY):
        self.device = resolve_device(device)
        self.place = str(self.device)
        super().__init__(problem)
        self.memory = memory
        fit_prefixes(self.lanes, memory)

    def estimate(self, start: Candidate | None = None, random_state: int = 0) -> tuple[float, float]:
        """Estimate the seconds that :meth:`run` takes.

        Parameters
        ----------
        start : Candidate, optional
            The choice that it would begin with.
        random_state : int, default=0
            Seed of the random prefixes that are bounded.

        Returns
        -------
        pruned, complete : float
            With pruning, and evaluating everything. The first is rough: prefixes that matter
            may be met by few of the random ones.
        """
        known = self._known(start)
        self._arrange(known)
        rng = np.random.default_rng(random_state)
        sizes = self.lanes.n_lanes[self.lanes.order[:-2]]
        prefixes = rng.integers(0, sizes, (_WAYS, len(sizes)))
        bounds = np.empty(_WAYS)
        bound_prefixes(self.lanes, self.terms, new_state(self.lanes), prefixes, bounds)
        tables, found = DeviceLanes(self.lanes, self.device, self.memory), known.found()
        found.reached.fill(-np.inf)
        batch = _Batch(self, tables, found, np.zeros(1, dtype=np.bool_))
        batch.sweep(prefixes[:1])
        batch.n_counted = 0
        begun = time.perf_counter()
        batch.sweep(prefixes[: tables.n_prefixes])
        complete = float(self.lanes.n_choices) * (time.perf_counter() - begun) / batch.n_counted
        return complete * float(np.mean(bounds <= known.best.objective + TOLERANCE)), complete

    @contextmanager
    def _walker(
        self, prune: bool, stop: npt.NDArray[np.bool_], n_threads: int
    ) -> Iterator[Callable[[IndexArray, Known], Walked]]:
        """Give what walks all parts of a batch: here, the device, all of them together."""
        tables = DeviceLanes(self.lanes, self.device, self.memory)

        def walk_batch(prefixes: IndexArray, known: Known) -> Walked:
            batch = _Batch(self, tables, known.found(), stop)
            interrupted = False
            try:
                batch.walk(prefixes, prune)
            except KeyboardInterrupt:
                stop[0] = batch.cut = interrupted = True
            finished = np.full(len(prefixes), not batch.cut)
            return Walked([batch.found], batch.n_counted, finished, interrupted)

        yield walk_batch


class _Batch:
    """A batch of parts on the device, and what was found in it."""

    def __init__(self, search: DeviceSearch, tables: DeviceLanes, found: Found, stop: npt.NDArray[np.bool_]):
        self.search = search
        self.tables = tables
        self.found = found
        self.stop = stop
        self.state = new_state(search.lanes)
        self.n_counted = 0
        self.cut = False

    def walk(self, prefixes: IndexArray, prune: bool) -> None:
        """Extend prefixes class by class, in order, and sweep what is left; ``cut`` if it was stopped."""
        depth = prefixes.shape[1]
        if depth < len(self.tables.order) - 2:
            every = np.arange(self.tables.n_lanes[self.tables.order[depth]])
        for at in range(0, len(prefixes), self.tables.n_prefixes):
            self.cut = self.cut or bool(self.stop[0])
            if self.cut:
                return
            piece = prefixes[at : at + self.tables.n_prefixes]
            if depth == len(self.tables.order) - 2:
                self.sweep(piece)
                continue
            longer = np.column_stack([np.repeat(piece, len(every), axis=0), np.tile(every, len(piece))])
            self.walk(self._alive(longer) if prune else longer, prune)

    def _alive(self, prefixes: IndexArray) -> IndexArray:
        """Return the prefixes below which a choice may be as good as the best."""
        highest = float(self.found.best[0]) + TOLERANCE
        alive = []
        for at in range(0, len(prefixes), self.tables.n_prefixes):
            piece = torch.from_numpy(prefixes[at : at + self.tables.n_prefixes]).to(self.tables.device)
            alive.append(least_objectives(self.tables.most(piece), self.search.terms) <= highest)
        return prefixes[torch.cat(alive).cpu().numpy()]

    def sweep(self, prefixes: IndexArray) -> None:
        """Count and value all choices below prefixes that leave two classes open."""
        counts = self.tables.counts(torch.from_numpy(prefixes).to(self.tables.device))
        values = value_counts(counts, self.search.terms)
        self._offer_choices(prefixes, counts, values)
        self._offer_pairs(prefixes, values)
        self.n_counted += counts.shape[1]

    def _offer_choices(self, prefixes: IndexArray, counts: torch.Tensor, values: Values) -> None:
        """Compare, as the compiled walk does, the choices that may beat the best."""
        search, highest = self.search, float(self.found.best[0]) + _SLACK
        if float(values.least.min()) > highest:
            return
        # What the most promising choice is worth spares most of the others the way here.
        first = self.tables.lanes_of(prefixes, np.array([int(values.least.argmin())]))[0]
        highest = min(highest, search.problem.evaluate(search.choices(first)) + _SLACK)
        at = torch.nonzero(values.least <= highest).squeeze(1)
        chosen = self.tables.lanes_of(prefixes, at.cpu().numpy())
        mine, partial = counts[:, at].T.long().cpu().numpy(), values.partial[at].cpu().numpy()
        offer_choices(search.lanes, search.terms, self.state, self.found, chosen, mine, partial)

    def _offer_pairs(self, prefixes: IndexArray, values: Values) -> None:
        """Compare likewise the choices that may have the lowest COBias among as many right samples."""
        found = self.found
        bar = torch.from_numpy(np.minimum(found.reached, found.front[0] + TOLERANCE)).to(self.tables.device)
        right = values.right.long()
        at = torch.nonzero(values.cobias <= bar[right]).squeeze(1)
        right, cobias = right[at], values.cobias[at]
        least = torch.full_like(bar, torch.inf).scatter_reduce_(0, right, cobias, "amin")
        tied = cobias <= least[right] + TOLERANCE
        chosen = self.tables.lanes_of(prefixes, at[tied].cpu().numpy())
        reached = right[tied].cpu().numpy(), cobias[tied].cpu().numpy()
        offer_pairs(self.search.lanes, self.state, found, chosen, *reached)
