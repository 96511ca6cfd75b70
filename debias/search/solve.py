"""Which search to run: a descent first, then a proof, as far as the time allows.

``"auto"`` enumerates every choice where that is quick, else prunes, else proves the largest
radius; ``"exact"`` prunes where that pays and ``"enumerate"`` never, both until they are done.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

from debias.search.certificate import Certificate
from debias.search.descent.constrained_starts import improve_within_bounds
from debias.search.descent.coordinate_descent import descend
from debias.search.descent.iterated_local_search import MANY, descend_many
from debias.search.descent.pareto_local_search import trace
from debias.search.pareto import fronts_of
from debias.search.problem import Candidate, Problem
from debias.search.proof.exact_search import ExactResult, ExactSearch, fits
from debias.search.proof.radius import Neighbourhood, look_around, pair_bound
from debias.search.result import SearchResult

Method = Literal["auto", "exact", "enumerate", "descent"]
METHODS: tuple[Method, ...] = ("auto", "exact", "enumerate", "descent")
"""Searches that end with a certificate."""

PROOF_SECONDS = 3.0
"""What ``"auto"`` takes for a proof where no time limit is given."""
TRACED = 2_000_000
"""Choices that are counted to trace a frontier that is not complete."""
LONG = 10.0
"""Seconds from which a run is announced."""


def search(
    problem: Problem,
    method: Method = "auto",
    n_starts: int = 32,
    random_state: int = 0,
    n_threads: int = 1,
    time_limit: float | None = None,
    on_progress: Callable[[str, float], object] | None = None,
    announce: Callable[[str], object] | None = None,
    device: str | None = None,
) -> SearchResult:
    """Search for the best choice and say what is proved of it.

    Parameters
    ----------
    problem : Problem
        What is searched.
    method : {"auto", "exact", "enumerate", "descent"}, default="auto"
        ``"auto"`` proves the optimum where that fits the time, else a radius; ``"exact"``
        always tries, pruning by bounds; ``"enumerate"`` evaluates every choice, so that
        the frontier is complete; ``"descent"`` proves nothing.
    n_starts, random_state, n_threads
        As in :func:`~debias.search.descent.coordinate_descent.descend`.
    time_limit : float, optional
        Seconds for the proof; :data:`PROOF_SECONDS` for ``"auto"`` and no limit for
        ``"exact"`` and ``"enumerate"`` if not given. Where they do not suffice, a radius takes up
        to :data:`PROOF_SECONDS` more.
    on_progress : callable, optional
        Called with what is being done and the share that is done.
    announce : callable, optional
        Called with a sentence before what may take :data:`LONG`.
    device : {None, "cpu", "cuda", "cuda:0", ..., "auto"}, default=None
        Where optima are proved: compiled, on the processor; by torch on a CUDA device, with the
        same answer; or ``"auto"``, on a CUDA device where there is one.

    Returns
    -------
    SearchResult
        With certificate and fronts.

    Raises
    ------
    ParameterError
        There is no such device, or the problem does not fit where an exact search was asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from debias.corrections.families import weights
    >>> from debias.search.objective import Objective
    >>> from debias.search.problem import build_problem
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]])
    >>> problem = build_problem(P, np.array([1, 0, 0]), weights(4), Objective(pmi=0))
    >>> print(search(problem).certificate)
    proved: no choice has an objective under 0.000000
    """
    started = time.perf_counter()
    prover = _prover(device)

    def show(doing: str, share: float) -> None:
        if on_progress is not None:
            on_progress(doing, share)

    n_done = 0

    def count_start() -> None:
        nonlocal n_done
        n_done += 1
        show("descents", n_done / n_starts)

    descent = descend_many if problem.n_classes >= MANY else descend
    found = descent(problem, n_starts, random_state, n_threads, on_start_done=count_start)
    found = improve_within_bounds(problem, found, max(1, n_starts // 8), random_state, n_threads)
    identity = problem.candidate(problem.identity_choice)
    found = replace(found, fronts=fronts_of(problem, [identity, *found.met, found.best]))
    if method != "descent" and not found.interrupted:
        limit = PROOF_SECONDS if method == "auto" and time_limit is None else time_limit
        try:
            found = _proved(problem, found, method, limit, n_threads, show, announce, started, prover)
            return _with_frontier(problem, found, random_state)
        except KeyboardInterrupt:  # between the parts that handle it themselves
            found = replace(found, interrupted=True)
    return _with_certificate(found, Neighbourhood(found.best, 0, 0, 0.0), pair_bound(problem), started)


def _proved(
    problem: Problem,
    found: SearchResult,
    method: Method,
    limit: float | None,
    n_threads: int,
    show: Callable[[str, float], object],
    announce: Callable[[str], object] | None,
    started: float,
    prover: Callable[[Problem], ExactSearch],
) -> SearchResult:
    """Prove the optimum if that fits the time, else the largest radius."""
    lower_bound = -float("inf")
    time_around = PROOF_SECONDS if limit is None else limit
    if method != "auto" or fits(problem):
        proof = prover(problem)
        lower_bound = proof.lower_bound()
        prune = _plan(proof, found.best, method, limit, announce)
        if prune is not None:
            show("proof", 0.0)
            proved = proof.run(found.best, prune, limit, n_threads, lambda share: show("proof", share))
            found = _joined(found, proved)
            if proved.certificate.status == "optimal" or found.interrupted:
                certificate = replace(
                    proved.certificate,
                    n_evaluations=found.n_evaluations,
                    seconds=time.perf_counter() - started,
                )
                return replace(found, certificate=certificate, seconds=certificate.seconds)
            lower_bound = proved.certificate.lower_bound
            time_around = min(time_around, PROOF_SECONDS)  # the limit is used up
    show("radius", 0.0)
    around = look_around(problem, found.best, None, time_around, n_threads)
    return _with_certificate(found, around, max(lower_bound, pair_bound(problem)), started)


def _with_frontier(problem: Problem, found: SearchResult, random_state: int) -> SearchResult:
    """Return the result with its frontier traced further, where not every choice was evaluated."""
    if found.frontier_complete or found.interrupted or found.fronts is None:
        return found
    most = TRACED if problem.n_classes < MANY else TRACED // 4
    traced = trace(problem, found.fronts, most, random_state)
    return replace(found, fronts=found.fronts.joined(traced.fronts))


def _prover(device: str | None) -> Callable[[Problem], ExactSearch]:
    """Return the exact search for a device; torch is loaded only where one is named."""
    if device in (None, "cpu"):
        return ExactSearch
    from debias.search.device import DeviceSearch, resolve_device

    found = resolve_device(str(device))
    return ExactSearch if found.type == "cpu" else partial(DeviceSearch, device=str(found))


def _plan(
    proof: ExactSearch,
    best: Candidate,
    method: Method,
    limit: float | None,
    announce: Callable[[str], object] | None,
) -> bool | None:
    """Return whether the proof prunes; None if it would take too long."""
    pruned, complete = proof.estimate(best)
    if method != "auto":
        # A bound that rules out little costs more than it saves: COBias alone can always be even.
        prune: bool | None = method == "exact" and pruned <= 2 * complete
    elif limit is None or complete <= limit:
        prune = False
    else:
        prune = True if pruned <= limit else None
    seconds = pruned if prune else complete
    if announce is not None and prune is not None and seconds > LONG:
        until = "" if limit is None else f"; it stops after {limit:g} seconds"
        announce(
            f"{proof.lanes.n_choices:,} different choices: about {seconds:.0f} seconds on {proof.place} to "
            f"{'prove the optimum' if prune else 'evaluate them all'}{until}. Ctrl-C keeps the best so far."
        )
    return prune


def _joined(found: SearchResult, proved: ExactResult) -> SearchResult:
    """Return the result of the descent with what the exact search adds."""
    assert found.fronts is not None
    return replace(
        found,
        best=proved.best,
        n_evaluations=found.n_evaluations + proved.certificate.n_evaluations,
        interrupted=proved.interrupted,
        fronts=proved.fronts.joined(found.fronts),
        frontier_complete=proved.frontier_complete,
    )


def _with_certificate(
    found: SearchResult, around: Neighbourhood, lower_bound: float, started: float
) -> SearchResult:
    """Return the result with the certificate that a neighbourhood gives."""
    n_classes = len(around.best.choice)
    objective = around.best.objective
    seconds = time.perf_counter() - started
    optimal = around.radius == n_classes
    certificate = Certificate(
        status="optimal" if optimal else "radius" if around.radius else "heuristic",
        radius=around.radius,
        objective=objective,
        lower_bound=objective if optimal else min(lower_bound, objective),
        n_evaluations=found.n_evaluations + around.n_evaluations,
        seconds=seconds,
        interrupted=found.interrupted or around.interrupted,
    )
    return replace(
        found,
        best=around.best,
        n_evaluations=certificate.n_evaluations,
        seconds=seconds,
        interrupted=certificate.interrupted,
        certificate=certificate,
    )
