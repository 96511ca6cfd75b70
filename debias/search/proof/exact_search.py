"""Exact search: the optimum, proved, and with it the whole frontier where nothing is pruned.

Branch and bound over the classes, the compiled part in :mod:`debias.search.proof.enumeration`. The choices
are divided by the corrections of the first classes; the parts are walked from the lowest bound
up, so that a search that is stopped can say how much better the unknown rest could be.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.errors import ParameterError
from debias.search.certificate import Certificate
from debias.search.counting import pairwise_wins as duels
from debias.search.pareto import Fronts, no_fronts
from debias.search.problem import Candidate, FloatArray, IndexArray, Problem
from debias.search.proof import bit_tables as lanes
from debias.search.proof.bit_tables import Lanes
from debias.search.proof.bounds import TOLERANCE, Terms, terms_of
from debias.search.proof.class_order import arrange, pruned_work
from debias.search.proof.enumeration import bound_prefixes, probe, walk
from debias.search.proof.enumeration_state import Found, new_state

BATCH = 64
"""Parts walked between two updates of what is known; so the answer does not depend on threads."""
_ENOUGH_PARTS, _MOST_PARTS = 500, 1_000_000
_SMALL_PART, _LARGE_PART = 20_000, 20_000_000
_TIMED_WAYS = 100


@dataclass(frozen=True)
class ExactResult:
    """What an exact search has found.

    Attributes
    ----------
    best : Candidate
        The best choice.
    certificate : Certificate
        What is proved of it.
    fronts : Fronts
        The pairs of right samples and COBias that were met.
    frontier_complete : bool
        Whether these are all that exist: nothing was pruned and nothing is left.
    n_choices : int
        Different choices, those that act alike on the samples counted once.
    interrupted : bool
        Whether a person stopped it.
    """

    best: Candidate
    certificate: Certificate
    fronts: Fronts
    frontier_complete: bool
    n_choices: int
    interrupted: bool


def fits(problem: Problem) -> bool:
    """Return whether the tables of an exact search fit into the memory that they may take."""
    return duels.n_bytes(problem) <= duels.LARGEST and lanes.n_bytes(problem) <= lanes.LARGEST


class ExactSearch:
    """Branch and bound on one problem; build it once, estimate, then run.

    Algorithm
    ---------
    1. Merge corrections that act alike on all samples; of each group keep the one that a
       person would choose (Candidate's order).
    2. List the corrections of the first classes together, the parts; bound each.
    3. Walk the parts from the lowest bound up. A class is settled at a time; a node is left
       out when the samples that its classes can still get right bound z above the best.
    4. The last two classes are counted together, all corrections of the last side by side.

    Invariant: every choice that beats the best is in a part not yet walked.

    Parameters
    ----------
    problem : Problem
        What is searched.

    Raises
    ------
    ParameterError
        The tables would not fit into memory.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.objective import Objective
    >>> from debias.search.problem import build_problem
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]])
    >>> problem = build_problem(P, np.array([1, 0, 0]), weights(4), Objective(pmi=0))
    >>> result = ExactSearch(problem).run()
    >>> result.best.objective, result.certificate.status
    (0.0, 'optimal')
    """

    place = "one core"
    """What :meth:`estimate` estimates the seconds of."""

    def __init__(self, problem: Problem):
        if not fits(problem):
            raise ParameterError(
                f"{problem.n_classes} classes with {problem.n_corrections} corrections and "
                f"{problem.n_samples:,} samples are too many to prove an optimum: use search='descent', "
                "a smaller family, or fewer rows."
            )
        self.problem = problem
        self.lanes: Lanes = lanes.build_lanes(problem, duels.duels_of(problem))
        self.terms: Terms = terms_of(problem)
        self._arranged = False

    def run(
        self,
        start: Candidate | None = None,
        prune: bool = True,
        time_limit: float | None = None,
        n_threads: int = 1,
        on_progress: Callable[[float], object] | None = None,
    ) -> ExactResult:
        """Search until the optimum is proved, or the time is over.

        Parameters
        ----------
        start : Candidate, optional
            A good choice to begin with; the identity if not given.
        prune : bool, default=True
            Leave out what bounds rule out; without, every choice is evaluated and the
            frontier is complete.
        time_limit : float, optional
            Seconds.
        n_threads : int, default=1
            Threads; the answer does not depend on them.
        on_progress : callable, optional
            Called with the share of the parts that is done.

        Returns
        -------
        ExactResult
            Interrupted (Ctrl-C) or out of time, the best so far, with what is proved of it.
        """
        started = time.perf_counter()
        known = self._known(start)
        if prune:
            self._arrange(known)
        parts = self._parts()
        stop = np.zeros(1, dtype=np.bool_)
        n_done = n_evaluations = 0
        interrupted = False
        lower_bound = float("inf")
        with _stopped_after(time_limit, stop), self._walker(prune, stop, n_threads) as walk_batch:
            for at in range(0, len(parts.prefixes), BATCH):
                try:
                    batch = np.arange(at, min(at + BATCH, len(parts.prefixes)))
                    alive = batch
                    if prune:
                        alive = batch[parts.bounds[batch] <= known.best.objective + TOLERANCE]
                    walked = walk_batch(parts.prefixes[alive], known)
                    for found in walked.found:
                        known.take(found)
                    known.update()
                    n_evaluations += walked.n_evaluations
                    interrupted = walked.interrupted
                    lower_bound = min([lower_bound, *parts.bounds[alive[~walked.finished]]])
                    n_done += len(batch)
                    if stop[0] and n_done < len(parts.prefixes):
                        lower_bound = min(lower_bound, parts.bounds[n_done])
                        break
                    if on_progress is not None:
                        on_progress(n_done / len(parts.prefixes))
                except KeyboardInterrupt:  # between two batches; within one it is handled there
                    stop[0] = interrupted = True
                    lower_bound = min(lower_bound, parts.bounds[at])
                    break
        best = known.best
        proved = lower_bound >= best.objective - TOLERANCE
        certificate = Certificate(
            status="optimal" if proved else "heuristic",
            radius=self.problem.n_classes if proved else 0,
            objective=best.objective,
            lower_bound=best.objective if proved else float(lower_bound),
            n_evaluations=n_evaluations,
            seconds=time.perf_counter() - started,
            interrupted=bool(stop[0]) and not proved,
        )
        complete = not prune and lower_bound == float("inf")
        fronts = replace(known.fronts, choice=self.choices(known.fronts.choice))
        return ExactResult(best, certificate, fronts, complete, self.lanes.n_choices, interrupted)

    def estimate(self, start: Candidate | None = None, random_state: int = 0) -> tuple[float, float]:
        """Estimate the seconds that :meth:`run` takes with one thread.

        Parameters
        ----------
        start : Candidate, optional
            The choice that it would begin with.
        random_state : int, default=0
            Seed of the random ways down the tree.

        Returns
        -------
        pruned, complete : float
            With pruning, and evaluating everything. The first is rough: branches that
            matter may be met by few of the ways.
        """
        known = self._known(start)
        found = known.found()
        self._arrange(known)
        state, deepest = new_state(self.lanes), self.problem.n_classes - 2
        work = pruned_work(self.lanes, self.terms, found, random_state=random_state)
        draws = np.random.default_rng(random_state).random((_TIMED_WAYS, deepest + 1))
        begun = time.perf_counter()
        probe(self.lanes, self.terms, state, found, draws)
        node = (time.perf_counter() - begun) / (_TIMED_WAYS * (deepest + 1))
        prefix = np.zeros(deepest, dtype=np.int64)
        found.reached.fill(-np.inf)
        walk(self.lanes, self.terms, state, found, prefix, False, True)
        begun = time.perf_counter()
        count, _ = walk(self.lanes, self.terms, state, found, prefix, False, True)
        each = (time.perf_counter() - begun) / count
        return work * node, float(self.lanes.n_choices) * each

    def lower_bound(self) -> float:
        """Return a bound of z that no choice undercuts: the least bound of all parts."""
        return float(self._parts().bounds.min())

    def _arrange(self, known: "Known") -> None:
        """Order the classes for pruning, once."""
        if not self._arranged:
            self.lanes = arrange(self.lanes, self.terms, known.found())
            self._arranged = True

    def choices(self, lane: IndexArray) -> IndexArray:
        """Return indices into the family in place of lanes, the last axis that of the classes."""
        return self.lanes.members[np.arange(self.problem.n_classes), lane]

    def _parts(self) -> "_Parts":
        """Divide the choices by the lanes of the first classes, and bound each part."""
        sizes = [int(self.lanes.n_lanes[k]) for k in self.lanes.order[:-2]]
        depth, n_parts, n_below = 0, 1, self.lanes.n_choices
        while depth < len(sizes) and n_parts * sizes[depth] <= _MOST_PARTS:
            if n_below <= (_SMALL_PART if n_parts < _ENOUGH_PARTS else _LARGE_PART):
                break
            n_parts, n_below, depth = n_parts * sizes[depth], n_below // sizes[depth], depth + 1
        grid = np.indices(sizes[:depth]).reshape(depth, -1).T if depth else np.zeros((1, 0))
        prefixes = np.ascontiguousarray(grid, dtype=np.int64)
        bounds = np.empty(len(prefixes))
        bound_prefixes(self.lanes, self.terms, new_state(self.lanes), prefixes, bounds)
        order = np.argsort(bounds, kind="stable")
        return _Parts(prefixes[order], bounds[order])

    def _known(self, start: Candidate | None) -> "Known":
        identity = self.problem.candidate(self.problem.identity_choice)
        return Known(self, start if start is not None and start.beats(identity) else identity)

    @contextmanager
    def _walker(
        self, prune: bool, stop: npt.NDArray[np.bool_], n_threads: int
    ) -> "Iterator[Callable[[IndexArray, Known], Walked]]":
        """Give what walks all parts of a batch: here, threads with a scratch each."""
        local = threading.local()

        def walk_part(prefix: IndexArray, known: Known) -> tuple[Found, int, bool]:
            if not hasattr(local, "state"):
                local.state = new_state(self.lanes, stop)
            found = known.found()
            count, finished = walk(self.lanes, self.terms, local.state, found, prefix, prune, True)
            return found, count, finished

        def walk_batch(prefixes: IndexArray, known: Known) -> Walked:
            futures = [pool.submit(walk_part, prefix, known) for prefix in prefixes]
            interrupted = False
            try:
                wait(futures)
            except KeyboardInterrupt:
                stop[0] = interrupted = True
            results = [future.result() for future in futures]
            finished = np.array([result[2] for result in results], dtype=np.bool_)
            n_evaluations = sum(result[1] for result in results)
            return Walked([result[0] for result in results], n_evaluations, finished, interrupted)

        with ThreadPoolExecutor(n_threads) as pool:
            yield walk_batch


class _Parts(NamedTuple):
    """Lanes of the first classes, shape (n_parts, depth), and the bound below each, ascending."""

    prefixes: IndexArray
    bounds: FloatArray


class Walked(NamedTuple):
    """What came of a batch of parts: which of them were walked to the end, and what was found."""

    found: list[Found]
    n_evaluations: int
    finished: npt.NDArray[np.bool_]
    interrupted: bool


class Known:
    """The best choice and the fronts so far, in lanes, brought together in the order of the parts."""

    def __init__(self, search: ExactSearch, best: Candidate):
        self.search = search
        self.best = best
        self.fronts = no_fronts(search.problem)
        self.reached = np.full(search.problem.n_samples + 1, np.inf)

    def found(self) -> Found:
        """Return what a walk begins with: the best as it is known, and empty fronts."""
        problem = self.search.problem
        return Found(
            best=np.array([self.best.objective, self.best.n_changed, self.best.change]),
            best_lane=np.full(problem.n_classes, -1, dtype=np.int64),
            front=np.full((3, problem.n_samples + 1), np.inf),
            front_lane=np.zeros((problem.n_samples + 1, problem.n_classes), dtype=np.int16),
            reached=self.reached,
        )

    def take(self, found: Found) -> None:
        """Add what a walk has found."""
        if found.best_lane[0] >= 0:
            candidate = self.search.problem.candidate(self.search.choices(found.best_lane))
            self.best = candidate if candidate.beats(self.best) else self.best
        new = Fronts(found.front[0], found.front[1], found.front[2], found.front_lane.astype(np.int64))
        self.fronts = self.fronts.joined(new)

    def update(self) -> None:
        """Note what a pair must reach, now that all walks of a batch are in."""
        cobias = self.fronts.cobias
        above = np.append(np.minimum.accumulate(cobias[::-1])[::-1][1:], np.inf)
        self.reached = np.minimum(cobias + TOLERANCE, above - TOLERANCE)


@contextmanager
def _stopped_after(seconds: float | None, stop: npt.NDArray[np.bool_]) -> Iterator[None]:
    """Set `stop` when the time is over."""
    timer = threading.Timer(seconds if seconds is not None else 0.0, stop.fill, (True,))
    timer.daemon = True
    if seconds is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
