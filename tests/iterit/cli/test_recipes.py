"""The recipes of docs/trainers.md: every block of Python and every command runs, the entries are as shown."""

import json
import re
import shlex

import pytest
import yaml
from typer.testing import CliRunner

from iterit.cli import app
from tests.support.paths import ROOT
from tests.support.tiny_models import byte_tokenizer, tiny_model

PAGE = (ROOT / "docs" / "trainers.md").read_text(encoding="utf-8")
pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning"
)


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A small model and some records, in the working folder."""
    lines = (ROOT / "data" / "instructions.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "your.jsonl").write_text("".join(lines[:25]), encoding="utf-8")
    for part in (tiny_model("qwen2"), byte_tokenizer()):
        part.save_pretrained(tmp_path / "my-model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_of_the_page_runs(folder, capsys):
    for block in blocks("python"):
        exec(compile(block, "trainers.md", "exec"), {"__name__": "__main__"})
    shown = capsys.readouterr().out
    assert re.search(r"^\d+ packs in each round$", shown, re.M)
    assert "True" in shown.splitlines()


def test_the_commands_of_the_page_write_the_entries_that_it_shows(folder):
    for line in "".join(blocks("console")).splitlines():
        done = CliRunner().invoke(app, shlex.split(line.removeprefix("$ "))[1:])
        assert done.exit_code == 0, f"{line}: {done.stderr[-2000:]}"
    (shown,) = blocks("yaml")
    assert (folder / "picked.axolotl.yml").read_text() == shown
    assert yaml.safe_load(shown)["datasets"][0]["path"] == "picked.jsonl"
    (info,) = blocks("json")
    assert json.loads((folder / "dataset_info.json").read_text()) == json.loads(info)


def test_the_command_for_two_processes_is_one_of_ours():
    (line,) = "".join(blocks("bash")).splitlines()
    words = shlex.split(line)
    assert words[:6] == ["accelerate", "launch", "--num_processes", "2", "-m", "iterit.cli"]
    assert CliRunner().invoke(app, [*words[6:], "--help"]).exit_code == 0
