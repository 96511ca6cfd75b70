"""``debias collect`` as people type it: lists, several tables, engines, kills, Ctrl-C, full disks."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from debias.cli import app
from debias.cli.collection_tables import describe_collection
from debias.cli.list_options import LIST_OPTIONS, numbers, repeated, shots_of
from debias.errors import ResumeError, StorageError
from debias.inference.collection.answer_store import AnswerStore
from debias.tables.table import ProbabilityTable
from tests.support.paths import ROOT

from .inference.tiny_models import byte_tokenizer, tiny_model

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
    words = ("collect", "task.toml", "other.toml", *common(model), "--seeds", 0, 1, "--shots", 0, "per-class")
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
    assert code == 0 and "in other runs" not in out
    Path("elsewhere").mkdir()
    assert run(*words[:-1], "--out", "elsewhere/third.parquet")[0] == 0
    code, out, _ = run(*words, "--out", "fourth.parquet", "--reuse", "elsewhere")
    assert code == 0 and "30 rows had been answered in other runs." in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--shots", "0", "--shots", "x"], "--shots must be a whole number or per-class; got 'x'"),
        (["--seeds", "x"], "--seeds must be whole numbers from 0 to 4294967295; got 'x'"),
        (["--seeds", "0", "1", "--seed", "3"], "--seed and --seeds exclude each other"),
        (["--seeds", "0", "--out", "a.parquet"], "several tables need a folder"),
        (["--seeds", "0", "0"], "seeds has 0 twice"),
        (["--engine", "openai"], "--engine openai needs --base-url"),
        (
            ["--engine", "openai", "--base-url", "http://127.0.0.1:9/v1", "--model", "demo"],
            "--engine openai needs --model",
        ),
        (["--engine", "openai", "--device", "cpu"], "--device is for --engine transformers; the engine is"),
        (["--max-tokens", "5"], "--max-tokens is for --engine openai; the engine is transformers"),
        (["--adapter", "x"], "--adapter is for --engine vllm; the engine is transformers"),
        (["--reuse", "nowhere"], "reuse names 'nowhere', where no run is"),
        (["--data", "empty.csv"], "empty.csv"),
        (["--data", "nothing.csv"], "'nothing.csv' does not exist"),
        (["--out", "/proc/opt.parquet"], "/proc/opt.parquet.run: it cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said_in_one_line(reviews, model, arguments, words):
    Path("empty.csv").touch()
    code, out, err = run(
        "collect", "task.toml", "--data", "opt.csv", "--model", model, "--shots", 0, *arguments
    )
    assert (code, out) == (2, "")
    assert words in err and len(err.splitlines()) == 1
    assert sorted(os.listdir()) == ["empty.csv", "opt.csv", "other.toml", "task.toml"]


def test_a_server_that_is_not_there(reviews):
    server = ("--engine", "openai", "--base-url", "http://127.0.0.1:9/v1", "--model", "m")
    words = ("collect", "task.toml", "--data", "opt.csv", "--shots", 0, *server)
    code, _, err = run(*words, "--max-requests", 2)
    assert code == 2 and err.startswith("debias: error: ") and len(err.splitlines()) == 1


VALUES = st.sampled_from(["0", "1", "12", "0,1", "per-class", "trec", "--limit", "-x", "--seeds=3", "x.toml"])


@given(st.lists(st.sampled_from(["--seeds", "--shots"]) | VALUES, max_size=10))
def test_a_command_line_keeps_its_words_and_their_order(words):
    spelled = repeated(words, LIST_OPTIONS)
    assert repeated(spelled, LIST_OPTIONS) == spelled
    kept, place = [], 0
    for word in spelled:  # what was put in is an option that repeats itself
        if place < len(words) and word == words[place]:
            kept.append(word)
            place += 1
        else:
            assert word in LIST_OPTIONS
    assert kept == words


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("trec --seeds 0 1 --shots 0 per-class", "trec --seeds 0 --seeds 1 --shots 0 --shots per-class"),
        ("--seeds 0 1 trec", "--seeds 0 --seeds 1 trec"),
        ("--seeds=0 1 trec", "--seeds=0 --seeds 1 trec"),
        ("--seeds 0,1 2 --limit 5", "--seeds 0,1 --seeds 2 --limit 5"),
        ("--seeds -- 0 1", "--seeds -- 0 1"),
        ("--limit 5 6", "--limit 5 6"),
    ],
)  # fmt: skip
def test_lists_are_spelled_out(words, expected):
    assert repeated(words.split(), LIST_OPTIONS) == expected.split()
    assert numbers("--seeds", ["0,1", " 2"]) == [0, 1, 2]
    assert shots_of(["per-class,1"]) == ["per-class", 1]


def test_bounds_are_said():
    table = ProbabilityTable(
        [[0.4, 0.6]],
        ["0"],
        metadata={"bounds": {"rows": 1, "labels": {"0": 1}}, "reused_rows": 1},
    )
    lines = " ".join(describe_collection(table, Path("opt.parquet")))
    assert "In 1 row a label was not among the tokens that the server returns" in lines
    assert "(by class: 0 1)" in lines and "1 row had been answered in other runs." in lines


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

    def chunks() -> int:
        try:
            with AnswerStore(Path("opt.parquet.run/answers.sqlite"), read_only=True) as store:
                return len(store)
        except (StorageError, ResumeError):  # not there yet
            return 0

    for kill, least in ((signal.SIGINT, 1), (signal.SIGKILL, 1)):
        process = start()
        deadline = time.monotonic() + 120
        while chunks() < least and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(kill)
        _, errors = process.communicate(timeout=60)
        if Path("opt.parquet").exists():
            pytest.skip("this machine finished before it could be interrupted")
        if kill == signal.SIGINT:
            assert process.returncode == 130, errors
            words = r"(\d+ )?answers are kept in opt.parquet.run; the same command goes on from there\."
            assert re.fullmatch(f"debias: interrupted: {words}", errors.splitlines()[-1])
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
