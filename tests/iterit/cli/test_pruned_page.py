"""docs/train-small-infer-large.md: its commands and its Python run, on a tiny model, in their order."""

import re
import shlex

import pytest
import torch

from iterit.training.pruned.cutting import load_pruned
from iterit.training.pruned.pruned_manifest import read_manifest
from iterit.training.saving.checkpoints import read_checkpoint
from tests.support.commands import run_iterit as run
from tests.support.paths import ROOT
from tests.support.pruned_models import logits_of, whole_model, zeroed
from tests.support.tiny_models import byte_tokenizer

PAGE = (ROOT / "docs" / "train-small-infer-large.md").read_text(encoding="utf-8")
pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


def test_the_page_does_what_it_says(tmp_path, monkeypatch, capsys):
    from peft import PeftModel

    lines = (ROOT / "data" / "instructions.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "your.jsonl").write_text("".join(lines[:20]), encoding="utf-8")
    for part in (whole_model(), byte_tokenizer()):
        part.save_pretrained(tmp_path / "my-model")
    monkeypatch.chdir(tmp_path)
    few = {"prune": (), "train": ("--device", "cpu", "--learning-rate", 1e-2, "--max-ifd", 50), "recover": ()}
    told = []
    for line in "".join(blocks("console")).splitlines():
        words = shlex.split(line.removeprefix("$ "))[1:]
        code, out, err = run(*words, *few[words[0]])
        assert code == 0, f"{line}: {err[-2000:]}"
        told.append(out)
    assert "--keep-first 0" in told[0]
    assert "iterit recover run/model" in told[1]
    kept = read_checkpoint("run")
    assert [entry["large_sample"] for entry in kept.history] == [20, 20]
    assert kept.settings["scored_by"] == "trainer"
    capsys.readouterr()
    for block in blocks("python"):
        exec(compile(block, "page", "exec"), {"__name__": "__main__"})
    shown = capsys.readouterr().out
    assert re.search(r"^[1-9]\d* numbers in the adapter$", shown, re.M)
    assert "12 neurons are kept in layer 1" in shown
    manifest = read_manifest("small")
    small = PeftModel.from_pretrained(load_pruned("small"), "run/model").eval()
    zeros = PeftModel.from_pretrained(zeroed(whole_model(), manifest.kept), "recovered").eval()
    torch.testing.assert_close(logits_of(zeros), logits_of(small), rtol=0, atol=1e-5)
