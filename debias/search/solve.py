"""The search that an estimator asks for: a descent, then a proof, as far as its limits allow.

``"auto"`` enumerates every choice where that is little work, else prunes, else proves the largest
radius; ``"exact"`` prunes where that pays and ``"enumerate"`` never, both until they are done. Work
is counted in choices times rows, never in seconds: so the same problem and seed have the same answer on
any machine, under any load and on any number of threads. Only an explicit time limit counts seconds.
"""

import threading
import time
from dataclasses import replace

import joblib
import numpy as np

from debias.compilation import is_compiled
from debias.console.progress import SILENT, Progress
from debias.search.certificate import Certificate, Limit
from debias.search.constraints import Constrained
from debias.search.counting.bit_tables import tables_fit
from debias.search.descent.annealing import SCHEDULES, anneal
from debias.search.descent.constrained_starts import improve_within_bounds
from debias.search.descent.coordinate_descent import descend
from debias.search.descent.iterated_local_search import MANY, iterated_local_search
from debias.search.descent.pareto_local_search import pareto_local_search
from debias.search.pareto import fronts_of
from debias.search.problem import Candidate, Problem
from debias.search.proof.boxes.box_kernels import search_boxes
from debias.search.proof.boxes.box_search import BoxSearch
from debias.search.proof.boxes.box_tables import boxes_fit
from debias.search.proof.enumeration import enumerate_choices
from debias.search.proof.exact_search import ExactResult, ExactSearch
from debias.search.proof.near_ties import near_ties
from debias.search.proof.radius import Neighbourhood, look_around, pair_bound
from debias.search.result import SearchResult
from debias.search.search_settings import SearchSettings

ENUMERATION_WORK = 2e11
"""Choices, times the rows that each costs, up to which ``"auto"`` evaluates every choice: about a second
on two cores."""
LAST_ENUMERATION_WORK = 1e12
"""The same after bounds that proved nothing: about six seconds."""
PROOF_WORK = 1.6e10
"""Work, in words of bits that are counted, up to which it proves an optimum: about ten seconds on two
cores."""
LITTLE_WORK = 1e9
"""Choices times rows that are evaluated sooner than boxes are built: an exact search evaluates them, too."""
RADIUS_WORK = 3e10
"""Work that it spends on a radius, whose sweeps take longer for each choice."""
FRONTIER_CHOICES = 2_000_000
"""Choices that are counted to extend a frontier that is not complete."""

_RATE, _LONG, _PER_WORD = 4e10, 10.0, 50.0
"""Choices times rows that a core evaluates in a second, roughly; the seconds from which a run is announced;
the choices times rows that take as long as a word of bits."""

COMPILES = "The search is first compiled for this machine, which takes about half a minute, once."
_announced = threading.Event()


def solve(
    problem: Problem,
    settings: SearchSettings | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
    with_near_ties: bool = False,
) -> SearchResult:
    """Search for the best choice and say what is proved of it.

    Parameters
    ----------
    problem : Problem
        What is searched.
    settings : SearchSettings, optional
        How; the defaults if not given.
    seed : int, default=0
        Seed of the random starts.
    progress : Progress, optional
        Told what is being done, and, before it begins, what may take long.
    with_near_ties : bool, default=False
        Whether near-ties are kept, and the one that the tolerance asks for is taken: the certificate then
        says how far it is from the best.

    Returns
    -------
    SearchResult
        With certificate and Pareto front, unless a published schedule was asked for. Interrupted
        (Ctrl-C), the best that was met.

    Raises
    ------
    ParameterError
        The problem does not fit into memory and an exact search was asked for.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.objective import Objective
    >>> from debias.search.problem import build_problem
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]])
    >>> problem = build_problem(P, np.array([1, 0, 0]), weights(4), Objective(pmi=0))
    >>> print(solve(problem).certificate)
    proved: no choice has an objective under 0.000000
    """
    settings = SearchSettings() if settings is None else settings
    if settings.search in SCHEDULES:
        return anneal(problem, SCHEDULES[settings.search], seed)
    announce_compilation(progress)
    started = time.perf_counter()
    n_threads = joblib.effective_n_jobs(settings.n_jobs)
    found = _descend(problem, settings, seed, n_threads, progress)
    proof: ExactSearch | None = None
    if settings.search != "descent" and not found.interrupted:
        try:
            found, proof = _prove(problem, found, settings, n_threads, progress)
            found = _with_frontier(problem, found, seed)
        except KeyboardInterrupt:  # between the parts that handle it themselves
            found = replace(found, interrupted=True)
    if found.certificate is None:
        found = _certified(found, Neighbourhood(found.best, 0), pair_bound(problem), "")
    if with_near_ties and not found.interrupted:
        try:
            found = _with_near_ties(problem, found, settings.tolerance, proof)
        except KeyboardInterrupt:
            found = replace(found, interrupted=True)
    assert found.certificate is not None
    seconds, has_bounds = time.perf_counter() - started, isinstance(problem.objective, Constrained)
    certificate = replace(found.certificate, seconds=seconds, has_bounds=has_bounds)
    return replace(found, seconds=seconds, certificate=certificate)


def _with_near_ties(
    problem: Problem, found: SearchResult, tolerance: float, proof: ExactSearch | None
) -> SearchResult:
    """Return the result with its near-ties, and with the one of them that is taken."""
    certificate = found.certificate
    assert certificate is not None
    proof = proof if certificate.status == "optimal" else None
    near = near_ties(problem, found.best, tolerance, found.met, found.pareto, proof)
    if near is None or near.rows[0].choice == found.best.choice:
        return replace(found, near=near)
    taken = problem.candidate(near.rows[0].choice)
    given_up = max(0.0, taken.objective - found.best.objective)
    return replace(found, near=near, best=taken, certificate=replace(certificate, given_up=given_up))


def announce_compilation(progress: Progress) -> None:
    """Announce, once, that the search is compiled first, where it was not compiled on this machine before."""
    if not _announced.is_set() and not (is_compiled(enumerate_choices) and is_compiled(search_boxes)):
        _announced.set()
        progress.announce(COMPILES)


def _descend(
    problem: Problem, settings: SearchSettings, seed: int, n_threads: int, progress: Progress
) -> SearchResult:
    """Return the best end of descents, with the Pareto front of all ends."""
    n_done, n_starts = 0, settings.n_starts

    def count_start() -> None:
        nonlocal n_done
        n_done += 1
        progress.show("descents", n_done / n_starts)

    descent = iterated_local_search if problem.n_classes >= MANY else descend
    found = descent(problem, n_starts, seed, n_threads, on_start_done=count_start)
    goal = problem.objective
    if (isinstance(goal, Constrained) or goal.worst_class) and not found.interrupted:
        found = improve_within_bounds(problem, found, max(1, n_starts // 8), seed, n_threads)
    identity = problem.candidate(problem.identity_choice)
    return replace(found, pareto=fronts_of(problem, [identity, *found.met, found.best]))


def _prove(
    problem: Problem, found: SearchResult, settings: SearchSettings, n_threads: int, progress: Progress
) -> tuple[SearchResult, ExactSearch | None]:
    """Prove the optimum if the limits allow it, else the largest radius."""
    lower_bound, time_limit = -np.inf, settings.time_limit
    limit: Limit = ""
    proof: ExactSearch | None = None
    if settings.search != "auto" or tables_fit(problem):
        proof = ExactSearch(problem)
        proved = _search_exactly(proof, found.best, settings, n_threads, progress)
        certificate = proved.certificate
        assert found.pareto is not None
        found = replace(
            found,
            best=proved.best,
            n_evaluations=found.n_evaluations + certificate.n_evaluations,
            interrupted=certificate.interrupted,
            pareto=proved.pareto.joined(found.pareto),
            frontier_complete=proved.frontier_complete,
        )
        if certificate.status == "optimal" or certificate.interrupted:
            certificate = replace(certificate, n_evaluations=found.n_evaluations)
            return replace(found, certificate=certificate), proof
        lower_bound, limit = certificate.lower_bound, certificate.limit
        time_limit = None if limit == "time" else time_limit  # it is used up
    progress.show("radius", 0.0)
    most_work = RADIUS_WORK if time_limit is None else None
    around = look_around(problem, found.best, None, most_work, time_limit, n_threads)
    return _certified(found, around, max(lower_bound, pair_bound(problem)), limit or around.limit), proof


def _search_exactly(
    proof: ExactSearch, best: Candidate, settings: SearchSettings, n_threads: int, progress: Progress
) -> ExactResult:
    """Evaluate every choice where that is little work or asked for, else search boxes within the limits."""
    complete, time_limit = proof.complete_work, settings.time_limit

    def show(share: float) -> None:
        progress.show("proof", share)

    def evaluate_all(best: Candidate) -> ExactResult:
        if complete / _RATE > _LONG:
            stops = "" if time_limit is None else f"; it stops after {time_limit:g} seconds"
            progress.announce(
                f"{proof.tables.n_choices:,} different choices: about {complete / _RATE:.0f} seconds on one "
                f"core to evaluate them all{stops}. {progress.promise}"
            )
        return proof.run(best, False, time_limit, n_threads, show)

    progress.show("proof", 0.0)
    automatic = settings.search == "auto"
    if settings.search == "enumerate" or complete <= (ENUMERATION_WORK if automatic else LITTLE_WORK):
        return evaluate_all(best)
    if not boxes_fit(proof.tables, proof.problem):
        most_work = PROOF_WORK * _PER_WORD if automatic and time_limit is None else None
        return proof.run(best, True, time_limit, n_threads, show, most_work)
    boxes = BoxSearch(proof.problem, proof.tables, proof.terms)
    by_work = automatic and time_limit is None
    is_enumerable = not automatic or (by_work and complete <= LAST_ENUMERATION_WORK)
    # A bound that rules out little costs more than it saves (COBias alone can always be even): where every
    # choice can be evaluated after it, it gets half the work of that.
    limits = [PROOF_WORK] * by_work + [0.5 * complete / _PER_WORD] * is_enumerable
    found = boxes.run(best, time_limit, n_threads, show, min(limits, default=None))
    return evaluate_all(found.best) if is_enumerable and found.certificate.limit == "work" else found


def _with_frontier(problem: Problem, found: SearchResult, seed: int) -> SearchResult:
    """Return the result with its frontier extended, where not every choice was evaluated."""
    if found.frontier_complete or found.interrupted or found.pareto is None:
        return found
    most = FRONTIER_CHOICES if problem.n_classes < MANY else FRONTIER_CHOICES // 4
    traced = pareto_local_search(problem, found.pareto, most, seed)
    return replace(found, pareto=found.pareto.joined(traced.fronts))


def _certified(found: SearchResult, around: Neighbourhood, lower_bound: float, limit: Limit) -> SearchResult:
    """Return the result with the certificate that a neighbourhood gives."""
    objective = around.best.objective
    optimal = around.radius == len(around.best.choice)
    certificate = Certificate(
        status="optimal" if optimal else "radius" if around.radius else "heuristic",
        radius=around.radius,
        objective=objective,
        lower_bound=objective if optimal else min(lower_bound, objective),
        n_evaluations=found.n_evaluations + around.n_evaluations,
        interrupted=found.interrupted or around.interrupted,
        limit="" if optimal else limit,
    )
    return replace(
        found,
        best=around.best,
        n_evaluations=certificate.n_evaluations,
        interrupted=certificate.interrupted,
        certificate=certificate,
    )
