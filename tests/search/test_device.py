"""The search on a device against the compiled one: the same answer, bit for bit."""

import itertools
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch

from debias.corrections.families import ensemble, memberships, weights
from debias.errors import ParameterError
from debias.estimators.debiasers import WeightDebiaser
from debias.search.constraints import Constrained
from debias.search.descent.coordinate_descent import descend
from debias.search.device import DeviceSearch, resolve_device
from debias.search.device_lanes import DeviceLanes, fit_prefixes
from debias.search.device_values import least_objectives, value_counts
from debias.search.objective import Objective
from debias.search.problem import build_problem
from debias.search.proof.bounds import least_objective, terms_of
from debias.search.proof.exact_search import ExactSearch
from debias.search.solve import search
from tests.support.published_tables import published
from tests.support.small_problems import SMALL_FAMILY, random_rows

NO_CUDA = "there is no CUDA device here"
DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_CUDA)]
    ),
]
on_each_device = pytest.mark.parametrize("device", DEVICES)

GOALS = [
    Objective(),
    Objective(pmi=0.0),
    Objective(error=0.0, cobias=1.0, pmi=0.0),
    Objective(error=0.0, cobias=0.0, pmi=1.0, smoothing=3.0),
    Objective(error=0.3, cobias=2.7, pmi=5.0, smoothing=50.0),
    Constrained(max_cobias=0.1),
    Constrained(min_accuracy="uncorrected"),
    Constrained(min_class_accuracy=0.6, max_cobias=0.5, objective=Objective()),
    Constrained(min_class_accuracy=1.0),
]


@pytest.fixture(autouse=True)
def one_thread():
    """Threads of torch cost more than they bring on problems of this size."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def least_memory(problem):
    """So little memory that one prefix is counted at a time, and no less."""
    lanes = ExactSearch(problem).lanes
    with pytest.raises(ParameterError) as refused:
        fit_prefixes(lanes, 0)
    memory = int(str(refused.value).split()[5].replace(",", ""))
    assert fit_prefixes(lanes, memory) == 1
    return memory


def assert_same_answer(compiled, found):
    assert found.best == compiled.best  # z too, to the last bit
    for name in ("status", "radius", "objective", "lower_bound", "interrupted"):
        assert getattr(found.certificate, name) == getattr(compiled.certificate, name)
    assert found.n_choices == compiled.n_choices
    assert found.frontier_complete == compiled.frontier_complete


def assert_same_fronts(compiled, found):
    for name in ("cobias", "n_changed", "change", "choice"):
        np.testing.assert_array_equal(getattr(found, name), getattr(compiled, name))


def assert_same(problem, device, start=None, **parameters):
    """Compare both searches, pruned and complete."""
    for prune in (True, False):
        compiled = ExactSearch(problem).run(start, prune)
        found = DeviceSearch(problem, device, **parameters).run(start, prune)
        assert_same_answer(compiled, found)
        if not prune:
            assert_same_fronts(compiled.fronts, found.fronts)
            assert found.certificate.n_evaluations == compiled.certificate.n_evaluations == found.n_choices


@on_each_device
@pytest.mark.parametrize("goal", GOALS, ids=repr)
@pytest.mark.parametrize("n_classes", [2, 3, 4, 5])
def test_the_answer_is_that_of_the_compiled_search(n_classes, goal, device):
    family = SMALL_FAMILY if n_classes < 4 else weights(3) | memberships()[3:5]
    for seed, steps in itertools.product(range(2), (4, 8, 100)):
        probabilities, y = random_rows(seed, n_samples=40, steps=steps, n_classes=n_classes)
        problem = build_problem(probabilities, y, family, goal)
        assert_same(problem, device)
        assert_same(problem, device, descend(problem, n_starts=1).best)


@on_each_device
def test_prefixes_one_at_a_time_or_all_at_once(device):
    probabilities, y = random_rows(0, n_samples=150, steps=30, n_classes=5)
    problem = build_problem(probabilities, y, SMALL_FAMILY, Objective())
    assert_same(problem, device, memory=least_memory(problem))
    assert_same(problem, device)
    larger = build_problem(probabilities, y, weights(5) | memberships()[:3], Objective())
    assert_same(larger, device)


@on_each_device
def test_where_all_rows_are_alike_every_choice_ties(device):
    probabilities, y = np.tile([[0.5, 0.25, 0.25]], (6, 1)), np.repeat([0, 1, 2], 2)
    for goal in GOALS:
        assert_same(build_problem(probabilities, y, SMALL_FAMILY, goal), device)


@on_each_device
@pytest.mark.parametrize("goal", GOALS, ids=repr)
def test_a_class_without_samples(goal, device):
    probabilities, y = random_rows(3, n_samples=60, steps=12, n_classes=4)
    for missing in range(4):
        kept = y != missing
        assert_same(build_problem(probabilities[kept], y[kept], SMALL_FAMILY, goal), device)


@on_each_device
def test_many_rows_under_half_precision_of_the_caller(device):
    """Counts are above 256, which bfloat16 cannot tell from 257."""
    probabilities, y = random_rows(1, n_samples=3000, steps=200, n_classes=3)
    problem = build_problem(probabilities, y, weights(8), Objective())
    with torch.autocast(device, dtype=torch.bfloat16):
        assert_same(problem, device)


@on_each_device
@pytest.mark.parametrize("pmi", [0.0, 0.2])
@pytest.mark.parametrize("task", ["rte", "pubmedqa"])
def test_real_tables(task, pmi, device):
    problem = build_problem(*published(task, "opt"), ensemble(30), Objective(pmi=pmi))
    assert_same(problem, device)
    assert_same(problem, device, descend(problem, n_starts=4).best)


@on_each_device
def test_a_real_table_of_four_classes_pruned(device):
    problem = build_problem(*published("agnews", "opt"), ensemble(30), Objective())
    start = descend(problem, n_starts=4).best
    found = DeviceSearch(problem, device, memory=1 << 29).run(start)
    assert_same_answer(ExactSearch(problem).run(start), found)


@on_each_device
def test_pruned_fronts_hold_what_was_met(device):
    probabilities, y = random_rows(2, n_samples=80, steps=50, n_classes=4)
    problem = build_problem(probabilities, y, SMALL_FAMILY, Objective())
    least = ExactSearch(problem).run(prune=False).fronts.cobias
    fronts = DeviceSearch(problem, device).run(prune=True).fronts
    met = np.flatnonzero(np.isfinite(fronts.cobias))
    assert met.size
    assert (fronts.cobias[met] >= least[met] - 1e-12).all()
    assert [problem.counts(fronts.choice[right]).correct.sum() for right in met] == met.tolist()


@on_each_device
def test_out_of_time_the_best_so_far_has_an_honest_bound(device):
    probabilities, y = random_rows(5, n_samples=100, n_classes=5, steps=1000)
    problem = build_problem(probabilities, y, weights(9), Objective(pmi=0))
    start = descend(problem, n_starts=4).best
    optimum = ExactSearch(problem).run(start).best.objective
    cut = DeviceSearch(problem, device).run(start, time_limit=0.0)
    assert cut.certificate.status == "heuristic" and cut.certificate.interrupted
    assert cut.certificate.lower_bound <= optimum <= cut.best.objective
    assert not cut.frontier_complete


@on_each_device
def test_a_person_who_interrupts_keeps_the_best_so_far(device, monkeypatch):
    probabilities, y = random_rows(5, n_samples=60, n_classes=5, steps=1000)
    problem = build_problem(probabilities, y, weights(8), Objective(pmi=0))
    optimum = ExactSearch(problem).run().best.objective
    n_valued = 0

    def interrupted_later(counts, terms):
        nonlocal n_valued
        n_valued += 1
        if n_valued == 2:
            raise KeyboardInterrupt
        return value_counts(counts, terms)

    monkeypatch.setattr("debias.search.device.value_counts", interrupted_later)
    result = DeviceSearch(problem, device, least_memory(problem)).run(prune=False)
    assert n_valued == 2 and result.interrupted and result.certificate.status == "heuristic"
    assert 0 < result.certificate.n_evaluations < result.n_choices
    assert result.certificate.lower_bound <= optimum <= result.best.objective


@on_each_device
def test_progress_ends_at_one_and_the_estimates_are_of_the_right_size(device):
    probabilities, y = random_rows(1, n_samples=60, n_classes=4, steps=100)
    on_device = DeviceSearch(build_problem(probabilities, y, weights(9), Objective()), device)
    shares = []
    on_device.run(on_progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0
    pruned, complete = on_device.estimate()
    assert 0 <= pruned <= complete
    assert 0 < complete < 1000


@on_each_device
@pytest.mark.parametrize("goal", GOALS, ids=repr)
def test_counts_values_and_bounds_are_the_compiled_ones(goal, device):
    probabilities, y = random_rows(7, n_samples=90, steps=20, n_classes=4)
    problem = build_problem(probabilities, y, SMALL_FAMILY, goal)
    compiled, terms = ExactSearch(problem), terms_of(problem)
    tables = DeviceLanes(compiled.lanes, torch.device(device), 1 << 28)
    sizes = compiled.lanes.n_lanes[compiled.lanes.order[:2]]
    prefixes = np.indices(sizes).reshape(2, -1).T.astype(np.int64)
    on_device = torch.from_numpy(prefixes).to(device)
    counts = tables.counts(on_device)
    values = value_counts(counts, terms)
    lanes = tables.lanes_of(prefixes, np.arange(counts.shape[1]))
    assert len(np.unique(lanes, axis=0)) == compiled.lanes.n_choices
    for at in np.random.default_rng(0).choice(len(lanes), 60, replace=False):
        choice = compiled.choices(lanes[at])
        correct = problem.counts(choice).correct
        np.testing.assert_array_equal(counts[:, at].cpu().numpy(), correct)
        assert float(values.right[at]) == correct.sum()
        accuracies = correct / problem.support
        gaps = [abs(a - b) for a, b in itertools.combinations(accuracies, 2)]
        assert float(values.cobias[at]) == pytest.approx(np.mean(gaps), abs=1e-12)
        assert float(values.least[at]) <= problem.evaluate(choice) + 1e-12
        if not (goal.inner if isinstance(goal, Constrained) else goal).pmi:
            assert float(values.least[at]) == pytest.approx(problem.evaluate(choice), abs=1e-11)
    most = tables.most(on_device)
    bounds = least_objectives(most, terms).cpu().numpy()
    below = counts.view(4, len(prefixes), -1).amax(2).T
    assert (most >= below).all()
    whole = most.cpu().numpy().astype(np.int64)
    expected = [least_objective(row, terms, np.zeros(4)) for row in whole]
    np.testing.assert_allclose(bounds, expected, rtol=0, atol=1e-12)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_CUDA)
def test_the_memory_of_the_device_is_kept_to():
    probabilities, y = random_rows(5, n_samples=2000, n_classes=5, steps=1000)
    problem = build_problem(probabilities, y, ensemble(30), Objective(pmi=0))
    memory = least_memory(problem) + (1 << 28)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    DeviceSearch(problem, "cuda", memory).run(descend(problem, n_starts=2).best, time_limit=5)
    assert torch.cuda.max_memory_allocated() - before <= memory


def test_devices_that_are_not_there_are_refused():
    with pytest.raises(ParameterError, match=r"device='cuda:99' needs a CUDA device; torch finds"):
        resolve_device("cuda:99")
    if not torch.cuda.is_available():
        with pytest.raises(ParameterError, match="torch finds none here. Use device=None"):
            resolve_device("cuda")
        assert resolve_device("auto").type == "cpu"


def test_too_little_memory_is_refused():
    probabilities, y = random_rows(5)
    problem = build_problem(probabilities, y, weights(5), Objective())
    with pytest.raises(ParameterError, match=r"memory must be at least [\d,]+ bytes .*; got 1,000"):
        DeviceSearch(problem, "cpu", memory=1000)


@on_each_device
@pytest.mark.parametrize("method", ["auto", "exact", "enumerate"])
def test_every_search_that_proves_has_the_same_answer_on_a_device(method, device, monkeypatch):
    probabilities, y = random_rows(5, n_samples=80, n_classes=3, steps=100)
    problem = build_problem(probabilities, y, weights(12), Objective())
    if device == "cpu":  # which stands for the compiled search otherwise
        monkeypatch.setattr("debias.search.solve._prover", lambda _: partial(DeviceSearch, device="cpu"))
    said = []
    monkeypatch.setattr("debias.search.solve.LONG", 0.0)
    found = search(problem, method, n_starts=2, announce=said.append, device=device)
    monkeypatch.undo()
    compiled = search(problem, method, n_starts=2)
    assert found.best == compiled.best
    assert found.certificate.status == compiled.certificate.status == "optimal"
    assert f"seconds on {device}" in said[0]


def test_an_estimator_takes_the_name_of_a_device():
    probabilities, y = random_rows(5, n_samples=60)
    plain = WeightDebiaser(n_weights=8).fit(probabilities, y)
    for device in ("cpu", "auto"):
        fitted = WeightDebiaser(n_weights=8, device=device).fit(probabilities, y)
        np.testing.assert_array_equal(fitted.choice_, plain.choice_)
        assert fitted.objective_value_ == plain.objective_value_
    with pytest.raises(ParameterError, match=r"device must be None or 'cpu' .*; got 'gpu'"):
        WeightDebiaser(device="gpu").fit(probabilities, y)
    with pytest.raises(ParameterError, match="needs a CUDA device"):
        WeightDebiaser(device="cuda:99").fit(probabilities, y)


def test_without_a_device_torch_is_not_loaded():
    code = (
        "import sys; import numpy as np; from debias import WeightDebiaser;"
        "WeightDebiaser(n_weights=4, device='cpu').fit(np.array([[.6, .4], [.7, .3], [.9, .1]]), [1, 0, 0]);"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
