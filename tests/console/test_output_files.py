"""Output files: tried before the work, written elsewhere where that fails after it, links followed."""

import json
import resource
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from debias.console.frame_files import write_frame, write_frames
from debias.console.output_files import check_output, make_folder, write_text
from debias.errors import StorageError
from debias.files.atomic_file import atomic_path
from tests.support.commands import refusal, works
from tests.support.refusals import refused

FRAME = pd.DataFrame({"id": ["=1+1", "fine", " @cmd", "-2"], "p_-a": [-0.5, 1.0, 2.0, 3.0]})


@contextmanager
def files_of_at_most(n_bytes):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    with files_of_at_most(100), refused(StorageError, parameter="out", file=str(tmp_path / "a.csv"), fix=str):
        check_output(tmp_path / "a.csv", (".csv",))
    check_output(tmp_path / "a.csv", (".csv",))
    assert not list(tmp_path.iterdir())


def test_the_error_of_a_full_disk_has_the_final_name(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with files_of_at_most(100), pytest.raises(OSError) as caught, atomic_path(tmp_path / "a.txt") as file:
        file.write_text("new" * 100)
    assert caught.value.filename == str(tmp_path / "a.txt")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.txt", "old")]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.md"])
def test_a_result_that_has_no_place_is_kept_elsewhere(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for number in ("", "2"):
        rescued = tmp_path / f"rescued{number}-{name}"
        with refused(
            StorageError, file=str(Path("gone", name)), received=str(rescued), mentions=str(rescued)
        ):
            if name.endswith(".md"):
                write_text("whole", Path("gone", name))
            else:
                write_frame(FRAME, Path("gone", name))
        assert rescued.stat().st_size > 0


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.csv").symlink_to(Path("real", "target.csv"))
    for frame in (FRAME, FRAME.iloc[:1]):
        write_frame(frame, tmp_path / "link.csv")
        assert (tmp_path / "link.csv").is_symlink()
        assert len(pd.read_csv(tmp_path / "real" / "target.csv")) == len(frame)


def test_formulas_are_texts_where_it_is_asked_for(tmp_path):
    write_frame(FRAME, tmp_path / "a.csv", spreadsheet_safe=True)
    read = pd.read_csv(tmp_path / "a.csv")
    assert read["id"].tolist() == ["'=1+1", "fine", "' @cmd", "'-2"]
    assert read["p_-a"].tolist() == FRAME["p_-a"].tolist()
    write_frame(FRAME, tmp_path / "b.csv")
    assert pd.read_csv(tmp_path / "b.csv")["id"].tolist() == FRAME["id"].tolist()


def test_predictions_for_spreadsheets(tmp_path, monkeypatch):
    from debias.tables.table import ProbabilityTable

    monkeypatch.chdir(tmp_path)
    P = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]] * 5
    table = ProbabilityTable(P, ["=a", "b"] * 10, classes=["=a", "b"], texts=[f"+{k}" for k in range(20)])
    table.write("t.parquet")
    works("fit", "t.parquet", "--n-starts", 1)
    works("apply", "t.parquet", "--out", "p.csv", "--spreadsheet-safe")
    read = pd.read_csv("p.csv", dtype=str)
    assert set(read["label"]) == {"'=a", "b"}
    assert read["text"].str.startswith("'+").all()
    error, line = refusal("apply", "t.parquet", "--out", "p.parquet", "--spreadsheet-safe")
    assert error.parameter == "spreadsheet_safe"
    assert "--spreadsheet-safe" in line


def test_folders_are_made_through_links_and_refused_where_they_cannot_be(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away")
    make_folder(tmp_path / "link")
    assert (tmp_path / "far" / "away").is_dir()
    assert not list((tmp_path / "far" / "away").iterdir())
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        with refused(StorageError, parameter="work", file=str(place), fix=str):
            make_folder(place, "work")
    with files_of_at_most(100), refused(StorageError, parameter="out", file=str(tmp_path), fix=str):
        make_folder(tmp_path)


def test_lines_of_json_have_all_digits(tmp_path):
    shares = [1e-12, 1 / 3, np.nextafter(0.5, 1), 5e-324, np.nan, np.inf]
    frame = pd.DataFrame({"id": list("abcdef"), "n": range(6), "p_é/1": shares, "text": ["\u2028", None] * 3})
    write_frames(lambda: [frame[:4], frame[4:]], tmp_path / "a.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text("utf-8").rstrip().split("\n")]
    assert [line["p_é/1"] for line in lines] == [*shares[:4], None, None]
    assert [line["n"] for line in lines] == [*range(6)]
    assert [line["id"] for line in lines] == list("abcdef")
    assert [line["text"] for line in lines] == ["\u2028", None] * 3


def test_cells_of_several_values_are_lists_in_lines_of_json(tmp_path):
    cells = [np.array([0.1, np.nan]), [{"share": np.float64(1 / 3)}], (1, pd.NA)]
    frame = pd.DataFrame({"values": pd.Series(cells, dtype=object), "whole": pd.array([1, None, 3], "Int64")})
    write_frame(frame, tmp_path / "a.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text("utf-8").splitlines()]
    assert [line["values"] for line in lines] == [[0.1, None], [{"share": 1 / 3}], [1, None]]
    assert [line["whole"] for line in lines] == [1, None, 3]
