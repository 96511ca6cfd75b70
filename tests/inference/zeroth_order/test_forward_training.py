"""Steps, against closed forms on a quadratic; runs, against their replays in every byte."""

import copy
import socket

import numpy as np
import pytest
import torch
from torch import nn

from debias.errors import EngineError
from debias.inference.zeroth_order.directions import drawn, stream_of
from debias.inference.zeroth_order.forward_training import (
    ForwardTraining,
    rows_of_step,
    seed_of_step,
)
from debias.inference.zeroth_order.perturbed_forward import PerturbedForward
from debias.inference.zeroth_order.run_log import RunHeader, RunLog, read_run, replay
from debias.inference.zeroth_order.trained_part import TrainedPart, weights_digest
from tests.support.refusals import refused

CURVATURE = np.array([1.0, 3.0, 0.5, 2.0, 1.0, 4.0])
GOAL = np.array([0.5, -1.0, 2.0, 0.0, 1.5, -0.5])
START = np.array([1.0, 1.0, -1.0, 0.25, 0.75, 0.125])


class Quadratic(nn.Module):
    """Half the sum of ``a (w - c)**2``."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(START, dtype=torch.float32))

    def loss(self):
        return float((CURVATURE * (self.w.detach().double().numpy() - GOAL) ** 2).sum() / 2)

    def gradient(self):
        return CURVATURE * (self.w.detach().double().numpy() - GOAL)


def training_of(model, path, *, sparsity=0.0, epsilon=0.01, decay=0.0, seed=0):
    part = TrainedPart.of(model, sparsity)
    header = RunHeader(weights_digest(model), part.thresholds_digest(), epsilon, sparsity, decay)
    return ForwardTraining(PerturbedForward(model, part), RunLog(path, header), seed)


@pytest.mark.parametrize("sparsity", [0.0, 0.5])
def test_a_quadratic_descends_as_the_closed_form_says(tmp_path, sparsity):
    """Central differences are exact on a quadratic: the projected gradient is the gradient times m z."""
    model = Quadratic()
    training = training_of(model, tmp_path / "run", sparsity=sparsity)
    threshold = sorted(abs(START))[2] if sparsity else np.inf
    weights = START.copy()
    for number in range(50):
        z = drawn(stream_of(seed_of_step(0, number), "w"), 0, 6).double().numpy()
        z = z * (abs(weights) <= threshold)
        projected = (CURVATURE * (weights - GOAL)) @ z
        step = training.step([model.loss], rate=0.02).step
        assert step.projected == pytest.approx(projected, abs=2e-4)
        weights = weights - 0.02 * projected * z
        np.testing.assert_allclose(model.w.detach().numpy(), weights, atol=1e-4)


def test_the_mean_of_steps_is_the_gradient(tmp_path):
    model = Quadratic()
    training = training_of(model, tmp_path / "run")
    estimates = []
    for seed in range(1000):
        units, _ = training.differences(seed, [model.loss])
        projected = units / 2**40 / 0.02
        estimates.append(projected * drawn(stream_of(seed, "w"), 0, 6).double().numpy())
    error = np.std(estimates, axis=0) / np.sqrt(1000)
    assert (abs(np.mean(estimates, axis=0) - model.gradient()) < 3 * error).all()


def test_decay_shrinks_matrices_and_no_biases(tmp_path):
    model = nn.Linear(3, 2)
    before = copy.deepcopy(model)
    training = training_of(model, tmp_path / "run", decay=0.5)
    training.step([lambda: 1.0], rate=0.25)  # no difference: only the decay moves
    assert torch.equal(model.bias, before.bias)
    torch.testing.assert_close(model.weight, before.weight * (1 - 0.125))


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))


INPUTS = torch.linspace(-1, 1, 64).view(8, 8)


def train(training, model, n_steps, parts=((0, 8),)):
    def part_of(start, stop):
        return lambda: float(((model(INPUTS[start:stop])[:, 0] - 1) ** 2).sum()) / 8

    with torch.no_grad():
        for _ in range(n_steps):
            training.step([part_of(*part) for part in parts], rate=0.01)


@pytest.mark.parametrize("sparsity", [0.75])
def test_a_thousand_steps_are_replayed_in_every_byte(tmp_path, sparsity):
    model = network()
    train(training_of(model, tmp_path / "run", sparsity=sparsity, decay=0.1), model, 1000)
    header, steps, dropped = read_run(tmp_path / "run")
    again = network()
    assert (weights_digest(again), len(steps), dropped) == (header.base, 1000, 0)
    replay(TrainedPart.of(again, sparsity), header, steps)
    assert weights_digest(again) == weights_digest(model) != header.base
    assert (tmp_path / "run").stat().st_size == len(header.line) + 16_000


def test_training_learns(tmp_path):
    model = network()
    training = training_of(model, tmp_path / "run")
    with torch.no_grad():
        before = float(((model(INPUTS)[:, 0] - 1) ** 2).mean())
        train(training, model, 150)
        assert float(((model(INPUTS)[:, 0] - 1) ** 2).mean()) < before / 2


def test_a_run_resumes_at_any_step_as_if_it_had_never_stopped(tmp_path):
    whole = network()
    train(training_of(whole, tmp_path / "whole", sparsity=0.5), whole, 20)
    for stopped_at in (0, 1, 13, 20):
        path = tmp_path / f"run {stopped_at}"
        model = network()
        train(training_of(model, path, sparsity=0.5), model, stopped_at)
        if stopped_at:
            with path.open("ab") as file:
                file.write(b"torn step")  # the process was killed as it wrote
        model = network()
        training = training_of(model, path, sparsity=0.5)
        assert training.log.dropped == (9 if stopped_at else 0)
        assert training.resume() == stopped_at
        train(training, model, 20 - stopped_at)
        assert path.read_bytes() == (tmp_path / "whole").read_bytes()
        assert weights_digest(model) == weights_digest(whole)


def test_a_mask_of_ones_is_plain_mezo(tmp_path):
    plain, masked = network(), network()
    train(training_of(plain, tmp_path / "plain"), plain, 20)
    training = training_of(masked, tmp_path / "masked")
    part = training.running.part
    part.thresholds = dict.fromkeys(part.parameters, 1e3)
    train(training, masked, 20)
    assert weights_digest(masked) == weights_digest(plain)


def test_untouched_weights_never_move(tmp_path):
    model, before = network(), network()
    training = training_of(model, tmp_path / "run", sparsity=0.75)
    train(training, model, 50)
    for name, one in before.named_parameters():
        large = one.abs() > training.running.part.thresholds[name]
        assert torch.equal(model.get_parameter(name)[large], one[large])
        assert not torch.equal(model.get_parameter(name)[~large], one[~large])


def test_two_processes_write_the_run_of_one(tmp_path):
    """Each measures its own micro-batches; one whole number each is added up."""
    alone = network()
    train(training_of(alone, tmp_path / "alone"), alone, 10, parts=((0, 3), (3, 5), (5, 8)))
    models = [network(), network()]
    both = [training_of(model, tmp_path / f"process {i}") for i, model in enumerate(models)]
    parts = [[(0, 3), (5, 8)], [(3, 5)]]
    with torch.no_grad():
        for number in range(10):
            seed = seed_of_step(0, number)
            units = 0
            for model, training, own in zip(models, both, parts, strict=True):
                losses = [
                    lambda m=model, a=a, b=b: float(((m(INPUTS[a:b])[:, 0] - 1) ** 2).sum()) / 8
                    for a, b in own
                ]
                units += training.differences(seed, losses)[0]
            for training in both:
                training.take(seed, units, 0.01)
    expected = (tmp_path / "alone").read_bytes()
    assert {(tmp_path / f"process {i}").read_bytes() for i in range(2)} == {expected}
    assert {weights_digest(model) for model in models} == {weights_digest(alone)}


def _one_of_two(rank, folder, port):
    """Train as one of two processes, which are connected on this machine."""
    import torch.distributed as distributed

    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    model = network()
    train(training_of(model, f"{folder}/process {rank}"), model, 10, [[(0, 3), (5, 8)], [(3, 5)]][rank])
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_real_processes_write_the_run_of_one(tmp_path):
    alone = network()
    train(training_of(alone, tmp_path / "alone"), alone, 10, parts=((0, 3), (3, 5), (5, 8)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_one_of_two, args=(str(tmp_path), port), nprocs=2)
    expected = (tmp_path / "alone").read_bytes()
    assert {(tmp_path / f"process {i}").read_bytes() for i in range(2)} == {expected}


def test_a_loss_that_is_not_finite_takes_no_step(tmp_path):
    model = network()
    training = training_of(model, tmp_path / "run")
    before = weights_digest(model)
    with refused(EngineError, parameter="learning_rate"):
        training.step([lambda: float("nan")], rate=0.1)
    assert (weights_digest(model), training.log.steps) == (before, [])


def test_the_curvature_is_the_trace(tmp_path):
    training = training_of(Quadratic(), tmp_path / "run", epsilon=0.1)
    found = training.curvature([training.running.model.loss], n_directions=400)
    error = np.sqrt(2 * (CURVATURE**2).sum() / 400)  # of a mean of z' H z
    assert abs(found - CURVATURE.sum()) < 3 * error


def test_passes_over_the_rows_have_each_row_once():
    batches = [rows_of_step(10, 3, 0, number) for number in range(10)]
    flat = [row for batch in batches for row in batch]
    for turn in range(3):
        assert sorted(flat[10 * turn : 10 * turn + 10]) == list(range(10))
    assert flat[:10] != flat[10:20]
    assert rows_of_step(2, 3, 0, 5) in ([0, 1], [1, 0])
