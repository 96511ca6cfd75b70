"""``debias collect`` as people type it: lists, several tables, engines, kills, Ctrl-C, full disks."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from debias.cli import app
from debias.cli.printing.collection_tables import describe_collection
from debias.errors import ResumeError, StorageError
from debias.inference.collection.answer_store import AnswerStore
from debias.inference.transformers.transformers_engine import TransformersEngine
from debias.tables.table import ProbabilityTable
from tests.support.commands import refused
from tests.support.paths import ROOT
from tests.support.tiny_models import byte_tokenizer, tiny_model

TASK = 'labels = ["good", "bad"]\nquestion_prefix = "Review: "\nanswer_prefix = "Verdict: "\n'


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny random model in a folder, as any user's model is."""
    path = tmp_path_factory.mktemp("model")
    tiny_model("gpt2").save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    return path


@pytest.fixture
def reviews(tmp_path, monkeypatch):
    """A task of one's own with its data, in a folder where commands run."""
    monkeypatch.chdir(tmp_path)
    Path("task.toml").write_text(TASK, encoding="utf-8")
    Path("other.toml").write_text(TASK.replace("Verdict", "Answer"), encoding="utf-8")
    texts = [f"number {number} it is" for number in range(300)]
    pd.DataFrame({"text": texts, "label": ["good", "bad"] * 150}).to_csv("opt.csv", index=False)
    return tmp_path


def run(*arguments) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    return result.exit_code, result.stdout, result.stderr


def common(model) -> tuple:
    return ("--data", "opt.csv", "--model", model, "--dtype", "float32", "--limit", 30)


def test_several_tables_in_one_command(reviews, model):
    words = ("collect", "task.toml", "other.toml", *common(model), "--seeds", "0,1", "--shots", "0,per-class")
    code, out, err = run(*words, "--out", "tables")
    assert code == 0, err
    names = [f"{task}_opt_{rest}" for task in ("task", "other")
             for rest in ("shot0", "per-class_seed0", "per-class_seed1")]  # fmt: skip
    assert sorted(path.stem for path in Path("tables").glob("*.parquet")) == sorted(names)
    for name in names:
        assert f"{name}.parquet" in out
    assert "Mean and standard deviation over seeds" in out
    assert "task_opt_shot0 (1 of 6)" in err
    alone = ("collect", "task.toml", *common(model), "--seed", 1, "--shots", "per-class")
    assert run(*alone, "--out", "alone.parquet")[0] == 0
    assert Path("alone.parquet").read_bytes() == Path("tables/task_opt_per-class_seed1.parquet").read_bytes()
    code, again, _ = run(*words, "--out", "tables")
    assert code == 0 and again == out


def test_answers_are_looked_up_unless_their_folder_is_gone(reviews, model):
    words = ("collect", "task.toml", *common(model), "--shots", 0, "--no-keep")
    assert run(*words, "--out", "first.parquet")[0] == 0
    assert not Path("first.parquet.run").exists()
    code, out, _ = run(*words, "--out", "second.parquet")
    assert code == 0 and "other runs" not in out
    Path("elsewhere").mkdir()
    assert run(*words[:-1], "--out", "elsewhere/third.parquet")[0] == 0
    code, out, _ = run(*words, "--out", "fourth.parquet", "--reuse", "elsewhere")
    assert code == 0 and "other runs were reused for 30 rows." in out


@pytest.mark.parametrize(
    ("arguments", "mentions"),
    [
        (["--shots", "0", "--shots", "x"], ("--shots", "'x'")),
        (["--seeds", "x"], ("--seeds", "'x'")),
        (["--seeds", "4294967296"], ("--seeds", "'4294967296'")),
        (["--seeds", "0", "1", "--seed", "3"], ("--seed", "--seeds")),
        (["--seeds", "0", "1"], ("'1'", "--seeds 0,1,2")),
        (["--shots", "0", "per-class"], ("'per-class'", "--seeds 0,1,2")),
        (["--seeds", "0", "--out", "a.parquet"], ("folder",)),
        (["--seeds", "0,0"], ("seeds", "0")),
        (["--engine", "openai"], ("--engine openai", "--base-url")),
        (
            ["--engine", "openai", "--base-url", "http://127.0.0.1:9/v1", "--model", "demo"],
            ("--engine openai", "--model"),
        ),
        (["--engine", "openai", "--device", "cpu"], ("--device", "--engine transformers")),
        (["--max-tokens", "5"], ("--max-tokens", "--engine openai")),
        (["--adapter", "x"], ("--adapter", "--engine vllm")),
        (["--batch-tokens", "0"], ("--batch-tokens", "0")),
        (["--reuse", "nowhere"], ("reuse", "'nowhere'")),
        (["--votes", "0"], ("--votes", "0")),
        (["--smoothing", "1"], ("--smoothing", "--votes 8")),
        (["--votes", "4", "--temperature", "0"], ("--temperature 0", "--vote-by orders")),
        (["--votes", "2", "--vote-by", "orders"], ("--votes", "2")),
        (["--data", "empty.csv"], ("empty.csv",)),
        (["--data", "nothing.csv"], ("nothing.csv",)),
        (["--out", "/proc/opt.parquet"], ("/proc/opt.parquet.run",)),
    ],
    ids=" ".join,
)
def test_what_is_wrong_is_said_in_one_line(reviews, model, arguments, mentions):
    Path("empty.csv").touch()
    line = refused("collect", "task.toml", "--data", "opt.csv", "--model", model, "--shots", 0, *arguments)
    assert all(value in line for value in mentions)
    assert sorted(os.listdir()) == ["empty.csv", "opt.csv", "other.toml", "task.toml"]


def test_votes_are_collected_described_and_read_back(reviews, model, monkeypatch):
    words = ("collect", "task.toml", *common(model), "--shots", 0, "--votes", 4, "--out", "opt.parquet")
    code, out, err = run(*words)
    assert code == 0, err
    table = ProbabilityTable.read("opt.parquet")
    votes = table.metadata["votes"]
    assert table.metadata["n_votes"] == 4 and len(table) == 30
    assert f"unmatched {votes['answers']['unmatched']:,}" in " ".join(out.split())
    assert "of 120 answers" in " ".join(out.split())
    monkeypatch.setattr("debias.inference.engine_settings.open_engine", None)
    assert run(*words)[1] == out
    several = ("collect", "task.toml", *common(model), "--shots", "0,1", "--votes", 4, "--out", "tables")
    monkeypatch.undo()
    monkeypatch.chdir(reviews)
    assert run(*several)[0] == 0
    again = ProbabilityTable.read("tables/task_opt_shot0.parquet")
    assert again.to_numpy().tolist() == table.to_numpy().tolist()


def test_a_server_that_is_not_there(reviews):
    server = ("--engine", "openai", "--base-url", "http://127.0.0.1:9/v1", "--model", "m")
    words = ("collect", "task.toml", "--data", "opt.csv", "--shots", 0, *server)
    code, _, err = run(*words, "--max-requests", 2)
    assert code == 2 and err.startswith("debias: error: ") and len(err.splitlines()) == 1


def test_a_finished_table_is_read_back_without_a_model(reviews, model, tmp_path, monkeypatch):
    words = ("collect", "task.toml", *common(model), "--shots", "0", "--out", "opt.parquet")
    several = ("collect", "task.toml", *common(model), "--shots", "0,1", "--out", "tables")
    said = []
    for command in (words, several):
        code, first, err = run(*command)
        assert code == 0, err
        said.append(first)
    before = Path("opt.parquet").read_bytes()
    monkeypatch.setattr(TransformersEngine, "__init__", lambda *_, **__: pytest.fail("a model is loaded"))
    for command, first in zip((words, several), said, strict=True):
        assert run(*command)[:2] == (0, first)
    assert Path("opt.parquet").read_bytes() == before
    code, _, err = run(*words, "--seed", "1")
    assert code == 2 and "data.texts" in err  # other rows, and no model is needed to say so


@pytest.mark.parametrize("change", ["weights", "tokenizer", "dtype"])
def test_another_model_under_the_same_name_is_not_read_back(reviews, model, tmp_path, monkeypatch, change):
    own = tmp_path / "own"
    shutil.copytree(model, own)
    words = ["collect", "task.toml", *common(own), "--shots", "0", "--out", "opt.parquet"]
    code, _, err = run(*words)
    assert code == 0, err
    if change == "dtype":
        words += ["--dtype", "bfloat16"]
    elif change == "weights":
        other = tiny_model("gpt2")
        with torch.no_grad():
            other.lm_head.weight += 0.5
        other.save_pretrained(own)
    else:
        content = (own / "tokenizer.json").read_text(encoding="utf-8")
        (own / "tokenizer.json").write_text(content + " ", encoding="utf-8")
    asked = []
    load = TransformersEngine.__init__
    monkeypatch.setattr(TransformersEngine, "__init__", lambda *a, **k: (asked.append(1), load(*a, **k))[1])
    code, out, err = run(*words)
    assert asked
    assert (code, "other settings" in err) == ((0, False) if change == "tokenizer" else (2, True)), err


def test_bounds_are_said():
    table = ProbabilityTable(
        [[0.4, 0.6]],
        ["0"],
        metadata={"bounds": {"rows": 1, "labels": {"0": 1}}, "reused_rows": 1},
    )
    lines = " ".join(describe_collection(table, Path("opt.parquet")))
    assert "In 1 row, a label" in lines
    assert "(by class: 0 1)" in lines and "other runs were reused for 1 row." in lines


def not_in_the_background() -> None:
    """Undo what a shell does to a job in the background, whose children ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_then_kill_then_the_end(reviews, model):
    command = ["collect", "task.toml", "--data", "opt.csv", "--model", str(model), "--dtype", "float32"]
    command += ["--shots", "0", "--device", "cpu", "--batch-tokens", "64"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "debias.cli", *command, "--out", "opt.parquet"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
            preexec_fn=not_in_the_background,
        )  # fmt: skip

    def answers() -> int:
        try:
            with AnswerStore(Path("opt.parquet.run/answers.sqlite"), read_only=True) as store:
                return len(store)
        except (StorageError, ResumeError):
            return 0  # it is being made

    for kill in (signal.SIGINT, signal.SIGKILL):
        before = answers()
        process = start()
        deadline = time.monotonic() + 120
        while answers() <= before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(kill)
        _, errors = process.communicate(timeout=60)
        if Path("opt.parquet").exists():
            pytest.skip("this machine finished before it could be interrupted")
        if kill == signal.SIGINT:
            assert process.returncode == 130, errors
            last = errors.splitlines()[-1]
            assert last.startswith("debias: interrupted: ") and "opt.parquet.run" in last
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        Path("elsewhere").mkdir()
        for out in ("opt.parquet", "elsewhere/opt.parquet"):
            code, _, errors = run(*command, "--out", out)
            assert code == 0, errors
    finally:
        torch.set_num_threads(threads)
    assert Path("opt.parquet").read_bytes() == Path("elsewhere/opt.parquet").read_bytes()
    assert len(ProbabilityTable.read("opt.parquet")) == 300
