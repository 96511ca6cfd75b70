"""Search by boxes: the optimum, proved, where one correction at a time would be too many.

Corrections that act nearly alike are bounded together, so the bound of hundreds of thousands of choices costs
as much as that of one. The compiled part is in :mod:`debias.search.proof.boxes.box_kernels`.
"""

import heapq
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.search.certificate import Certificate, Limit
from debias.search.constraints import Constrained
from debias.search.counting.bit_tables import BitTables
from debias.search.counting.score import BoundTerms
from debias.search.pareto import fronts_of
from debias.search.problem import Candidate, FloatArray, IndexArray, Problem
from debias.search.proof.bounds import TOLERANCE
from debias.search.proof.boxes.box_kernels import (
    DONE,
    MET,
    BoxState,
    bound_boxes,
    class_to_divide,
    open_box,
    search_boxes,
)
from debias.search.proof.boxes.box_tables import BoxTables, build_boxes
from debias.search.proof.exact_search import BATCH, ExactResult, stopped_after

PARTS = 512
"""Boxes into which all choices are divided first, and which threads share."""

TRIALS, TRIAL_SHARE = 4, 0.01
"""Parts that are tried first, each with a share of the limit of work: where none is done, all is hopeless."""

SHARPENED = {"error", "cobias", "pmi", "smoothing"}
"""Parameters of an objective whose terms the sharper bound of small boxes knows."""


class BoxSearch:
    """Branch and bound over boxes of choices, on the tables of one problem.

    Algorithm
    ---------
    1. Join the distinct corrections of every class, those that act most alike first, to a binary
       tree of groups. A box holds a group per class.
    2. Divide the box of all choices, that with the lowest bound first, into parts.
    3. Search the parts from the lowest bound up, depth first: omit a box whose bound says that
       none of its choices beats the best; else divide the group that differs most in itself.
    4. A bound counts the samples of its own that a class may win from the groups of the others, with
       the best correction of its group. In boxes of few choices it also knows what each class is sure to win.

    Invariant: every choice that beats the best is in an open box or in a part not yet searched.
    Parts go in batches of a fixed size, all parts of a batch know the same, and a limit of work is
    shared out among them beforehand: so the answer is the same on any number of threads.

    Parameters
    ----------
    problem : Problem
        What is searched.
    tables : BitTables
        Of its distinct corrections.
    terms : BoundTerms
        Of its objective.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.objective import Objective
    >>> from debias.search.problem import build_problem
    >>> from debias.search.proof.exact_search import ExactSearch
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]])
    >>> exact = ExactSearch(build_problem(P, np.array([1, 0, 0]), weights(4), Objective(pmi=0)))
    >>> result = BoxSearch(exact.problem, exact.tables, exact.terms).run()
    >>> result.best.objective, result.certificate.status
    (0.0, 'optimal')
    """

    def __init__(self, problem: Problem, tables: BitTables, terms: BoundTerms):
        self.problem, self.terms, self.n_choices = problem, terms, tables.n_choices
        self.tables: BoxTables = build_boxes(problem, tables)
        goal = problem.objective
        inner = goal.inner if isinstance(goal, Constrained) else goal
        others = set(inner.get_params(deep=False)) - SHARPENED
        self.is_sharp = not any(np.any(getattr(inner, name)) for name in others)

    def run(
        self,
        start: Candidate | None = None,
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
        time_limit : float, optional
            Seconds.
        n_threads : int, default=1
            Threads; the answer does not depend on them.
        on_progress : callable, optional
            Called with the share of the parts that is done.
        most_work : float, optional
            Words of bits that are counted, and what else takes as long.

        Returns
        -------
        ExactResult
            Interrupted (Ctrl-C) or at a limit, the best so far, with what is proved of it.
        """
        started = time.perf_counter()
        identity = self.problem.candidate(self.problem.identity_choice)
        best = start if start is not None and start.beats(identity) else identity
        met = [best]
        stop = np.zeros(1, dtype=np.bool_)
        interrupted, n_evaluations, lower_bound = False, 0, np.inf
        work_left = np.inf if most_work is None else most_work
        with stopped_after(time_limit, stop), ThreadPoolExecutor(n_threads) as pool:
            runner = _Runner(self, stop, pool)
            parts = self._parts(runner, best)
            if most_work is not None and not runner.promises(parts, best, most_work):
                work_left = 0.0
            # invariant: what beats the best is in a part from `at` on, or lower_bound is below it
            for at in range(0, len(parts.boxes), BATCH):
                try:
                    batch = np.arange(at, min(at + BATCH, len(parts.boxes)))
                    alive = batch[parts.bounds[batch] <= best.objective + TOLERANCE]
                    if stop[0] or work_left <= 0:
                        lower_bound = min(lower_bound, parts.bounds[at])
                        break
                    done = runner.run(parts.boxes[alive], best, work_left / max(1, len(alive)))
                    for part in done:
                        best = part.best if part.best.beats(best) else best
                        met.extend(part.met)
                        n_evaluations += part.n_evaluations
                        work_left -= part.work
                        lower_bound = min(lower_bound, part.lower_bound)
                    interrupted = interrupted or runner.interrupted
                    if on_progress is not None:
                        on_progress((batch[-1] + 1) / len(parts.boxes))
                except KeyboardInterrupt:  # between two batches; within one it is handled there
                    stop[0] = interrupted = True
                    lower_bound = min(lower_bound, parts.bounds[at])
                    break
        proved = lower_bound >= best.objective - TOLERANCE
        limit: Limit = "" if proved or interrupted else "time" if stop[0] else "work"
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
        return ExactResult(best, certificate, fronts_of(self.problem, met), False, self.n_choices)

    def _parts(self, runner: "_Runner", best: Candidate) -> "_Parts":
        """Divide the box of all choices, that with the lowest bound first, into many."""
        state, n_classes = runner.new_state(), self.problem.n_classes
        open_boxes: list[tuple[float, int, IndexArray]] = []
        parts: list[tuple[float, int, IndexArray]] = []
        boxes, n_made = np.zeros((1, n_classes), dtype=np.int64), 0
        bounds = np.empty(2)
        # invariant: what beats the best is in an open box, in a part, or in one of the boxes
        while len(boxes):
            bound_boxes(self.tables, self.terms, state, boxes, bounds)
            for box, bound in zip(boxes, bounds.tolist(), strict=False):
                if bound <= best.objective + TOLERANCE:
                    heapq.heappush(open_boxes, (bound, n_made, box))
                    n_made += 1
            boxes = boxes[:0]
            while open_boxes and not len(boxes) and len(open_boxes) + len(parts) < PARTS:
                entry = heapq.heappop(open_boxes)
                j = class_to_divide(self.tables, entry[2])
                if j < 0:
                    parts.append(entry)
                    continue
                boxes = np.stack([entry[2], entry[2]])
                boxes[:, j] = self.tables.halves[j, entry[2][j]]
        ordered = sorted(parts + open_boxes, key=lambda entry: entry[:2])
        return _Parts(
            np.array([entry[2] for entry in ordered], dtype=np.int64).reshape(-1, n_classes),
            np.array([entry[0] for entry in ordered]),
        )


class _Parts(NamedTuple):
    """Boxes, shape (n_parts, n_classes), and the bound of each, ascending."""

    boxes: IndexArray
    bounds: FloatArray


class _Part(NamedTuple):
    """What came of a part: the best choice, all that were met, and a bound of what was left."""

    best: Candidate
    met: list[Candidate]
    n_evaluations: int
    work: float
    lower_bound: float


class _Runner:
    """Searches batches of parts on threads, each with a state of its own."""

    def __init__(self, search: BoxSearch, stop: npt.NDArray[np.bool_], pool: ThreadPoolExecutor):
        self.search, self.stop, self.pool = search, stop, pool
        self.n_open = 2 * search.tables.height + 3
        self.local = threading.local()
        self.interrupted = False

    def new_state(self) -> BoxState:
        """Return the state of a search that begins."""
        tables, problem = self.search.tables, self.search.problem
        n_classes, (n_words, n_padded) = problem.n_classes, tables.beats.shape[2:]
        return BoxState(
            stop=self.stop,
            work=np.array([0.0, np.inf]),
            counters=np.zeros(2, dtype=np.int64),
            boxes=np.zeros((self.n_open, n_classes), dtype=np.int64),
            bounds=np.zeros(self.n_open),
            opened=np.zeros((self.n_open, n_words, n_padded), dtype=np.uint64),
            counts=np.zeros((self.n_open, n_classes, n_padded), dtype=np.int64),
            best=np.zeros(3),
            met=np.zeros(n_classes, dtype=np.int64),
            most=np.zeros(n_classes, dtype=np.int64),
            box=np.zeros(n_classes, dtype=np.int64),
            levels=np.zeros(n_classes),
            tops=np.zeros((4, problem.n_samples), dtype=tables.low.dtype),
            seen=np.zeros((3, n_classes), dtype=np.int64),
            chords=np.zeros((3, 2 * n_classes)),
        )

    def promises(self, parts: "_Parts", best: Candidate, most_work: float) -> bool:
        """Tell whether one of a few parts is done within a small share of a limit of work, if any is left."""
        every = max(1, len(parts.boxes) // TRIALS)
        tried = parts.boxes[::every][:TRIALS]
        done = [self._run_part(box, best, most_work * TRIAL_SHARE) for box in tried]
        return not done or any(part.lower_bound == np.inf for part in done)

    def run(self, boxes: IndexArray, best: Candidate, limit: float) -> list[_Part]:
        """Search the parts of a batch, each within a limit of work."""
        futures = [self.pool.submit(self._run_part, box, best, limit) for box in boxes]
        try:
            wait(futures)
        except KeyboardInterrupt:
            self.stop[0] = self.interrupted = True
        return [future.result() for future in futures]

    def _run_part(self, box: IndexArray, best: Candidate, limit: float) -> _Part:
        if not hasattr(self.local, "state"):
            self.local.state = self.new_state()
        state: BoxState = self.local.state
        search, met = self.search, []
        state.work[:] = 0.0, limit
        state.best[:] = best.objective, best.n_changed, best.change
        state.counters[1] = 0
        open_box(search.tables, search.terms, state, box)
        # invariant: what beats the best is in an open box of the state
        while (reached := search_boxes(search.tables, search.terms, state, search.is_sharp)) == MET:
            firsts = search.tables.spans[np.arange(len(box)), state.met, 0]
            choice = search.tables.members[np.arange(len(box)), firsts]
            candidate = search.problem.candidate(choice)
            if candidate.beats(best):
                best = candidate
                met.append(best)
                state.best[:] = best.objective, best.n_changed, best.change
        left = np.inf if reached == DONE else state.bounds[: state.counters[0] + 1].min(initial=np.inf)
        return _Part(best, met, int(state.counters[1]), float(state.work[0]), float(left))
