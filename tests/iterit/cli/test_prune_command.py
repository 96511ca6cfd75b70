"""iterit prune, train --pruned and recover, as people type them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from iterit.training.pruned.pruned_manifest import read_manifest
from iterit.training.saving.checkpoints import read_checkpoint
from tests.support.commands import refusal
from tests.support.commands import run_iterit as run
from tests.support.pruned_models import whole_model
from tests.support.small_runs import rows
from tests.support.tiny_models import CORPUS, byte_tokenizer

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)
SHAPE = ("--share", 0.5, "--keep-first", 1, "--keep-last", 0)
TRAIN = ("train", "your.jsonl", "--ratio", 0.2, "--max-ifd", 50, "--batch-size", 4, "--device", "cpu")


def refused(*words):
    from iterit.cli import app

    return refusal(*words, application=app)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A whole model, and a pruned one."""
    folder = tmp_path_factory.mktemp("models")
    whole_model().save_pretrained(folder / "large")
    byte_tokenizer().save_pretrained(folder / "large")
    code, out, err = run("prune", "--model", folder / "large", "--out", folder / "small", *SHAPE)
    assert code == 0, err
    assert "24" in out
    assert "--keep-first 0" in out
    return folder


def run_of(written, score_on, *more):
    return run(
        *TRAIN, "--pruned", written / "small", "--score-on", score_on, "--rounds", 2, "--out", "run",
        "--gradient-accumulation", 1, "--learning-rate", 1e-2, "--compared", 12, *more,
    )  # fmt: skip


def test_the_large_model_scores_with_the_adapter_of_each_round_recovered(written, here):
    from peft import PeftModel

    from debias.inference.transformers.transformers_engine import TransformersEngine
    from iterit.records.instruction_records import Records
    from iterit.scoring.complexity import score_complexity

    code, out, err = run(
        *TRAIN, "--pruned", written / "small", "--score-on", "large", "--rounds", 2, "--out", "run",
        "--gradient-accumulation", 1, "--learning-rate", 1e-2, "--compared", 12, "--score-dtype", "float32",
    )  # fmt: skip
    assert code == 0, err
    kept = read_checkpoint("run")
    assert [entry["large_sample"] for entry in kept.history] == [12, 12]
    assert kept.settings["scored_by"] == "AdaptedEngine"
    assert "Small and large model" in Path("run/report.html").read_text()
    step = int(kept.history[1]["step"])
    code, _, err = run("recover", f"run/checkpoint-{step}", "--out", "at-step")
    assert code == 0, err
    large = PeftModel.from_pretrained(whole_model(), "at-step").eval()
    found = kept.state.scores[kept.state.scores["round"] == 1]
    expected = score_complexity(
        Records.from_rows(rows()), TransformersEngine(large, byte_tokenizer()), rows=found["row"],
        show_progress=False,
    )  # fmt: skip
    np.testing.assert_allclose(found["ifd"], expected["ifd"], rtol=1e-4)
    untrained = kept.state.scores[kept.state.scores["round"] == 0].set_index("row")["ifd"]
    assert (found.set_index("row")["ifd"] - untrained).abs().max() > 1e-3  # it is not the adapter of round 0


def test_prune_aligns_resumes_and_refuses_other_settings(written, here, monkeypatch):
    Path("general.txt").write_text("\n\n".join(CORPUS))
    align = ("--align", "general.txt", "--block-tokens", 8, "--batch-size", 1, "--device", "cpu")
    align += ("--gradient-accumulation", 1)
    words = ("prune", "--model", written / "large", "--out", "small", *SHAPE)
    words += ("--rule", "activations", "--texts", "general.txt")
    code, out, err = run(*words)
    assert code == 0, err
    before = Path("small/model.safetensors").read_bytes()
    modified = Path("small/model.safetensors").stat().st_mtime_ns
    assert run(*words)[0] == 0
    assert Path("small/model.safetensors").stat().st_mtime_ns == modified
    for changed, parameter in (
        (("--share", 0.25), "share"),
        (("--rule", "weights"), "rule"),
        (("--model", written / "small"), "model"),
    ):
        error, _ = refused(*words, *changed)
        assert error.parameter == parameter
    shutil.copytree("small", "again")
    code, out, err = run(*words, *align)
    assert code == 0, err
    assert "Aligned: mean loss" in out
    assert not Path("small/alignment").exists()
    aligned = Path("small/model.safetensors").read_bytes()
    assert aligned != before
    manifest = read_manifest("small")
    assert manifest.aligned["n_tokens"] % 8 == 0
    assert manifest.cut == read_manifest("again").cut
    code, out, _ = run(*words, *align)
    assert code == 0
    assert "Aligned" not in out
    error, _ = refused(*words, *align, "--epochs", 2)
    assert error.parameter == "epochs"
    stop_at(monkeypatch, 60)
    words = tuple("again" if word == "small" else word for word in words)
    with pytest.raises(RuntimeError, match="stopped"):
        run_or_raise(*words, *align)
    assert Path("again/model.safetensors").read_bytes() == before
    assert Path("again/alignment/checkpoint-50").is_dir()
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert run(*words, *align)[0] == 0
    found, expected = (load_file(f"{name}/model.safetensors") for name in ("again", "small"))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def run_or_raise(*words):
    from iterit.cli import app
    from tests.support.commands import run as run_command

    raise run_command(*words, application=app).exception


def stop_at(monkeypatch, step):
    """Have training fail at a step, as if it had been killed."""
    import transformers

    whole = transformers.Trainer.training_step

    def step_or_stop(self, *given, **named):
        if self.state.global_step == step:
            raise RuntimeError("stopped")
        return whole(self, *given, **named)

    monkeypatch.setattr(transformers.Trainer, "training_step", step_or_stop)


@pytest.mark.parametrize(
    ("words", "parameter"),
    [
        (("--full",), "lora"),
        (("--model", "other"), "model"),
        (("--engine", "vllm"), "engine"),
        (("--large-model", "no/such/model"), "large_model"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_scored(words, parameter, written, here):
    error, _ = refused(*TRAIN, "--pruned", written / "small", *words)
    assert error.parameter == parameter
    assert not Path("iterit-run/scores").exists()


def test_outputs_that_cannot_be_written_are_refused_first(written, here):
    Path("file").write_text("")
    for words in (("prune", "--model", written / "large"), ("recover", "no/such/adapter")):
        error, _ = refused(*words, "--out", "file/out")
        assert error is not None
    error, _ = refused("prune", "--rule", "activations", "--model", written / "large", "--out", "new")
    assert error.parameter == "texts"
    assert not Path("new/model.safetensors").exists()
    error, _ = refused("prune", "--align", "none.txt", "--model", written / "large", "--out", "new")
    assert error.file == "none.txt"
