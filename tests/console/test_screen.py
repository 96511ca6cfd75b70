"""Tables that commands print are whole at any width, and errors name options and not parameters."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from debias.cli import app
from debias.console.screen import print_table
from tests.support.small_tables import skewed_table

ROWS = [
    [
        "World",
        "triangle (0, 0.25, 0.5)",
        "278",
        "1.4 (0.6–3.6)",
        "64.4 (58.6–69.8)",
        "+62.9 (+57.2 to +68.7)",
    ],
    ["Sports", "weight 2/30", "223", "97.8 (94.9–99.0)", "78.0 (72.1–83.0)", "−19.7 (−25.1 to −14.8)"],
]
HEADER = ["class", "correction", "rows", "right before, %", "right after, %", "difference"]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 110])
def test_no_digit_is_cut_at_any_width(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    print_table("Class accuracies", HEADER, ROWS, n_names=2)
    printed = capsys.readouterr().out
    words = {word for row in [HEADER[1:], *ROWS] for cell in row for word in cell.split()}
    assert words <= set(printed.replace(":", "").split())
    assert ("─" in printed) == (width >= 80)
    assert max(map(len, printed.splitlines())) <= width


@settings(max_examples=100, deadline=None)
@given(
    st.integers(20, 70),
    st.lists(st.lists(st.from_regex(r"[a-z0-9.]{1,9}", fullmatch=True), min_size=4, max_size=4), max_size=4),
)
def test_all_cells_are_there(width, rows):
    page = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        patch.setattr("sys.stdout", page)
        print_table("t", ["one", "two", "three", "four"], rows)
    assert {cell for row in rows for cell in row} <= set(page.getvalue().split())


def test_reports_are_whole_on_a_narrow_screen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    skewed_table(100).write("opt.csv")
    for arguments in (["fit", "opt.csv", "--n-starts", "1"], ["report", "opt.csv", "--n-resamples", "10"]):
        done = CliRunner(env={"COLUMNS": "60"}).invoke(app, arguments)
        assert done.exit_code == 0, done.stderr
        assert "…" not in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 60


@pytest.mark.parametrize(
    ("arguments", "mentions"),
    [
        (["fit", "half.csv"], "--normalise"),
        (["fit", "large.csv"], "line 2"),
        (["fit", "opt.csv", "--n-weights", "0"], "--n-weights"),
        (["fit", "opt.csv", "--time-limit", "-1"], "--time-limit"),
        (["fit", "opt.csv", "--jobs", "0"], "--jobs"),
        (["fit", "opt.csv", "--error", "-1"], "--error"),
        (["fit", "opt.csv", "--error", "0", "--cobias", "0", "--pmi", "0"], "--error"),
        (["fit", "opt.csv", "--smoothing", "0"], "--smoothing"),
        (["fit", "opt.csv", "--max-cobias", "7"], "--max-cobias"),
        (["report", "opt.csv", "--level", "2"], "--level"),
        (["fit", "latin.csv"], "utf-8"),
    ],
)
def test_errors_name_options_and_not_parameters(arguments, mentions, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = skewed_table(20)
    table.write("opt.csv")
    lines = (tmp_path / "opt.csv").read_text().splitlines()
    header, column = lines[0], lines[0].split(",").index("no")
    for name, value in (("half", "0.001"), ("large", "7")):
        cells = lines[1].split(",")
        cells[column] = value
        (tmp_path / f"{name}.csv").write_text("\n".join([header, ",".join(cells), *lines[2:]]))
    (tmp_path / "latin.csv").write_bytes("\n".join(lines).replace("no", "n\xf6").encode("latin-1"))
    assert CliRunner().invoke(app, ["fit", "opt.csv", "--n-starts", "1"]).exit_code == 0
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    (said,) = done.stderr.splitlines()
    assert mentions in said
    assert "normalise=True" not in said
