"""``iterit train`` into a folder that has a run: rounds are added, other settings said or refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from debias.errors import ResumeError, StorageError
from iterit.cli import app
from iterit.training.saving.checkpoints import read_checkpoint
from tests.support.commands import refusal
from tests.support.commands import run_iterit as run

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)
TRAIN = (
    "train", "your.jsonl", "--ratio", 0.2, "--full", "--max-ifd", 50, "--batch-size", 8,
    "--gradient-accumulation", 1, "--out", "run",
)  # fmt: skip


def test_a_run_is_continued_repeated_and_kept_from_other_training(here, model):
    words = (*TRAIN, "--model", model)
    code, out, err = run(*words, "--rounds", 2)
    assert code == 0, err
    before = load_file("run/model/model.safetensors")
    code, out, err = run(*words, "--rounds", 3)
    assert code == 0, err
    assert "'learning_rate': '0'" not in out
    after = load_file("run/model/model.safetensors")
    assert any(not torch.equal(before[name], after[name]) for name in after)
    code, out, err = run(*words, "--rounds", 3)
    assert code == 0, err
    assert "train_loss" not in out
    adapter = tuple(word for word in words if word != "--full")
    error, _ = refusal(*adapter, "--rounds", 3, application=app)
    assert isinstance(error, ResumeError)
    error, line = refusal(*words, "--rounds", 3, "--optimizer", "mezo", application=app)
    assert isinstance(error, ResumeError)
    assert "resume_from_checkpoint" not in line


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator")
def test_mixed_precision_needs_no_accelerator(here, model):
    code, _, err = run(*TRAIN, "--model", model, "--bf16")
    assert code == 0, err


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator")
@pytest.mark.parametrize("able", [True, False])
def test_a_run_resumes_in_its_precision_on_a_machine_with_another_default(here, model, monkeypatch, able):
    words = tuple(word for word in TRAIN if word != "--full")
    for rounds, is_fast in ((1, able), (2, not able)):
        able_now = {"avx512_bf16": is_fast}
        monkeypatch.setattr(torch.cpu, "get_capabilities", able_now.copy, raising=False)
        code, _, err = run(*words, "--model", model, "--rounds", rounds)
        assert code == 0, err
    found = [read_checkpoint(path) for path in Path("run").glob("checkpoint-*")]
    assert {one.facts["arguments"]["bf16"] for one in found} == {able}
    assert {one.settings["score_dtype"] for one in found} == {"bfloat16" if able else "auto"}
    other = "--no-bf16" if able else "--bf16"
    error, _ = refusal(*words, "--model", model, "--rounds", 2, other, application=app)
    assert isinstance(error, ResumeError)


def test_places_that_cannot_be_written_are_refused_first(here, model):
    (here / "file").touch()
    error, line = refusal(*TRAIN[:-1], "file/run", "--model", model, application=app)
    assert isinstance(error, StorageError)
    assert "--out" in line
    error, line = refusal(*TRAIN, "--model", model, "--refused", "none/w.jsonl", application=app)
    assert isinstance(error, StorageError)
    assert "--refused" in line
    assert not Path("run").exists()


def test_a_link_to_a_folder_that_is_not_there_is_followed(here, model):
    Path("run").symlink_to("far/away")
    code, _, err = run(*TRAIN, "--model", model, "--rounds", 1)
    assert code == 0, err
    assert Path("far/away/model/model.safetensors").is_file()
