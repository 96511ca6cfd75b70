"""What the model receives are the picks, whatever an own compute_loss or training_step does with a batch."""

import warnings

import pytest
import torch
import transformers

from debias.errors import DebiasWarning, ModelError, ParameterError
from iterit.training.own_trainers.batch_changes import places_of
from iterit.training.own_trainers.batch_check import BatchCheck
from iterit.training.zeroth_order.zeroth_order_trainer import ZerothOrderTrainer
from tests.support.refusals import refused
from tests.support.small_runs import arguments, model_of, picks_of, rounds_in
from tests.support.tiny_models import byte_tokenizer

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)
PADDING = {"input_ids": 0, "attention_mask": 0, "labels": -100}


def loss_of(logits, labels):
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())


def rewriting(self, model, inputs):
    inputs["labels"] = inputs["input_ids"].clone()
    return model(**inputs).loss


def in_place(self, model, inputs):
    inputs["labels"].copy_(inputs["input_ids"])
    return model(**inputs).loss


def copying(self, model, inputs):
    return model(**{**inputs, "labels": inputs["input_ids"].clone()}).loss


def dropping(self, model, inputs):
    return model(**{name: value[:1] for name, value in inputs.items()}).loss


def adding(self, model, inputs):
    more = torch.tensor([[1, 2, 3]])
    return model(**inputs).loss + model(input_ids=more, labels=more).loss


def by_vectors(self, model, inputs):
    vectors = model.get_input_embeddings()(inputs["input_ids"])
    return model(inputs_embeds=vectors, labels=inputs["input_ids"]).loss


def row_by_row(self, model, inputs):
    rows = ({name: value[n : n + 1] for name, value in inputs.items()} for n in range(len(inputs["labels"])))
    return sum(model(**row).loss for row in rows)


def padding(self, model, inputs):
    padded = torch.nn.functional.pad
    return model(**{name: padded(value, (0, 5), value=PADDING[name]) for name, value in inputs.items()}).loss


def twice(self, model, inputs):
    return model(**inputs).loss + model(**inputs).loss


def with_teacher(self, model, inputs):
    with torch.no_grad():
        model(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]]))
    return model(**inputs).loss


def with_vectors(self, model, inputs):
    vectors = model.get_input_embeddings()(inputs["input_ids"])
    before = torch.zeros(len(vectors), 2, vectors.shape[-1])
    labels = torch.nn.functional.pad(inputs["labels"], (2, 0), value=-100)
    return model(inputs_embeds=torch.cat([before, vectors], 1), labels=labels).loss


def outside(self, model, inputs):
    labels = inputs.pop("labels")
    return loss_of(model(**inputs).logits, labels)


def trainer_with(folder, loss, method="compute_loss", **changes):
    """A trainer with a loss of its own."""

    class Own(transformers.Trainer):
        pass

    if method == "compute_loss":
        Own.compute_loss = lambda self, model, inputs, *words, **more: loss(self, model, inputs)
    else:

        def step(self, model, inputs, *words, **more):
            model.train()
            found = loss(self, model, inputs)
            self.accelerator.backward(found)
            return found.detach()

        Own.training_step = step
    transformers.set_seed(0)
    settings = transformers.TrainingArguments(
        **arguments(folder, save_strategy="no", num_train_epochs=1) | changes
    )
    return Own(model_of("qwen2"), settings, processing_class=byte_tokenizer())


@pytest.mark.parametrize("method", ["compute_loss", "training_step"])
@pytest.mark.parametrize("loss", [rewriting, in_place, copying, dropping, adding, by_vectors])
def test_a_model_that_receives_other_tokens_trains_none(tmp_path, loss, method):
    trainer = trainer_with(tmp_path, loss, method)
    rounds_in(trainer)
    with refused(ParameterError, parameter="data_collator", allowed=str, fix=str):
        trainer.train()
    assert trainer.state.global_step == 0
    assert not trainer.model._forward_pre_hooks


@pytest.mark.parametrize("method", ["compute_loss", "training_step"])
@pytest.mark.parametrize("loss", [row_by_row, padding, twice, with_teacher, with_vectors])
def test_a_loss_of_the_picks_alone_is_trained(tmp_path, loss, method):
    trainer = trainer_with(tmp_path, loss, method)
    rounds = rounds_in(trainer)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DebiasWarning)
        trainer.train()
    assert trainer.state.global_step == 2 and [len(one) for one in picks_of(rounds)] == [10]
    assert not trainer.model._forward_pre_hooks


def test_a_loss_that_is_computed_outside_the_model_is_said_once(tmp_path):
    trainer = trainer_with(tmp_path, outside)
    rounds_in(trainer)
    with pytest.warns(DebiasWarning, match="Own gives the model no labels") as caught:
        trainer.train()
    assert sum("no labels" in str(one.message) for one in caught) == 1


@pytest.mark.parametrize("how", ["smoothing", "function"])
def test_a_loss_that_the_trainer_computes_outside_is_not(tmp_path, how):
    changes = {"label_smoothing_factor": 0.1} if how == "smoothing" else {}
    function = (
        None if changes else lambda outputs, labels, num_items_in_batch=None: loss_of(outputs.logits, labels)
    )
    settings = transformers.TrainingArguments(
        **arguments(tmp_path, save_strategy="no", num_train_epochs=1) | changes
    )
    trainer = transformers.Trainer(
        model_of("qwen2"), settings, processing_class=byte_tokenizer(), compute_loss_func=function
    )
    rounds_in(trainer)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DebiasWarning)
        trainer.train()
    assert trainer.state.global_step == 2


def test_a_batch_is_compared_with_its_picks_once(tmp_path, monkeypatch):
    import iterit.training.own_trainers.batch_check as checked

    counted = []
    monkeypatch.setattr(checked, "changes", lambda *words: counted.append(1) or "")
    settings = transformers.TrainingArguments(**arguments(tmp_path, save_strategy="no", num_train_epochs=1))
    trainer = transformers.Trainer(model_of("qwen2"), settings, processing_class=byte_tokenizer())
    rounds_in(trainer)
    trainer.train()
    assert len(counted) == 4


def test_forward_only_training_packs_answers_after_attach_too(tmp_path):
    settings = transformers.TrainingArguments(**arguments(tmp_path, save_strategy="no", num_train_epochs=1))
    trainer = ZerothOrderTrainer(model_of("qwen2"), settings, processing_class=byte_tokenizer())
    rounds_in(trainer)
    assert trainer._is_plain()

    class Own(ZerothOrderTrainer):
        def compute_loss(self, *words, **more):
            return super().compute_loss(*words, **more)

    own = Own(model_of("qwen2"), settings, processing_class=byte_tokenizer())
    rounds_in(own)
    assert not own._is_plain()


def test_a_model_that_is_not_causal_is_refused_before_anything_is_scored(tmp_path):
    config = transformers.BertConfig(
        vocab_size=len(byte_tokenizer()), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48,
    )  # fmt: skip
    settings = transformers.TrainingArguments(**arguments(tmp_path))
    trainer = transformers.Trainer(
        transformers.BertForMaskedLM(config), settings, processing_class=byte_tokenizer()
    )
    with refused(ModelError, parameter="model", received="BertForMaskedLM", fix=str):
        rounds_in(trainer)
    assert not hasattr(trainer, "rounds")


RECORDS = [
    {"input_ids": [5, 6, 7], "labels": [-100, 6, 7]},
    {"input_ids": [8, 9], "labels": [-100, 9]},
]


@pytest.mark.parametrize(
    ("tokens", "labels", "found"),
    [
        ([[8, 9, 0]], [[-100, 9, -100]], {1}),
        ([[0, 8, 9]], [[-100, -100, 9]], {1}),
        ([[8, 9], [8, 9]], [[-100, 9], [-100, 9]], {1}),
        ([[1, 1], [8, 9]], [[-100, -100], [-100, 9]], {1}),
        ([[5, 6, 7]], [[-100, 6, -100]], None),
        ([[4, 6, 7]], [[-100, 6, 7]], None),
        ([[5, 6, 7]], [[5, 6, 7]], None),
        (None, [[-100, -100, 6, 7]], {0}),
        (None, [[-100, 6, 9]], None),
    ],
)
def test_rows_are_records_or_none(tokens, labels, found):
    batch = {"labels": torch.tensor(labels)}
    batch |= {} if tokens is None else {"input_ids": torch.tensor(tokens)}
    assert places_of(batch, RECORDS) == found


def test_nothing_is_expected_outside_a_batch():
    check = BatchCheck(RECORDS, 10)
    check.check({"input_ids": torch.tensor([[1]]), "labels": torch.tensor([[1]])})
