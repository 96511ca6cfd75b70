"""What the documents say is what happens: README commands and code are run, help texts compared.

Run as a script, this file regenerates docs/command-line.md (`make docs-write`).
"""

import copy
import json
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from debias.cli import app
from iterit.cli import app as iterit_app
from tests.support.paths import ROOT

README = ROOT / "README.md"
HELP_PAGE = ROOT / "docs" / "command-line.md"
MACHINES = ROOT / "docs" / "many-machines.md"
LOCAL_MODEL, ROUNDS, TASKS = (ROOT / "docs" / f"{name}.md" for name in ("local-model", "rounds", "tasks"))

# The program itself, and each of its commands: none is missing from the page.
COMMANDS, ITERIT_COMMANDS = (["", *typer.main.get_command(one).commands] for one in (app, iterit_app))
ENVIRONMENT = os.environ | {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "PYTHONPATH": str(ROOT)}


def pinned(name: str) -> str:
    """The release of a package that the pinned environment has."""
    lines = (ROOT / "constraints-cpu.txt").read_text(encoding="utf-8").splitlines()
    return next(line.split("==")[1] for line in lines if line.startswith(f"{name}=="))


def run(words: list[str], folder: Path, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run a command of ours as a user would, in a folder of its own."""
    command = [sys.executable, "-m", f"{words[0]}.cli", *words[1:]]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=ENVIRONMENT, timeout=timeout, check=False
    )


def help_page() -> str:
    """Write the page of all help texts."""
    parts = ["# Command line\n\nWritten by `make docs-write` from the commands themselves."]
    runner = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})
    programs = (("debias", app, COMMANDS), ("iterit", iterit_app, ITERIT_COMMANDS))
    for program, application, command in ((p, a, c) for p, a, commands in programs for c in commands):
        shown = runner.invoke(application, [*command.split(), "--help"], prog_name=program).stdout
        text = "\n".join(line.rstrip() for line in shown.strip("\n").splitlines())
        parts.append(f"## `{' '.join([program, *command.split()])}`\n\n```text\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def blocks(language: str, page: Path = README) -> list[str]:
    """Return the code blocks of a language in a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def prompted(page: Path = README) -> list[str]:
    """Return the commands that a page types."""
    return [
        line[2:] for block in blocks("console", page) for line in block.splitlines() if line.startswith("$ ")
    ]


@pytest.mark.skipif(
    any(version(name) != pinned(name) for name in ("typer", "rich")),
    reason="other releases of typer and rich lay out the help in another way",
)
def test_the_help_page_is_what_the_commands_say():
    assert HELP_PAGE.read_text(encoding="utf-8") == help_page(), "run `make docs-write`"


def test_the_readme_types_only_commands_that_are_run_here():
    assert {shlex.split(command)[0] for command in prompted()} == {"make"}


def test_the_readme_is_one_screen_with_a_picture_and_what_the_demo_prints():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    pictures = re.findall(r"!\[([^]]+)\]\(([^)]+)\)", text)
    assert [path for _, path in pictures] == ["docs/before-and-after.png"]
    (printed,) = blocks("text")
    assert printed.strip() in (ROOT / "docs" / "demo.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [c for c in prompted() if c.startswith("make")])
def test_make_targets_exist_and_do_what_they_say(command):
    target = command.split("#")[0].split()[1]
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", target], cwd=ROOT, capture_output=True, text=True, check=True
    )
    expected = {"demo": "debias demo", "test": "-m pytest"}
    assert expected[target] in done.stdout


def model_commands(folder: Path) -> list[list[str]]:
    """Return the commands of the pages on a local model and on tasks, and write the files that they name."""
    (block,) = blocks("toml", TASKS)
    (folder / "tickets.toml").write_text(block)
    (folder / "tickets.csv").write_text(
        "message,kind\nIt crashes,Bug\nPlease refund me,Billing\nHow?,Question\n"
    )
    return [shlex.split(c) for page in (LOCAL_MODEL, TASKS) for c in prompted(page)]


@pytest.mark.slow
def test_the_commands_that_ask_a_model_work_in_order(tmp_path):
    for words in model_commands(tmp_path):
        done = run(words, tmp_path)
        assert done.returncode == 0, f"{words}: {done.stderr[-2000:]}"


def test_the_commands_that_ask_a_model_work_on_a_few_texts(tmp_path, monkeypatch, demo_loaded_once):
    monkeypatch.chdir(tmp_path)
    for words in model_commands(tmp_path):
        if "--limit" in words:
            words[words.index("--limit") + 1] = "16"
        done = CliRunner().invoke(app, words[1:])
        assert done.exit_code == 0, f"{words}: {done.stderr[-2000:]}"
        if "--out" in words:
            assert (tmp_path / words[words.index("--out") + 1]).stat().st_size > 0
    exec(
        compile("\n".join(blocks("python", LOCAL_MODEL)), LOCAL_MODEL.name, "exec"), {"__name__": "__main__"}
    )
    assert (tmp_path / "correction.json").exists()


@pytest.mark.slow
def test_the_commands_of_the_page_on_rounds_work_in_order(tmp_path):
    (tmp_path / "your.jsonl").write_bytes((ROOT / "data" / "instructions.jsonl").read_bytes())
    commands = [shlex.split(c) for c in prompted(ROUNDS)]
    assert [words[1] for words in commands] == ["select", "train", "report", "audit"]
    small = "--seeds 2 --answer-tokens 400 --n-held-out 20 --more-random 0"  # else it takes long
    commands[-1] += small.split()
    for words in commands:
        done = run(words, tmp_path)
        assert done.returncode == 0, f"{words}: {done.stderr[-2000:]}"
        out = words[words.index("--out") + 1] if "--out" in words else "selected.jsonl"
        assert (tmp_path / out).exists()


def test_the_first_command_of_the_page_on_rounds_works(tmp_path, monkeypatch, demo_loaded_once):
    monkeypatch.chdir(tmp_path)
    lines = (ROOT / "data" / "instructions.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "your.jsonl").write_text("".join(lines[:30]), encoding="utf-8")
    command = next(shlex.split(c) for c in prompted(ROUNDS) if c.startswith("iterit select"))
    assert command == ["iterit", "select", "your.jsonl", "--model", "demo", "--ratio", "0.05"]
    done = CliRunner().invoke(iterit_app, command[1:])
    assert done.exit_code == 0, done.stderr[-2000:]
    picked = (tmp_path / "selected.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    assert 1 <= len(picked) <= 2
    assert set(picked) <= set(lines)


def test_the_python_of_the_readme_works_in_order(tmp_path, monkeypatch):
    from tests.support.small_tables import skewed_table

    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("opt.csv", "test.csv")):
        skewed_table(200, seed).write(name)
    (code,) = blocks("python")
    assert len(code.splitlines()) <= 10
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
    assert (tmp_path / "correction.json").exists() and (tmp_path / "report.html").exists()


def write_small_model(folder):
    """Write a small model and instructions where the pages expect them."""
    from tests.support.tiny_models import byte_tokenizer, tiny_model

    tokenizer = copy.deepcopy(byte_tokenizer())
    tokenizer.pad_token = tokenizer.eos_token
    for part in (tiny_model("qwen2", tokenizer), tokenizer):
        part.save_pretrained(folder / "my-model")
    (folder / "your.jsonl").write_bytes((ROOT / "data" / "instructions.jsonl").read_bytes())


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_the_python_of_the_page_on_audits_works(tmp_path, monkeypatch, capsys):
    write_small_model(tmp_path)
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks("python", ROOT / "docs" / "audit.md"))
    exec(compile(code, "audit.md", "exec"), {"__name__": "__main__"})
    out = capsys.readouterr().out
    assert "first rows" in out and "good" in out and len(list((tmp_path / "audit").glob("*.parquet"))) >= 3


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_the_python_of_the_page_on_rounds_works_in_order(tmp_path, monkeypatch, capsys):
    write_small_model(tmp_path)
    code = "\n".join(blocks("python", ROOT / "docs" / "rounds.md"))
    assert "SFTTrainer" in code
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "rounds.md", "exec"), {"__name__": "__main__"})
    assert len((tmp_path / "selected.jsonl").read_text(encoding="utf-8").splitlines()) == 5
    assert capsys.readouterr().out.strip().splitlines()[-1] == "3 2"  # three of five are within the quota


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_the_python_of_the_page_on_training_without_gradients_works(tmp_path, monkeypatch, capsys):
    write_small_model(tmp_path)
    monkeypatch.chdir(tmp_path)
    from debias.inference.zeroth_order.directions import quantiles

    page = ROOT / "docs" / "train-without-gradients.md"
    code = "\n".join(blocks("python", page))
    said = re.search(r"(\S+) quantiles of .*?the largest\s+is\s+([\d.]+)\)", page.read_text("utf-8"), re.S)
    assert said is not None
    assert said.groups() == (f"{len(quantiles()):,}", f"{quantiles().max():.2f}")
    exec(compile(code, "train-without-gradients.md", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.strip().splitlines()[-1] == "3 steps replayed"


def test_the_page_on_tasks_lists_every_key_and_its_example_is_a_task(tmp_path):
    from dataclasses import fields

    from debias import load_task
    from debias.inference.texts.source_rows import Source
    from debias.inference.texts.tasks import Task

    page = ROOT / "docs" / "tasks.md"
    listed = re.findall(r"^\| `(\w+)` \|", page.read_text(encoding="utf-8"), re.M)
    keys = [field.name for field in fields(Task)]
    quoted = re.findall(r"^\| `(\w+)` \| `(\[?\".*?)` \|", page.read_text(encoding="utf-8"), re.M)
    assert len(quoted) == 7
    for key, default in quoted:
        value = getattr(Task("any", ["a", "b"]), key)
        assert json.loads(default) == (list(value) if isinstance(value, tuple) else value), key
    in_sources = {field.name for field in fields(Source)} - {"kind", "path"}
    assert set(listed[: len(keys)]) == set(keys)
    assert set(listed[len(keys) :]) | {"config", "split"} == in_sources | {"file", "huggingface", "staicc"}
    (block,) = blocks("toml", page)
    assert len(block.splitlines()) <= 12
    (tmp_path / "tickets.toml").write_text(block)
    task = load_task(tmp_path / "tickets.toml")
    assert (task.text_columns, task.label_column) == (("message",), "kind")
    assert task.prompt("It crashes").endswith("Ticket: It crashes\nKind:")


def test_the_page_on_guarantees_lists_every_option_and_its_commands_and_python_work(
    tmp_path, monkeypatch, capsys
):
    from dataclasses import fields
    from inspect import signature

    from debias.cli.certify import certify
    from debias.cli.options.table_options import TableOptions
    from tests.support.small_tables import skewed_table

    page = ROOT / "docs" / "guarantees.md"
    listed = re.findall(r"^\| `--([\w-]+)` \|", page.read_text(encoding="utf-8"), re.M)
    reading = {one.name for one in fields(TableOptions)} | {"reading", "correction", "held_out"}
    assert {name.replace("-", "_") for name in listed} == set(signature(certify).parameters) - reading
    monkeypatch.chdir(tmp_path)
    skewed_table(400, texts=[f"text {row}" for row in range(400)]).write("tickets.parquet")
    for line in "".join(blocks("console", page)).splitlines():
        done = CliRunner().invoke(app, shlex.split(line.removeprefix("$ "))[1:])
        assert done.exit_code == 0, f"{line}: {done.stderr[-2000:]}"
    exec("\n".join(blocks("python", page)), {})
    assert "Guaranteed on new rows" in capsys.readouterr().out


def test_the_page_on_watching_lists_every_check_and_exit_code_and_its_python_works(capsys):
    from debias.guarantees.watching.watched import EXIT_CODES
    from debias.guarantees.watching.watcher import watch
    from tests.support.watched_rows import drawn_table

    page = ROOT / "docs" / "watch.md"
    listed = re.findall(
        r"^\| ([\w ]+?)(?:, by class)? \| (\d|[\w ]+) \|", page.read_text(encoding="utf-8"), re.M
    )
    codes = {name: int(second) for name, second in listed if second.isdigit()}
    assert codes == EXIT_CODES
    scope: dict[str, object] = {}
    exec("\n".join(blocks("python", page)), scope)
    assert "checks of 1,000 rows" in capsys.readouterr().out
    from debias import WeightDebiaser, certify
    from debias.guarantees.watching.watcher import remember

    opt, held_out, new = (drawn_table(seed, 60, mass=0.8) for seed in range(3))
    debiaser = WeightDebiaser(n_starts=1).fit(opt.probabilities, opt.labels)
    remember(debiaser, opt)
    certify(debiaser, held_out, keep=True)
    checks = {check.name for check in watch(debiaser, new).checks}
    assert checks == {name for name, _ in listed} - set(codes) - {"verdict", "check"}


def test_the_page_on_exports_names_every_target_and_its_commands_and_python_work(
    tmp_path, monkeypatch, demo_loaded_once
):
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    pytest.importorskip("mlflow.pyfunc", reason="needs mlflow-skinny")
    from debias.cli.serving_commands.export_correction import Target
    from tests.support.small_tables import skewed_table

    page = ROOT / "docs" / "export.md"
    lines = "".join(blocks("console", page)).splitlines()
    assert {shlex.split(line)[5] for line in lines if " export " in line} == set(Target)
    monkeypatch.chdir(tmp_path)
    skewed_table(200).write("opt.parquet")
    for line in lines:
        done = CliRunner().invoke(app, shlex.split(line.removeprefix("$ "))[1:])
        assert done.exit_code == 0, f"{line}: {done.stderr[-2000:]}"
    exec("\n".join(blocks("python", page)), found := {})
    assert found["label"].shape == (1,)
    assert (tmp_path / "weights_model" / "MLmodel").exists()
    assert len(json.loads((tmp_path / "logit_bias.json").read_text())) == 2


def test_the_page_on_methods_lists_every_method_and_its_commands_and_python_work(
    tmp_path, monkeypatch, capsys
):
    from debias.estimators.tuning.debiaser import CANDIDATES
    from debias.estimators.tuning.methods import METHODS, NOT_MONOTONE, make_method
    from tests.support.small_tables import skewed_table

    page = ROOT / "docs" / "methods.md"
    text = page.read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([\w-]+)` \|.*\| (yes|no) \| ([^|]+) \|$", text, re.M)
    assert [name for name, _, _ in listed] == list(METHODS)
    table = skewed_table(60)
    for name, proof, candidate in listed:
        usual = "if `monotone=False`" if name in NOT_MONOTONE else "yes"
        assert candidate == (usual if name in CANDIDATES else "no")
        fitted = make_method(name, {"n_starts": 1}).fit(table.probabilities, table.labels)
        assert (fitted.certificate_ is not None) == (proof == "yes"), name
    monkeypatch.chdir(tmp_path)
    skewed_table(200).write("opt.parquet")
    for line in "".join(blocks("console", page)).splitlines():
        done = CliRunner().invoke(app, shlex.split(line.removeprefix("$ "))[1:])
        assert done.exit_code == 0, f"{line}: {done.stderr[-2000:]}"
    exec("\n".join(blocks("python", page)), {})
    assert "methods compared by cross-validation" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_the_commands_of_the_page_on_many_machines_work_in_order(tmp_path, monkeypatch):
    from tests.support.tiny_models import byte_tokenizer, tiny_model

    for part in (tiny_model("qwen2"), byte_tokenizer()):
        part.save_pretrained(tmp_path / "my-model")
    lines = (ROOT / "data" / "instructions.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "your.jsonl").write_text("".join(lines[:20]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    commands = [shlex.split(line[2:]) for line in "".join(blocks("console", MACHINES)).splitlines()]
    assert [words[1] for words in commands] == ["collect", "collect", "merge", "score", "score", "merge"]
    collected, scored = commands[0][:-4], commands[3][:-4]
    for words in (*commands, [*collected, "--out", "one.parquet"], [*scored, "--out", "one-scores.parquet"]):
        done = CliRunner().invoke({"debias": app, "iterit": iterit_app}[words[0]], words[1:])
        assert done.exit_code == 0, f"{words}: {done.stderr[-2000:]}"
    assert Path("trec.parquet").read_bytes() == Path("one.parquet").read_bytes()
    assert Path("scores.parquet").read_bytes() == Path("one-scores.parquet").read_bytes()


def test_the_recipes_of_the_page_on_many_machines_can_be_read():
    import yaml

    (job,) = map(yaml.safe_load, blocks("yaml", MACHINES))
    assert job["spec"]["completionMode"] == "Indexed"
    assert job["spec"]["completions"] == 8
    for script in blocks("bash", MACHINES):
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
        for words in re.findall(r"debias collect|iterit score|debias merge", script):
            assert words.split()[1] in COMMANDS + ITERIT_COMMANDS


def test_links_of_the_documents_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "tests").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_no_path_of_one_machine_is_committed():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".txt", ".csv", ".jinja"} and path.exists():
            found = re.search(r"(?<![\w.])/(root|home|work)/\w", path.read_text(encoding="utf-8"))
            assert not found, f"{name}: {found}"


def test_the_python_of_the_page_on_scale_runs():
    (code,) = blocks("python", ROOT / "docs" / "selection-at-scale.md")
    exec(code, {})


if __name__ == "__main__":
    HELP_PAGE.parent.mkdir(exist_ok=True)
    HELP_PAGE.write_text(help_page(), encoding="utf-8")
