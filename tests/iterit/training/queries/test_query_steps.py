"""Steps on a query: the weights are those of a plain loop, and drops are dot products of gradients."""

import numpy as np
import pytest
import torch
from peft import PeftModel
from scipy.stats import spearmanr

from debias.errors import EngineError, ParameterError, RecordsError
from iterit.records.instruction_records import Records
from iterit.scoring.answer_losses import answer_losses
from iterit.scoring.loss_drop import loss_drop
from iterit.templates.named_templates import template_for
from iterit.training.queries.query_steps import trained_on
from tests.support.refusals import refused
from tests.support.small_runs import rows
from tests.support.small_templates import CHATML, STRICT, chat_tokenizer
from tests.support.tiny_models import tiny_engine

POOL = Records.from_rows(rows(60))
QUERY = POOL.take([3, 1, 20, 17])
TOKENIZER = chat_tokenizer(CHATML)


def loss_of(model, record):
    """Mean loss of the answer's tokens, from all logits."""
    one = template_for(TOKENIZER).encode(record)
    logits = model(input_ids=torch.tensor([one.input_ids])).logits[0].log_softmax(-1)
    return -torch.stack([logits[n - 1, token] for n, token in enumerate(one.labels) if token != -100]).mean()


def gradient_of(model, records):
    """Gradient of the mean loss of records, by name."""
    model.zero_grad()
    (sum(loss_of(model, record) for record in records) / len(records)).backward()
    return {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}


def untrained(folder):
    """The model with the adapter as it was before its step, all of it open to gradients."""
    model = PeftModel.from_pretrained(tiny_engine("qwen2", TOKENIZER).model, folder, is_trainable=True).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.zero_()
    return model


def test_two_steps_on_all_weights_are_those_of_a_plain_loop():
    engine, plain = tiny_engine("gpt2", TOKENIZER), tiny_engine("gpt2", TOKENIZER).model
    engine.model.train()  # dropout is not felt
    trained = trained_on(engine, QUERY, steps=2, learning_rate=0.01, lora_rank=None)
    losses = []
    for _ in range(2):
        losses.append(float(sum(loss_of(plain, one).detach() for one in QUERY)) / len(QUERY))
        for name, gradient in gradient_of(plain, QUERY).items():
            plain.get_parameter(name).data -= 0.01 * gradient
    assert trained.learning_rates == (0.01, 0.01) and trained.adapter is None
    np.testing.assert_allclose(trained.losses[:2], losses, atol=1e-5)
    for name, parameter in trained.engine.model.named_parameters():
        torch.testing.assert_close(parameter, plain.get_parameter(name), atol=1e-5, rtol=0)
    for name, parameter in tiny_engine("gpt2", TOKENIZER).model.named_parameters():
        torch.testing.assert_close(engine.model.get_parameter(name), parameter, atol=0, rtol=0)
    assert engine.model.training


def test_a_step_on_an_adapter_is_that_of_a_plain_loop(tmp_path):
    engine = tiny_engine("qwen2", TOKENIZER)
    trained = trained_on(engine, QUERY, tmp_path / "adapter", lora_rank=4, query_drop=0.01)
    model = untrained(trained.adapter)
    gradient = gradient_of(model, QUERY)
    squared = sum(float(one.square().sum()) for one in gradient.values())
    assert trained.learning_rates[0] == pytest.approx(0.01 / squared, rel=1e-4)
    for name, own in gradient.items():
        model.get_parameter(name).data -= trained.learning_rates[0] * own
    saved = PeftModel.from_pretrained(tiny_engine("qwen2", TOKENIZER).model, trained.adapter)
    for name, parameter in saved.named_parameters():
        torch.testing.assert_close(model.get_parameter(name), parameter, atol=1e-6, rtol=1e-4)
    merged = saved.merge_and_unload()
    for name, parameter in trained.engine.model.named_parameters():
        torch.testing.assert_close(merged.get_parameter(name), parameter, atol=1e-6, rtol=1e-5)
    assert trained.losses[0] - trained.losses[1] == pytest.approx(0.01, rel=0.2)


@pytest.mark.parametrize("rank", [4, None])
def test_drops_are_dot_products_of_gradients(tmp_path, rank):
    engine = tiny_engine("qwen2", TOKENIZER)
    out = None if rank is None else tmp_path
    trained = trained_on(engine, QUERY, out, lora_rank=rank, query_drop=0.002)
    model = tiny_engine("qwen2", TOKENIZER).model if rank is None else untrained(tmp_path)
    query = gradient_of(model, QUERY)
    exact = [
        sum(float((own * query[name]).sum()) for name, own in gradient_of(model, [record]).items())
        for record in POOL
    ]
    before, after = (answer_losses(POOL, one, show_progress=False) for one in (engine, trained.engine))
    value = loss_drop(before, after)["value"]
    assert spearmanr(value, exact).statistic > 0.95
    np.testing.assert_allclose(value, trained.learning_rates[0] * np.array(exact), atol=2e-4)


def test_the_same_seed_gives_the_same_model_and_leaves_randomness_alone():
    engine = tiny_engine("qwen2", TOKENIZER)
    torch.manual_seed(5)
    first, same, other = (trained_on(engine, QUERY, lora_rank=4, seed=seed) for seed in (0, 0, 1))
    drawn = float(torch.rand(1))
    torch.manual_seed(5)
    assert drawn == float(torch.rand(1))
    assert first.engine.fingerprint == same.engine.fingerprint != other.engine.fingerprint
    assert first.losses == same.losses and first.losses[0] == other.losses[0]


def test_records_without_an_answer_are_omitted():
    records = Records.from_rows(
        [{"question": "Who?", "answer": "Person"}, {"question": "q", "answer": "\u200b"}]
    )
    engine = tiny_engine("qwen2", TOKENIZER)
    both, one = (trained_on(engine, some, lora_rank=None) for some in (records, records.take([0])))
    assert both.losses == one.losses
    with refused(RecordsError):
        trained_on(engine, records.take([1]))
    with refused(RecordsError):
        trained_on(engine, records, max_tokens=3)
    kind = Records.from_rows([{"question": "q", "answer": "a", "system": "Be kind."}])
    with refused(RecordsError, row=0):
        trained_on(tiny_engine("qwen2", chat_tokenizer(STRICT)), kind)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("steps", 0), ("query_drop", 0), ("learning_rate", float("nan")), ("lora_rank", -1), ("model", 3)],
)
def test_what_is_not_allowed(parameter, value):
    options = {"model": tiny_engine("qwen2", TOKENIZER), "records": QUERY} | {parameter: value}
    with refused(ParameterError, parameter=parameter, received=value if value == value else float):
        trained_on(**options)


def test_all_weights_are_not_saved_as_an_adapter(tmp_path):
    with refused(ParameterError, parameter="out"):
        trained_on(tiny_engine("qwen2", TOKENIZER), QUERY, tmp_path, lora_rank=None)


def test_a_gradient_that_is_no_number_is_told_of():
    engine = tiny_engine("qwen2", TOKENIZER)
    with torch.no_grad():
        engine.model.get_input_embeddings().weight.fill_(float("nan"))
    with refused(EngineError, received=float):
        trained_on(engine, QUERY, lora_rank=None)
