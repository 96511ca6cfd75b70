"""What reaches the training step are the picks and nothing else, whatever changed them on their way."""

import pytest
import torch
import transformers
from torch.utils.data import DataLoader

from debias.errors import ParameterError
from iterit.training.own_trainers.batch_changes import changes
from tests.support.refusals import refused
from tests.support.small_runs import arguments, model_of, picks_of, rounds_in, trainer_of
from tests.support.tiny_models import byte_tokenizer

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)


def padded(examples):
    """A collator of a user's own that is right; it pads at the left."""
    longest = max(len(one["input_ids"]) for one in examples)
    fill = {"input_ids": 0, "attention_mask": 0, "labels": -100}
    return {
        name: torch.tensor([[value] * (longest - len(one[name])) + list(one[name]) for one in examples])
        for name, value in fill.items()
    }


def overwriting(examples):
    for one in examples:
        one["labels"][:] = one["input_ids"]
    return padded(examples)


def masking_the_end(examples):
    for one in examples:
        one["labels"][-1] = -100
    return padded(examples)


def appending(examples):
    for one in examples:
        for name, value in (("input_ids", 3), ("labels", 3), ("attention_mask", 1)):
            one[name].append(value)
    return padded(examples)


def whole_texts_of_three(examples):
    batch = padded(examples)
    return batch | {"labels": batch["input_ids"].clone()} if len(examples) > 2 else batch


def one_of_three(examples):
    return padded(examples[:1] if len(examples) > 2 else examples)


@pytest.mark.parametrize(
    "collator", [overwriting, masking_the_end, appending, whole_texts_of_three, one_of_three]
)
def test_a_collator_is_refused_before_it_trains_other_tokens(tmp_path, collator):
    with refused(ParameterError, parameter="data_collator", received="function", allowed=str, fix=str):
        rounds_in(trainer_of(tmp_path, model_of(), collator))


class Late:
    """Changes its behaviour when it has seen some batches, and no copy of it."""

    def __init__(self):
        self.n_calls, self.of_all = 0, [0]

    def __deepcopy__(self, memo):
        return padded

    def __call__(self, examples):
        self.n_calls += 1
        batch = padded(examples)
        return batch | {"labels": batch["input_ids"].clone()} if self.n_calls > 2 else batch


def dropping(trainer):
    before = trainer.get_batch_samples

    def get(*words):
        batches, count = before(*words)
        return batches[:1], count

    trainer.get_batch_samples = get


def rewriting(trainer):
    before = trainer.get_batch_samples

    def get(*words):
        batches, count = before(*words)
        for batch in batches:
            batch["labels"] = batch["input_ids"].clone()
        return batches, count

    trainer.get_batch_samples = get


def late(trainer):
    trainer.data_collator = Late()


@pytest.mark.parametrize("change", [late, dropping, rewriting])
def test_a_batch_that_was_changed_after_all_trials_is_not_trained(tmp_path, change):
    trainer = trainer_of(tmp_path, model_of(), save_strategy="no")
    rounds_in(trainer)
    change(trainer)
    with refused(ParameterError, parameter="data_collator", allowed=str, fix=str):
        trainer.train()
    assert trainer.state.global_step <= 1


def test_a_training_step_of_a_trainers_own_may_not_change_labels(tmp_path):
    class Stepping(transformers.Trainer):
        def training_step(self, model, inputs, *words, **more):
            inputs["labels"] = inputs["input_ids"].clone()
            return super().training_step(model, inputs, *words, **more)

    settings = transformers.TrainingArguments(**arguments(tmp_path, save_strategy="no"))
    trainer = Stepping(model_of(), settings, processing_class=byte_tokenizer())
    rounds_in(trainer)
    with refused(ParameterError, parameter="data_collator"):
        trainer.train()
    assert trainer.state.global_step == 0


def test_an_own_loader_is_refused_however_it_is_given(tmp_path):
    class Loading(transformers.Trainer):
        def _get_dataloader(self, dataset, *words, **more):
            return DataLoader(dataset, batch_size=2, shuffle=True, collate_fn=self.data_collator)

    settings = transformers.TrainingArguments(**arguments(tmp_path, save_strategy="no"))
    with refused(ParameterError, parameter="_get_dataloader", received="Loading"):
        rounds_in(Loading(model_of(), settings, processing_class=byte_tokenizer()))
    trainer = trainer_of(tmp_path, model_of(), save_strategy="no")
    rounds_in(trainer)
    data = trainer.train_dataset
    trainer.get_train_dataloader = lambda: DataLoader(data, batch_size=3, collate_fn=padded)
    with refused(ParameterError, parameter="get_train_dataloader"):
        trainer.train()
    with refused(ParameterError, parameter="get_train_dataloader", received="SequentialSampler"):
        trainer.batch_check.begin(trainer, DataLoader(data, batch_size=3), trainer.round_sampler)


def test_what_is_set_after_attach_is_checked_before_training(tmp_path):
    trainer = trainer_of(tmp_path, model_of(), save_strategy="no")
    rounds_in(trainer)
    data = trainer.train_dataset
    trainer.train_dataset = [{"input_ids": [5, 6], "labels": [5, 6]}] * 40
    with refused(ParameterError, parameter="train_dataset", received="list", fix=str):
        trainer.train()
    trainer.train_dataset, trainer.data_collator = data, overwriting
    with refused(ParameterError, parameter="data_collator"):
        trainer.train()
    trainer.data_collator, trainer.args.dataloader_drop_last = padded, True
    with refused(ParameterError, parameter="dataloader_drop_last"):
        trainer.train()


def test_collators_that_keep_picks_train_them_whenever_they_are_set(tmp_path):
    tokenizer = byte_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    kinds = {
        "none": None,
        "causal": transformers.DataCollatorForLanguageModeling(tokenizer, mlm=False),
        "own": padded,
        "reversed": lambda examples: padded(examples[::-1]),
        "flat": transformers.DataCollatorWithFlattening(),
    }
    picks, losses = {}, {}
    for name, collator in kinds.items():
        trainer = trainer_of(tmp_path, model_of("qwen2"), save_strategy="no", num_train_epochs=1)
        rounds = rounds_in(trainer)
        if collator is not None:
            trainer.data_collator = collator
        trainer.train()
        picks[name], losses[name] = picks_of(rounds), trainer.state.log_history[0]["loss"]
    assert all(one == picks["none"] for one in picks.values())
    assert all(one == pytest.approx(losses["none"], rel=1e-3) for one in losses.values()), losses


@pytest.mark.parametrize("name", ["bloom", "mamba"])
def test_a_flattening_collator_is_refused_where_records_would_see_each_other(tmp_path, name):
    with refused(ParameterError, parameter="data_collator", received="DataCollatorWithFlattening", fix=str):
        rounds_in(trainer_of(tmp_path, model_of(name), transformers.DataCollatorWithFlattening()))

    def line(examples):  # without positions, no model keeps them apart
        batch = transformers.DataCollatorWithFlattening()(examples)
        return {name: batch[name] for name in ("input_ids", "labels")}

    with refused(ParameterError, parameter="data_collator"):
        rounds_in(trainer_of(tmp_path, model_of("qwen2"), line))


def test_a_head_that_is_smaller_than_the_embeddings_is_refused(tmp_path):
    model = model_of("qwen2")
    model.lm_head = torch.nn.Linear(32, 40, bias=False)
    with refused(ParameterError, parameter="processing_class", received=int, allowed=str):
        rounds_in(trainer_of(tmp_path, model))


RECORDS = [
    {"input_ids": [5, 6, 7], "labels": [-100, 6, 7]},
    {"input_ids": [8, 9], "labels": [-100, 9]},
]


@pytest.mark.parametrize(
    ("tokens", "labels", "mask", "kept"),
    [
        ([[5, 6, 7], [8, 9, 0]], [[-100, 6, 7], [-100, 9, -100]], [[1, 1, 1], [1, 1, 0]], True),
        ([[0, 8, 9], [5, 6, 7]], [[-100, -100, 9], [-100, 6, 7]], [[0, 1, 1], [1, 1, 1]], True),
        ([[5, 6, 7], [8, 9, 0]], [[-100, 6, 7], [-100, 9, -100]], None, True),
        ([[5, 6, 7, 8, 9]], [[-100, 6, 7, -100, 9]], None, True),
        ([[5, 6, 7, 8, 9, 0]], [[-100, 6, 7, -100, 9, -100]], None, True),
        ([[5, 6, 7, 8, 9]], [[-100, 6, 7, 8, 9]], None, False),
        ([[5, 6, 7]], [[-100, 6, 7]], None, False),
        ([[5, 6, 7], [5, 6, 7]], [[-100, 6, 7], [-100, 6, 7]], None, False),
        ([[5, 6, 7], [8, 9, 0]], [[-100, 6, 7], [-100, 9, 0]], [[1, 1, 1], [1, 1, 0]], False),
        ([[5, 6, 7], [8, 9, 0]], [[-100, 6, 7], [-100, 9, -100]], [[1, 1, 1], [1, 1, 1]], False),
        ([[5, 6, 7], [8, 9, 0]], [[-100, -100, 7], [-100, 9, -100]], None, False),
        ([[4, 6, 7], [8, 9, 0]], [[-100, 6, 7], [-100, 9, -100]], None, False),
        ([[5, 6, 7], [8, 9, 20]], [[-100, 6, 7], [-100, 9, -100]], None, False),
    ],
)
def test_a_batch_holds_the_records_or_it_is_said(tokens, labels, mask, kept):
    batch = {"input_ids": torch.tensor(tokens), "labels": torch.tensor(labels)}
    batch |= {} if mask is None else {"attention_mask": torch.tensor(mask)}
    assert (changes(batch, RECORDS, 10) == "") == kept


def test_what_is_no_batch_is_said():
    assert changes([1], RECORDS, 10)
    assert changes({"input_ids": torch.tensor([[1]])}, RECORDS, 10)
