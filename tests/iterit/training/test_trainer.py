"""Rounds inside real trainers: what is scored, picked and trained, and that a resumed run is the same."""

import math
import multiprocessing
import os
import random
import signal
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch
import transformers

from debias.errors import ParameterError, ResumeError
from iterit.records.instruction_records import Records
from iterit.templates.named_templates import template_for
from iterit.training.saving.checkpoints import read_checkpoint
from iterit.training.saving.whole_checkpoints import last_whole_checkpoint
from iterit.training.trainer import IterIT
from iterit.training.trainer_callback import IterITTrainer
from iterit.training.training_rows import PaddedBatch
from tests.support.paths import ROOT
from tests.support.refusals import refused
from tests.support.small_runs import (
    N_ROWS,
    RATIO,
    ROUNDS,
    arguments,
    main,
    model_of,
    picks_of,
    rounds_in,
    rows,
    trainer_of,
    weights_of,
)
from tests.support.tiny_models import byte_tokenizer

N_PICKS = 10
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """A run that nothing disturbs: dropout, two batches a step, a checkpoint per step."""
    folder = tmp_path_factory.mktemp("whole")
    seen = Watching()
    trainer = trainer_of(folder, model_of(), collator=seen)
    rounds = rounds_in(trainer)
    trainer.train()
    return folder, trainer, rounds, seen


class Watching(PaddedBatch):
    """Notes which examples are trained."""

    def __init__(self):
        super().__init__(0)
        self.seen = []

    def __call__(self, examples):
        self.seen.extend(tuple(one["input_ids"]) for one in examples)
        return super().__call__(examples)


def naive_ifd(model, template, record):
    """One text at a time, the whole logits, the loss as transformers computes it."""

    def loss(tokens, start):
        labels = torch.tensor([[-100] * start + tokens[start:]])
        with torch.no_grad():
            return float(model.eval()(input_ids=torch.tensor([tokens]), labels=labels).loss)

    encoded = template.encode(record)
    (span,) = encoded.spans
    answer = encoded.input_ids[span.start : span.stop]
    opening = encoded.direct(span)
    whole = loss(encoded.input_ids[: span.stop], span.start)
    return math.exp(whole - loss(opening + answer, len(opening)))


def test_each_round_trains_its_picks_once_and_nothing_else(whole_run):
    _, trainer, rounds, watching = whole_run
    picks = picks_of(rounds)
    assert [len(one) for one in picks] == [N_PICKS] * ROUNDS
    assert all(len(set(one)) == N_PICKS for one in picks)
    encoded = template_for(byte_tokenizer()).encode_all(Records.from_rows(rows()))
    for number, picked in enumerate(picks):
        trained = watching.seen[number * N_PICKS : (number + 1) * N_PICKS]
        assert Counter(trained) == Counter(tuple(encoded[row].input_ids) for row in picked)
        for start in range(0, N_PICKS, 6):  # two batches of three are a step
            step = [len(tokens) for tokens in trained[start : start + 6]]
            assert step == sorted(step, reverse=True)


def test_examples_of_rows_left_out_have_the_score_of_the_mode(whole_run):
    """As the last pick was taken, no candidate that is left was worth more."""
    rounds = whole_run[2].rounds
    shown = rounds.examples
    left = shown[~shown["is_picked"]]
    assert len(left) and left["score"].notna().any()
    scored = left[left["score"].notna()]
    assert ((scored["ifd"] * scored["diversity"] - scored["score"]).abs() < 1e-5).all()  # published
    assert (left.loc[left["score"].isna(), "ifd"] >= 1).all()
    for number, own in scored.groupby("round"):
        picks = rounds.state.picks
        picks = picks[(picks["round"] == number) & ~picks["completed"]]
        assert own["score"].max() <= picks["score"].min() + 1e-9


def test_the_schedule_is_computed_from_the_picks(whole_run):
    _, trainer, rounds, _ = whole_run
    steps = math.ceil(math.ceil(N_PICKS / 3) / 2)
    assert trainer.state.max_steps == trainer.state.global_step == steps * ROUNDS
    rates = [log["learning_rate"] for log in trainer.state.log_history if "learning_rate" in log]
    assert rates == pytest.approx([1e-2 * (1 - n / len(rates)) for n in range(len(rates))])
    assert [entry["step"] for entry in rounds.rounds.history] == [0, steps, 2 * steps]
    assert trainer.num_examples(trainer.get_train_dataloader()) == N_PICKS


@pytest.mark.parametrize("lora", [False, True])
def test_scores_of_a_round_are_those_of_the_weights_as_they_are(tmp_path, lora):
    trainer = trainer_of(tmp_path, model_of("qwen2", lora), save_strategy="epoch")
    rounds = rounds_in(trainer)
    trainer.train()
    records, template = Records.from_rows(rows()), template_for(byte_tokenizer())
    for number in range(1, ROUNDS):
        step = rounds.rounds.history[number]["step"]
        folder = tmp_path / f"checkpoint-{step}"
        if lora:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model_of("qwen2"), folder)
        else:
            model = transformers.AutoModelForCausalLM.from_pretrained(folder)
        scores = rounds.rounds.state.scores.query("round == @number")
        assert len(scores) == 3 * N_PICKS
        expected = [naive_ifd(model, template, records[row]) for row in scores["row"]]
        np.testing.assert_allclose(scores["ifd"], expected, rtol=1e-4)
        before = rounds.rounds.state.scores.query("round < @number").drop_duplicates("row", keep="last")
        moved = scores.set_index("row")["ifd"] - before.set_index("row")["ifd"]
        assert moved.abs().median() > 1e-3


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_resumed_from_any_checkpoint_the_run_is_the_same(whole_run, tmp_path, step):
    folder, whole, rounds, _ = whole_run
    trainer = trainer_of(tmp_path, model_of())
    again = rounds_in(trainer)
    torch.manual_seed(77)  # whatever the generators were
    trainer.train(resume_from_checkpoint=str(folder / f"checkpoint-{step}"))
    assert picks_of(again) == picks_of(rounds)
    assert again.rounds.state.scores.equals(rounds.rounds.state.scores)
    assert all(torch.equal(a, b) for a, b in zip(weights_of(trainer), weights_of(whole), strict=True))
    losses = [entry["loss_sum"] for entry in again.rounds.history]
    assert losses == pytest.approx([entry["loss_sum"] for entry in rounds.rounds.history])


APART = multiprocessing.get_context("forkserver")
"""Starts processes of their own; one server imports what all of them need."""
APART.set_forkserver_preload(["tests.support.small_runs"])


def start_script(*words):
    """Begin to train in a process of its own."""
    process = APART.Process(target=main, args=tuple(map(str, words)))
    process.start()
    return process


def run_script(*words):
    """Train in a process of its own, to its end; return its exit code."""
    process = start_script(*words)
    process.join(timeout=300)
    return process.exitcode


def run_in_two_processes(folder):
    """Train in two processes that add up their gradients."""
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "tests.support.small_runs"]
    return subprocess.run(
        [sys.executable, *launch, str(folder)],
        cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def outcome(folder):
    return (folder / "picks.json").read_text(), torch.load(folder / "weights.pt", weights_only=True)


def test_killed_in_the_middle_of_everything_the_run_is_the_same(whole_run, tmp_path):
    _, whole, rounds, _ = whole_run
    for step, where in ((1, "step"), (3, "saving")):
        assert run_script(tmp_path, step, where) == -signal.SIGKILL
    kept = sorted(path.name for path in tmp_path.glob("checkpoint-*"))
    assert kept == ["checkpoint-2", "checkpoint-3"]  # the last one is half a checkpoint
    assert last_whole_checkpoint(tmp_path).name == "checkpoint-2"
    assert run_script(tmp_path, -1, "step") == 0
    picks, weights = outcome(tmp_path)
    assert picks == str(picks_of(rounds))
    assert all(torch.equal(a, b) for a, b in zip(weights, weights_of(whole), strict=True))


@pytest.mark.slow
def test_two_processes_pick_and_train_the_same_as_one(tmp_path):
    trainer = trainer_of(tmp_path / "one", model_of("qwen2"), per_device_train_batch_size=4)
    rounds = rounds_in(trainer)  # 10 picks are no whole number of batches
    trainer.train()
    done = run_in_two_processes(tmp_path / "two")
    assert done.returncode == 0, done.stderr[-3000:]
    picks, weights = outcome(tmp_path / "two")
    assert picks == str(picks_of(rounds))
    for one, other in zip(weights_of(trainer), weights, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    assert last_whole_checkpoint(tmp_path / "two", 2).name == "checkpoint-6"
    assert last_whole_checkpoint(tmp_path / "two", 3) is None


def test_a_trainer_class_does_the_same_as_attach(whole_run, tmp_path):
    folder, whole, rounds, _ = whole_run
    for resumed in (None, str(folder / "checkpoint-3")):
        transformers.set_seed(0)
        settings = transformers.TrainingArguments(**arguments(tmp_path))
        iterit = IterIT(rows(), RATIO, show_progress=False)
        trainer = IterITTrainer(model_of(), settings, processing_class=byte_tokenizer(), iterit=iterit)
        assert type(trainer) is IterITTrainer and trainer.rounds is iterit.rounds
        trainer.train(resume_from_checkpoint=resumed)
        assert picks_of(iterit) == picks_of(rounds)
        assert iterit.rounds.state.scores.equals(rounds.rounds.state.scores)
        assert all(torch.equal(a, b) for a, b in zip(weights_of(trainer), weights_of(whole), strict=True))
    with refused(ParameterError, parameter="trainer"):
        rounds_in(trainer)


def sft_trainer(folder, model, **changes):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    transformers.set_seed(0)
    settings = SFTConfig(**arguments(folder, **{"bf16": False, "gradient_checkpointing": False, **changes}))
    data = Dataset.from_list([{"text": "a user's own data, replaced by the records"}])
    return SFTTrainer(model, settings, train_dataset=data, processing_class=byte_tokenizer())


def test_an_sft_trainer_is_given_the_same_rounds(tmp_path):
    plain = trainer_of(tmp_path / "plain", model_of("qwen2"), max_grad_norm=1.0)
    sft = sft_trainer(tmp_path / "sft", model_of("qwen2"), max_grad_norm=1.0)
    picks = []
    for trainer in (plain, sft):
        rounds = rounds_in(trainer)
        trainer.train()
        picks.append(picks_of(rounds))
    assert type(sft).__name__ == "SFTTrainer"
    assert picks[0] == picks[1]
    for a, b in zip(weights_of(plain), weights_of(sft), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_mixed_precision_trains_and_the_weights_alone_score(whole_run, tmp_path):
    _, _, plain, _ = whole_run
    trainer = trainer_of(tmp_path, model_of(), bf16=True, gradient_checkpointing=True)
    rounds = rounds_in(trainer)
    trainer.train()
    first = [one.rounds.state.scores.query("round == 0")["ifd"] for one in (plain, rounds)]
    np.testing.assert_array_equal(first[0], first[1])
    assert "_original_forward" in trainer.model.__dict__  # it did train in mixed precision
    assert rounds.rounds.state.round == ROUNDS


@pytest.mark.parametrize("lora", [False, True])
def test_scoring_in_bfloat16_takes_a_copy(tmp_path, lora):
    trainer = trainer_of(tmp_path, model_of("qwen2", lora), num_train_epochs=2)
    rounds = rounds_in(trainer, score_dtype="bfloat16")
    trainer.train()
    assert {value.dtype for value in weights_of(trainer) if value.is_floating_point()} == {torch.float32}
    names = [name for name, _ in trainer.model.named_parameters()]
    assert names == [name for name, _ in model_of("qwen2", lora).named_parameters()]
    model, template = model_of("qwen2"), template_for(byte_tokenizer())
    exact = [naive_ifd(model, template, record) for record in Records.from_rows(rows())]
    state = rounds.rounds.state
    scores = state.scores.query("round == 0")["ifd"].to_numpy()
    assert 0 < np.abs(scores / exact - 1).max() < 0.2
    again = state.scores.query("round == 1").set_index("row")["ifd"]
    assert (again / scores[again.index] - 1).abs().max() > 0.05  # with the trained weights


def test_epochs_per_round_train_the_picks_again_in_another_order(tmp_path):
    watching = Watching()
    trainer = trainer_of(tmp_path, model_of("qwen2"), collator=watching, num_train_epochs=4)
    rounds = rounds_in(trainer, epochs_per_round=2)
    trainer.train()
    assert len(picks_of(rounds)) == 2
    first, second = watching.seen[:N_PICKS], watching.seen[N_PICKS : 2 * N_PICKS]
    assert Counter(first) == Counter(second)
    assert first != second


def test_training_again_scores_anew(tmp_path):
    trainer = trainer_of(tmp_path, model_of("qwen2"), num_train_epochs=1)
    rounds = rounds_in(trainer)
    trainer.train()
    first = rounds.rounds.state.scores["ifd"].to_numpy()
    trainer.train()
    assert rounds.rounds.state.round == len(rounds.rounds.history) == 1
    assert not np.allclose(first, rounds.rounds.state.scores["ifd"])


def test_rows_and_modes_reach_the_selection(tmp_path):
    trainer = trainer_of(tmp_path, model_of("qwen2"), num_train_epochs=1)
    taking_part = list(range(0, N_ROWS, 2))
    rounds = rounds_in(trainer, rows=taking_part, mode="longest", max_ifd=100.0)
    trainer.train()
    words = [len(row["output"].split()) for row in rows()]
    (picks,) = picks_of(rounds)
    assert set(picks) <= set(taking_part)
    assert min(words[row] for row in picks) >= sorted(words[row] for row in taking_part)[-5]


def test_the_published_window_stays_and_counts_the_end_of_text(tmp_path):
    trainer = trainer_of(tmp_path, model_of("qwen2"))
    rounds = rounds_in(trainer, window="published", max_ifd=50.0)
    trainer.train()
    state = rounds.rounds.state
    asked = [set(state.scores.query("round == @n")["row"]) for n in (1, 2)]
    assert asked[0] == asked[1] == set(state.permutation[: 3 * len(picks_of(rounds)[0])])
    assert rounds._appended == "<end>"


def test_other_settings_are_refused_and_named(whole_run, tmp_path):
    folder = whole_run[0]
    trainer = trainer_of(tmp_path, model_of())
    rounds_in(trainer, decay=0.5)
    with refused(ResumeError, parameter="decay", received=0.5, mentions=("0.1", "0.5")):
        trainer.train(resume_from_checkpoint=str(folder / "checkpoint-2"))


def test_a_checkpoint_without_rounds_or_with_damaged_ones_is_refused(whole_run, tmp_path):
    trainer = trainer_of(tmp_path, model_of())
    rounds_in(trainer)
    with refused(ResumeError, file=str(tmp_path), fix=str):
        trainer.train(resume_from_checkpoint=True)
    with refused(ResumeError, file=str(tmp_path), mentions="iterit/rounds.json"):
        read_checkpoint(tmp_path)
    kept = read_checkpoint(whole_run[0] / "checkpoint-2")
    kept.write(tmp_path)
    assert read_checkpoint(tmp_path).state.picks.equals(kept.state.picks)
    with (tmp_path / "iterit" / "scores.parquet").open("ab") as file:
        file.write(b" ")
    with refused(ResumeError, file=str(tmp_path / "iterit" / "scores.parquet"), fix=str):
        read_checkpoint(tmp_path)


def test_the_end_of_a_run_keeps_all_of_it(whole_run):
    folder, _, rounds, _ = whole_run
    kept = read_checkpoint(folder)
    assert kept.state.picks.equals(rounds.rounds.state.picks)
    assert [entry["round"] for entry in kept.history] == [0, 1, 2]
    for entry in kept.history:
        assert entry["loss_steps"] == 2
        assert min(entry["seconds_scoring"], entry["seconds_training"], entry["scored_tokens"]) > 0


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("max_steps", 5), ("num_train_epochs", 1.5), ("dataloader_drop_last", True), ("ignore_data_skip", True)],
)
def test_trainers_with_which_rounds_are_impossible(tmp_path, parameter, value):
    with refused(ParameterError, parameter=parameter, received=value):
        rounds_in(trainer_of(tmp_path, model_of("qwen2"), **{parameter: value}))


def test_other_refusals(tmp_path):
    with refused(ParameterError, parameter="trainer", received="trainer"):
        IterIT(rows()).attach("trainer")
    with refused(ParameterError, parameter="epochs_per_round", received=0):
        IterIT(rows(), epochs_per_round=0)
    with refused(ParameterError, parameter="windows", mentions="'window'"):
        IterIT(rows(), windows="top")
    trainer = trainer_of(tmp_path, model_of("qwen2"))
    with refused(ParameterError, parameter="engine", received="vllm"):
        rounds_in(trainer, engine="vllm")
    with refused(ParameterError, parameter="score_dtype", received="int8"):
        rounds_in(trainer, score_dtype="int8")
    rounds_in(trainer)
    with refused(ParameterError, parameter="trainer"):
        rounds_in(trainer)
    trainer.processing_class = None
    with refused(ParameterError, parameter="processing_class", received=None):
        rounds_in(trainer)


@pytest.mark.slow
def test_killed_at_random_moments_the_run_is_the_same(whole_run, tmp_path):
    _, whole, rounds, _ = whole_run
    moments = random.Random(5)
    n_killed = 0
    while n_killed < 8 and not (tmp_path / "picks.json").exists():
        process = start_script(tmp_path, -1, "step")
        process.join(timeout=moments.uniform(1, 9))
        if process.exitcode is None:
            process.kill()
            n_killed += 1
        process.join()
    while not (tmp_path / "picks.json").exists():
        assert run_script(tmp_path, -1, "step") == 0
    assert n_killed > 0
    picks, weights = outcome(tmp_path)
    assert picks == str(picks_of(rounds))
    assert all(torch.equal(a, b) for a, b in zip(weights, weights_of(whole), strict=True))
