"""Trainers of a user's own: trained rightly, or refused before anything is scored."""

import warnings

import pytest
import torch
import transformers
from torch.utils.data import DataLoader

from debias.errors import DebiasWarning, ParameterError, ResumeError
from iterit.training.saving.same_settings import check_same_training
from iterit.training.trainer import IterIT
from tests.support.refusals import refused
from tests.support.small_runs import arguments, model_of, picks_of, rounds_in, rows, trainer_of
from tests.support.tiny_models import byte_tokenizer

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)


def padding_tokenizer():
    """A tokenizer that names a token to pad with, as collators of transformers want."""
    tokenizer = byte_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def trained_texts(trainer, n_rows):
    """Return the tokens that count in the loss of a batch, row by row."""
    batch = trainer.data_collator([trainer.train_dataset[row] for row in range(n_rows)])
    return [labels[labels != -100].tolist() for labels in batch["labels"]]


COLLATORS = {
    "causal": lambda: transformers.DataCollatorForLanguageModeling(padding_tokenizer(), mlm=False),
    "padding": lambda: transformers.DataCollatorWithPadding(padding_tokenizer()),
    "default": lambda: transformers.default_data_collator,
    "seq2seq": lambda: transformers.DataCollatorForSeq2Seq(padding_tokenizer()),
    "none": lambda: None,
}


@pytest.mark.parametrize("kind", COLLATORS)
def test_whatever_the_collator_the_answers_are_trained(tmp_path, kind):
    trainer = trainer_of(tmp_path, model_of(), COLLATORS[kind]())
    rounds_in(trainer)
    expected = [
        [label for label in one["labels"] if label != -100]
        for one in map(trainer.train_dataset.__getitem__, range(3))
    ]
    assert trained_texts(trainer, 3) == expected
    assert trained_texts(trainer, 1) == expected[:1]


def overwriting(examples):
    batch = transformers.default_data_collator([{"input_ids": [1, 2, 3]} for _ in examples])
    return batch | {"labels": batch["input_ids"].clone()}


def all_tokens(examples):
    tokens = [torch.tensor(one["input_ids"]) for one in examples]
    padded = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True)
    return {"input_ids": padded, "labels": padded.clone()}


def unpadded(examples):
    return {name: torch.tensor([one[name] for one in examples]) for name in examples[0]}


@pytest.mark.parametrize("collator", [overwriting, all_tokens, unpadded])
def test_a_collator_that_trains_other_tokens_is_refused(tmp_path, collator):
    with refused(ParameterError, parameter="data_collator", received="function", allowed=str, fix=str):
        rounds_in(trainer_of(tmp_path, model_of(), collator))
    masking = transformers.DataCollatorForLanguageModeling(padding_tokenizer(), mlm=False)
    masking.mlm, masking.mlm_probability = True, 0.15
    with refused(ParameterError, parameter="data_collator"):
        rounds_in(trainer_of(tmp_path, model_of(), masking))


@pytest.mark.parametrize("kind", ["causal", "padding", "none"])
def test_evaluation_is_the_same_after_attach(tmp_path, kind):
    tokens = [byte_tokenizer()(text)["input_ids"] for text in ("good book of many", "who wrote the book")]
    examples = [{"input_ids": ids} for ids in tokens]
    if kind == "none":  # it pads no labels
        examples = [{"input_ids": ids[:5], "labels": ids[:5]} for ids in tokens]
    losses = []
    for attached in (False, True):
        trainer = trainer_of(tmp_path, model_of(), COLLATORS[kind](), per_device_eval_batch_size=2)
        trainer.eval_dataset = examples
        if attached:
            rounds_in(trainer)
        losses.append(trainer.evaluate().get("eval_loss"))
    assert losses[0] == losses[1]
    assert (losses[0] is None) == (kind == "padding")


def test_training_data_that_a_trainer_loads_itself_are_refused(tmp_path):
    class Loading(transformers.Trainer):
        def get_train_dataloader(self):
            return DataLoader(self.train_dataset, batch_size=3, collate_fn=self.data_collator)

    class Sampling(transformers.Trainer):
        def _get_train_sampler(self, dataset=None):
            return torch.utils.data.SequentialSampler(dataset)

    for kind, name in ((Loading, "get_train_dataloader"), (Sampling, "_get_train_sampler")):
        settings = transformers.TrainingArguments(**arguments(tmp_path))
        trainer = kind(model_of(), settings, processing_class=byte_tokenizer())
        with refused(ParameterError, parameter=name, received=kind.__name__, fix=str):
            rounds_in(trainer)
    trainer = trainer_of(tmp_path, model_of())
    trainer.get_train_dataloader = lambda: None
    with refused(ParameterError, parameter="get_train_dataloader"):
        rounds_in(trainer)


def test_a_tokenizer_that_is_larger_than_the_embeddings_is_refused(tmp_path):
    model = model_of("qwen2")
    most = max(byte_tokenizer()(row["output"])["input_ids"][0] for row in rows())
    model.resize_token_embeddings(most)
    with refused(
        ParameterError, parameter="processing_class", received=int, mentions="resize_token_embeddings"
    ):
        rounds_in(trainer_of(tmp_path, model))
    model.resize_token_embeddings(len(byte_tokenizer()))
    rounds_in(trainer_of(tmp_path, model))


def test_checkpoints_without_an_optimiser_are_refused(tmp_path):
    with refused(ParameterError, parameter="save_only_model", received=True):
        rounds_in(trainer_of(tmp_path, model_of(), save_only_model=True))
    rounds_in(trainer_of(tmp_path, model_of(), save_only_model=True, save_strategy="no"))


def test_steps_make_rounds_where_they_are_whole(tmp_path):
    picks = []
    for name, value in (("num_train_epochs", 2), ("max_steps", 4)):
        trainer = trainer_of(tmp_path, model_of(), save_strategy="no", **{name: value})
        rounds = rounds_in(trainer)
        trainer.train()
        picks.append(picks_of(rounds))
        assert trainer.state.global_step == 4
    assert picks[0] == picks[1]
    assert len(picks[0]) == 2
    with refused(ParameterError, parameter="max_steps", received=3, mentions="2"):
        rounds_in(trainer_of(tmp_path, model_of(), max_steps=3))
    with refused(ParameterError, parameter="max_steps", received=4, mentions="auto_find_batch_size"):
        rounds_in(trainer_of(tmp_path, model_of(), max_steps=4, auto_find_batch_size=True))


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant_with_warmup"])
def test_no_round_trains_at_rate_0_and_a_single_step_is_said(tmp_path, schedule):
    changes = {"per_device_train_batch_size": 10, "gradient_accumulation_steps": 1, "num_train_epochs": 2}
    trainer = trainer_of(
        tmp_path,
        model_of("qwen2"),
        warmup_steps=0.03,
        lr_scheduler_type=schedule,
        save_strategy="no",
        **changes,
    )
    rounds_in(trainer)
    before = [value.clone() for value in trainer.model.parameters()]
    seen = []

    class Weights(transformers.TrainerCallback):
        def on_step_end(self, *args, **more):
            seen.append([value.detach().clone() for value in trainer.model.parameters()])

    trainer.add_callback(Weights())
    with pytest.warns(UserWarning, match="single optimiser step"):
        trainer.train()
    rates = [log["learning_rate"] for log in trainer.state.log_history if "learning_rate" in log]
    assert len(rates) == 2
    assert min(rates) > 0
    assert rates[0] == pytest.approx(1e-2)
    assert any(not torch.equal(a, b) for a, b in zip(before, seen[0], strict=True))


def test_a_warm_up_that_never_ends_is_said(tmp_path):
    trainer = trainer_of(tmp_path, model_of(), warmup_steps=100, num_train_epochs=1, save_strategy="no")
    rounds_in(trainer)
    with pytest.warns(UserWarning, match="the warm-up takes 100 steps, but there are only 2"):
        trainer.train()


def test_changed_settings_of_a_finished_run_are_said(tmp_path):
    def run(resumed=None, **changes):
        trainer = trainer_of(tmp_path, model_of(), num_train_epochs=1, save_strategy="epoch", **changes)
        rounds = IterIT(rows(), 0.25, show_progress=False)
        rounds.attach(trainer)
        trainer.train(resume_from_checkpoint=resumed)

    run()
    with pytest.warns(UserWarning, match="learning_rate was 0.01 and is 0.5; the run is finished"):
        run(True, learning_rate=0.5)
    with refused(ResumeError, parameter="gradient_accumulation_steps", received=1, fix=str):
        run(True, gradient_accumulation_steps=1)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*other settings")
        run(True)


def test_a_fact_that_an_older_checkpoint_lacks_is_not_compared():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_same_training({"learning_rate": 0.1}, {"learning_rate": 0.1, "optim": "sgd"}, "run")


def test_an_order_that_rounds_do_not_follow_is_said(tmp_path):
    known = transformers.TrainingArguments.__dataclass_fields__
    grouped = {"train_sampling_strategy": "group_by_length"}
    trainer = trainer_of(
        tmp_path, model_of(), **grouped if "train_sampling_strategy" in known else {"group_by_length": True}
    )
    with pytest.warns(DebiasWarning, match="group_by_length"):
        rounds_in(trainer)
