"""A perturbed pass, against a model whose weights were really moved."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from debias.errors import ParameterError
from debias.inference.transformers.transformers_engine import TransformersEngine
from debias.inference.zeroth_order.class_loss import ClassLoss
from debias.inference.zeroth_order.perturbed_forward import PerturbedForward
from debias.inference.zeroth_order.thresholds import EVERYTHING
from debias.inference.zeroth_order.trained_part import TrainedPart, weights_digest
from tests.support.refusals import refused
from tests.support.tiny_models import LABELS, PROMPTS, byte_tokenizer, naive_label_logprobs, tiny_engine

EPSILON = 0.01
CLASSES = [0, 1, 2, 3, 4]


def running_of(name, sparsity=0.0, **options):
    engine = tiny_engine(name, **options)
    running = PerturbedForward(engine.model, TrainedPart.of(engine.model, sparsity), engine.forward)
    return engine, running, ClassLoss(engine, PROMPTS, CLASSES, LABELS)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "bloom", "mamba"])
def test_a_perturbed_pass_is_that_of_moved_weights(name):
    """Own pass, packed, padded, tied weights, and a model that reads weights without calling modules."""
    engine, running, loss = running_of(name, sparsity=0.75)
    unmet = running.find_unmet(lambda: loss([0]))
    assert not unmet or name == "mamba"  # some releases call its modules
    before, plain = weights_digest(engine.model), loss(range(5))
    with running.at(5, EPSILON):
        found = loss(range(5))
    assert weights_digest(engine.model) == before
    assert loss(range(5)) == plain != found
    TrainedPart.of(engine.model, sparsity=0.75).step(5, -EPSILON, 1.0)
    assert loss(range(5)) == pytest.approx(found, abs=1e-5)


def test_an_adapter_is_perturbed_and_its_zeros_are_touched_whole():
    peft = pytest.importorskip("peft")
    from tests.support.tiny_models import tiny_model

    config = peft.LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    torch.manual_seed(0)
    model = peft.get_peft_model(tiny_model("llama"), config)
    engine = TransformersEngine(model, byte_tokenizer())
    part = TrainedPart.of(model, sparsity=0.75)
    whole = {name for name, threshold in part.thresholds.items() if threshold == EVERYTHING}
    assert whole == {name for name in part.parameters if "lora_B" in name}
    running = PerturbedForward(model, part, engine.forward)
    loss = ClassLoss(engine, PROMPTS, CLASSES, LABELS)
    assert not running.find_unmet(lambda: loss([0]))
    with running.at(5, 0.5):
        found = loss(range(5))
    part.step(5, -0.5, 1.0)
    assert loss(range(5)) == pytest.approx(found, abs=1e-5)


def test_large_matrices_are_perturbed_a_slice_at_a_time(monkeypatch):
    import debias.inference.zeroth_order.perturbed_forward as module

    _, running, loss = running_of("llama")
    with running.at(5, EPSILON):
        expected = loss(range(5))
    monkeypatch.setattr(module, "_AT_ONCE", 100)
    with running.at(5, EPSILON):
        assert loss(range(5)) == pytest.approx(expected, abs=1e-5)


def test_several_threads_give_the_answer_of_one():
    engine, running, loss = running_of("llama", max_batch_tokens=40)
    with running.at(5, EPSILON):
        expected = loss(range(5))
    n_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with running.at(5, EPSILON):
            assert loss(range(5)) == pytest.approx(expected, abs=1e-5)
    finally:
        torch.set_num_threads(n_threads)


def test_weights_are_restored_after_an_error():
    engine, running, loss = running_of("gpt2")
    before, plain = weights_digest(engine.model), loss([0])
    with pytest.raises(KeyError), running.at(1, EPSILON):
        raise KeyError
    assert weights_digest(engine.model) == before
    assert loss([0]) == plain


def test_tied_weights_are_one_tensor():
    model = tiny_engine("gpt2").model
    assert model.lm_head.weight is model.transformer.wte.weight
    part = TrainedPart.of(model)
    assert len(part.parameters) == len(list(model.parameters()))
    assert part.name_of(model.lm_head.weight) == "transformer.wte.weight"


def test_what_cannot_be_trained_is_refused():
    layer = nn.Linear(2, 2)
    with refused(ParameterError, parameter="sparsity", received=1.0, mentions="NOT touched"):
        TrainedPart.of(layer, sparsity=1.0)
    with refused(ParameterError, parameter="dtype", received="bfloat16", mentions="bias"):
        TrainedPart.of(layer.to(torch.bfloat16), include=lambda name: name == "bias")
    with refused(ParameterError, parameter="model"):
        TrainedPart.of(layer.requires_grad_(False))


def test_losses_are_those_of_naive_probabilities():
    engine = tiny_engine("llama")
    table = naive_label_logprobs(engine, PROMPTS, LABELS)
    table -= np.logaddexp.reduce(table, axis=1, keepdims=True)
    labels = [0, 0, 0, 1, 4]
    plain = ClassLoss(engine, PROMPTS, labels, LABELS)
    assert plain(range(5)) == pytest.approx(-table[range(5), labels].sum(), abs=1e-4)
    balanced = ClassLoss(engine, PROMPTS, labels, LABELS, balanced=True)
    weights = np.array([5 / 9] * 3 + [5 / 3] * 2)
    assert balanced(range(5)) == pytest.approx(-(weights * table[range(5), labels]).sum(), abs=1e-4)
    assert balanced.weight(range(5)) == pytest.approx(5.0)
    assert balanced.weight([3, 4]) == pytest.approx(2 * balanced.weight([0, 1, 2]))


def test_labels_that_no_class_has_are_refused():
    engine = tiny_engine("llama")
    with refused(ParameterError, parameter="labels", row=1, received=6):
        ClassLoss(engine, PROMPTS[:2], [0, 6], LABELS)
    with refused(ParameterError, parameter="labels"):
        ClassLoss(engine, [], [], LABELS)


def test_a_copy_of_a_model_has_the_same_digest():
    model = tiny_engine("llama").model
    assert weights_digest(copy.deepcopy(model)) == weights_digest(model)
