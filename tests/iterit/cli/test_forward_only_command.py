"""iterit train --optimizer mezo | sparse-mezo, as people type it: rounds, resumption, refusals."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.commands import run_iterit as run

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)
TRAIN = (
    "train", "your.jsonl", "--ratio", 0.2, "--max-ifd", 5, "--batch-size", 4, "--gradient-accumulation", 1,
    "--device", "cpu", "--rounds", 2, "--save-steps", 1, "--learning-rate", 1e-2,
)  # fmt: skip


def moved(model, folder):
    """Return the share of each trained matrix's weights that a run changed."""
    before, after = (load_file(Path(one) / "model.safetensors") for one in (model, folder))
    return {
        name: float((before[name] != after[name]).float().mean())
        for name in after
        if after[name].ndim == 2 and not torch.equal(before[name], after[name])
    }


def test_sparse_mezo_trains_a_part_of_all_weights_and_resumes_to_the_same_bytes(here, model):
    words = (*TRAIN, "--model", model, "--full", "--optimizer", "sparse-mezo", "--sparsity", 0.75)
    code, out, err = run(*words, "--out", "run")
    assert code == 0, err
    assert "2 rounds of 8 picks from 40 records" in out
    shares = moved(model, "run/model")
    assert shares and all(0.05 <= share <= 0.3 for share in shares.values()), shares  # a quarter is touched
    whole = Path("run/model/model.safetensors").read_bytes()
    shutil.copytree("run", "killed", ignore=shutil.ignore_patterns("model", "checkpoint-4"))
    (here / "killed" / "iterit" / "rounds.json").unlink()  # as if it had been killed before the last step
    code, out, err = run(*words, "--out", "killed")
    assert code == 0, err
    assert "killed/checkpoint-3" in out
    assert Path("killed/model/model.safetensors").read_bytes() == whole


def test_mezo_trains_an_adapter_and_the_report_names_what_it_did(here, model):
    code, _, err = run(*TRAIN, "--model", model, "--optimizer", "mezo", "--out", "run")
    assert code == 0, err
    trained = load_file("run/model/adapter_model.safetensors")
    assert all(torch.isfinite(weights).all() for weights in trained.values())
    assert any(weights.abs().sum() > 0 for name, weights in trained.items() if "lora_B" in name)
    code, _, err = run("report", "run", "--out", "page.md")
    assert code == 0, err
    assert "mezo" in Path("page.md").read_text().lower()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--optimizer", "sgd"), "--optimizer"),
        (("--optimizer", "sparse-mezo", "--sparsity", 1), "--sparsity"),
        (("--optimizer", "mezo", "--epsilon", 0), "--epsilon"),
    ],
)
def test_what_is_not_allowed_is_refused_before_the_run(here, model, words, said):
    code, _, err = run(*TRAIN, "--model", model, "--out", "run", *words)
    last = err.strip().splitlines()[-1]
    assert code == 2 and said in last and not Path("run").exists()
