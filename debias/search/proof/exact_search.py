"""Exact search: the optimum, proved, and with it the whole frontier where nothing is pruned.

Branch and bound over the classes, the compiled part in :mod:`debias.search.proof.enumeration`. The choices
are divided by the corrections of the first classes; the parts are enumerated from the lowest bound
up, so that a search that is stopped can say how much better the unknown rest could be.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import permutations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.errors import ParameterError, param
from debias.search.certificate import Certificate, Limit
from debias.search.counting.bit_tables import BitTables, build_tables, tables_fit
from debias.search.counting.score import BoundTerms, terms_of
from debias.search.pareto import ParetoFronts, empty_fronts
from debias.search.problem import Candidate, FloatArray, IndexArray, Problem
from debias.search.proof.bounds import TOLERANCE
from debias.search.proof.enumeration import Found, bound_prefixes, enumerate_choices, new_state, probe

BATCH = 64
"""Parts enumerated between two updates of what is known; so the answer does not depend on threads."""
_ENOUGH_PARTS, _MOST_PARTS = 500, 1_000_000
_SMALL_PART, _LARGE_PART = 20_000, 20_000_000
_FEW_WAYS, _WAYS = 100, 1_000
_MOST_ORDERS, _FINALISTS = 24, 4
_LITTLE = 20_000
_SEED = 0


@dataclass(frozen=True)
class ExactResult:
    """The result of an exact search.

    Attributes
    ----------
    best : Candidate
        The best choice.
    certificate : Certificate
        What is proved of it.
    pareto : ParetoFronts
        The pairs of right samples and COBias that were met.
    frontier_complete : bool
        Whether these are all that exist: nothing was pruned and nothing is left.
    n_choices : int
        Different choices, those that act alike on the samples counted once.
    """

    best: Candidate
    certificate: Certificate
    pareto: ParetoFronts
    frontier_complete: bool
    n_choices: int


class ExactSearch:
    """Branch and bound on one problem; build it once, estimate, then run.

    Algorithm
    ---------
    1. Merge corrections that act alike on all samples; of each group keep the one that a
       person would choose (Candidate's order).
    2. Order the classes so that random ways down the tree promise the least work.
    3. List the corrections of the first classes together, the parts; bound each.
    4. Enumerate the parts from the lowest bound up. A class is fixed at a time; a node is
       omitted when the samples that its classes can still get right bound z above the best.
    5. The last two classes are counted together, all corrections of the last side by side.

    Invariant: every choice that beats the best is in a part not yet enumerated. Parts go in
    batches of a fixed size, all parts of a batch know the same, and a limit of work is shared out
    among them beforehand: so counts, pruning and answer are the same on any number of threads.

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

    def __init__(self, problem: Problem):
        if not tables_fit(problem):
            raise ParameterError(
                f"{problem.n_classes} classes with {problem.n_corrections} corrections and "
                f"{problem.n_samples:,} samples are too many to prove an optimum",
                parameter="search",
                fix=f"use {param('search', repr('descent'))}, a smaller family, or fewer rows",
            )
        self.problem = problem
        self.tables: BitTables = build_tables(problem)
        self.terms: BoundTerms = terms_of(problem)
        self._arranged = False

    def run(
        self,
        start: Candidate | None = None,
        prune: bool = True,
        time_limit: float | None = None,
        n_threads: int = 1,
        on_progress: Callable[[float], object] | None = None,
        most_work: float | None = None,
    ) -> ExactResult:
        """Search until the optimum is proved, or a limit is reached.

        Parameters
        ----------
        start : Candidate, optional
            A good choice to begin with; the identity if not given.
        prune : bool, default=True
            Omit what bounds rule out; without, every choice is evaluated and the
            frontier is complete.
        time_limit : float, optional
            Seconds.
        n_threads : int, default=1
            Threads; the answer does not depend on them.
        on_progress : callable, optional
            Called with the share of the parts that is done.
        most_work : float, optional
            As :attr:`complete_work` counts it.

        Returns
        -------
        ExactResult
            Interrupted (Ctrl-C) or at a limit, the best so far, with what is proved of it.
        """
        started = time.perf_counter()
        if prune:
            self.arrange(start)
        known = self._known(start)
        parts = self._parts()
        stop = np.zeros(1, dtype=np.bool_)
        interrupted = False
        limit: Limit = ""
        lower_bound, n_evaluations = float("inf"), 0
        work_left = np.inf if most_work is None else most_work / self._work_per_row
        with stopped_after(time_limit, stop), ThreadPoolExecutor(n_threads) as pool:
            runner = _Runner(self, prune, stop, pool)
            # invariant: the parts before `at` are enumerated, or ruled out, or lower_bound is below them
            for at in range(0, len(parts.prefixes), BATCH):
                try:
                    batch = np.arange(at, min(at + BATCH, len(parts.prefixes)))
                    alive = batch
                    if prune:
                        alive = batch[parts.bounds[batch] <= known.best.objective + TOLERANCE]
                    if stop[0] or work_left <= 0:
                        lower_bound = min(lower_bound, parts.bounds[at])
                        break
                    done = runner.run(parts.prefixes[alive], known, work_left / max(1, len(alive)))
                    for found in done.found:
                        known.take(found)
                    known.update()
                    n_evaluations += done.n_evaluations
                    work_left -= done.work
                    interrupted = interrupted or done.interrupted
                    lower_bound = min([lower_bound, *parts.bounds[alive[~done.finished]]])
                    if on_progress is not None:
                        on_progress((batch[-1] + 1) / len(parts.prefixes))
                except KeyboardInterrupt:  # between two batches; within one it is handled there
                    stop[0] = interrupted = True
                    lower_bound = min(lower_bound, parts.bounds[at])
                    break
        best = known.best
        proved = lower_bound >= best.objective - TOLERANCE
        if not proved and not interrupted:
            limit = "time" if stop[0] else "work"
        certificate = Certificate(
            status="optimal" if proved else "heuristic",
            radius=self.problem.n_classes if proved else 0,
            objective=best.objective,
            lower_bound=best.objective if proved else float(lower_bound),
            n_evaluations=n_evaluations,
            seconds=time.perf_counter() - started,
            interrupted=interrupted and not proved,
            limit=limit,
        )
        complete = not prune and lower_bound == float("inf")
        pareto = replace(known.pareto, choice=self.choices(known.pareto.choice))
        return ExactResult(best, certificate, pareto, complete, self.tables.n_choices)

    @property
    def complete_work(self) -> float:
        """Work of evaluating every choice: choices, times what each takes."""
        n_last = int(self.tables.n_distinct[self.tables.order[-1]])
        return self.tables.n_choices / n_last * self._work_per_row

    @property
    def _work_per_row(self) -> float:
        """Work of one pass that counts all corrections of a class."""
        return float(self.tables.holds.shape[2] * self.problem.work_per_choice)

    def choices(self, picked: IndexArray) -> IndexArray:
        """Return indices into the family of distinct corrections, the last axis that of the classes."""
        return self.tables.members[np.arange(self.problem.n_classes), picked]

    def arrange(self, start: Candidate | None = None) -> None:
        """Order the classes for pruning, once, so that an enumeration is short.

        Every order of up to four classes is tried, of more classes some at random; the best few of
        them again, more closely.

        Parameters
        ----------
        start : Candidate, optional
            The choice that the enumeration begins with.
        """
        if self._arranged or self.tables.n_choices <= _LITTLE:
            return
        self._arranged = True
        known = self._known(start)
        n_classes, rng = self.problem.n_classes, np.random.default_rng(_SEED)
        if n_classes <= 4:
            orders = [np.array(order) for order in permutations(range(n_classes))]
        else:
            orders = [self.tables.order, *(rng.permutation(n_classes) for _ in range(_MOST_ORDERS - 1))]

        def by_work(orders: list[IndexArray], n_ways: int) -> list[IndexArray]:
            work = [self._probe(self.tables.in_order(order), known.found(), n_ways) for order in orders]
            return [orders[at] for at in np.argsort(work, kind="stable")]

        self.tables = self.tables.in_order(by_work(by_work(orders, _FEW_WAYS)[:_FINALISTS], _WAYS)[0])

    def _probe(self, tables: BitTables, found: Found, n_ways: int) -> float:
        """Return the estimated work of a pruned enumeration in some order of the classes."""
        draws = np.random.default_rng(_SEED).random((n_ways, self.problem.n_classes - 1))
        return float(probe(tables, self.terms, new_state(tables), found, draws))

    def _parts(self) -> "_Parts":
        """Divide the choices by the corrections of the first classes, and bound each part."""
        sizes = [int(self.tables.n_distinct[k]) for k in self.tables.order[:-2]]
        depth, n_parts, n_below = 0, 1, self.tables.n_choices
        while depth < len(sizes) and n_parts * sizes[depth] <= _MOST_PARTS:
            if n_below <= (_SMALL_PART if n_parts < _ENOUGH_PARTS else _LARGE_PART):
                break
            n_parts, n_below, depth = n_parts * sizes[depth], n_below // sizes[depth], depth + 1
        grid = np.indices(sizes[:depth]).reshape(depth, -1).T if depth else np.zeros((1, 0))
        prefixes = np.ascontiguousarray(grid, dtype=np.int64)
        bounds = np.empty(len(prefixes))
        bound_prefixes(self.tables, self.terms, new_state(self.tables), prefixes, bounds)
        order = np.argsort(bounds, kind="stable")
        return _Parts(prefixes[order], bounds[order])

    def _known(self, start: Candidate | None) -> "Known":
        identity = self.problem.candidate(self.problem.identity_choice)
        return Known(self, start if start is not None and start.beats(identity) else identity)


class _Parts(NamedTuple):
    """Corrections of the first classes, shape (n_parts, depth), and the bound below each, ascending."""

    prefixes: IndexArray
    bounds: FloatArray


class _Batch(NamedTuple):
    """What came of a batch of parts: what was found, and which parts were enumerated to the end."""

    found: list[Found]
    n_evaluations: int
    work: float
    finished: npt.NDArray[np.bool_]
    interrupted: bool


class _Runner:
    """Enumerates batches of parts on threads, each with a state of its own."""

    def __init__(
        self, search: ExactSearch, prune: bool, stop: npt.NDArray[np.bool_], pool: ThreadPoolExecutor
    ):
        self.search, self.prune, self.stop, self.pool = search, prune, stop, pool
        self.local = threading.local()

    def run(self, prefixes: IndexArray, known: "Known", limit: float) -> _Batch:
        """Enumerate the parts of a batch, each within a limit of work."""
        futures = [self.pool.submit(self._run_part, prefix, known, limit) for prefix in prefixes]
        interrupted = False
        try:
            wait(futures)
        except KeyboardInterrupt:
            self.stop[0] = interrupted = True
        results = [future.result() for future in futures]
        finished = np.array([result[3] for result in results], dtype=np.bool_)
        return _Batch(
            [result[0] for result in results],
            sum(result[1] for result in results),
            sum(result[2] for result in results),
            finished,
            interrupted,
        )

    def _run_part(self, prefix: IndexArray, known: "Known", limit: float) -> tuple[Found, int, float, bool]:
        if not hasattr(self.local, "state"):
            self.local.state = new_state(self.search.tables, self.stop)
        state, found = self.local.state, known.found()
        state.work[:] = 0.0, limit
        n_counted, finished = enumerate_choices(
            self.search.tables, self.search.terms, state, found, prefix, self.prune
        )
        return found, n_counted, float(state.work[0]), finished


class Known:
    """The best choice and the pairs met so far, brought together in the order of the parts."""

    def __init__(self, search: ExactSearch, best: Candidate):
        self.search = search
        self.best = best
        self.pareto = empty_fronts(search.problem)
        self.reached = np.full(search.problem.n_samples + 1, np.inf)

    def found(self) -> Found:
        """Return what an enumeration begins with: the best as it is known, and no pairs."""
        problem = self.search.problem
        return Found(
            best=np.array([self.best.objective, self.best.n_changed, self.best.change]),
            best_choice=np.full(problem.n_classes, -1, dtype=np.int64),
            pareto=np.full((3, problem.n_samples + 1), np.inf),
            pareto_choice=np.zeros((problem.n_samples + 1, problem.n_classes), dtype=np.int16),
            reached=self.reached,
        )

    def take(self, found: Found) -> None:
        """Add what an enumeration has found."""
        if found.best_choice[0] >= 0:
            candidate = self.search.problem.candidate(self.search.choices(found.best_choice))
            self.best = candidate if candidate.beats(self.best) else self.best
        cobias, n_changed, change = found.pareto
        new = ParetoFronts(cobias, n_changed, change, found.pareto_choice.astype(np.int64))
        self.pareto = self.pareto.joined(new)

    def update(self) -> None:
        """Note what a pair must reach, now that all parts of a batch are in."""
        cobias = self.pareto.cobias
        above = np.append(np.minimum.accumulate(cobias[::-1])[::-1][1:], np.inf)
        self.reached = np.minimum(cobias + TOLERANCE, above - TOLERANCE)


@contextmanager
def stopped_after(seconds: float | None, stop: npt.NDArray[np.bool_]) -> Iterator[None]:
    """Set `stop` when the time is over."""
    timer = threading.Timer(seconds if seconds is not None else 0.0, stop.fill, (True,))
    timer.daemon = True
    if seconds is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
