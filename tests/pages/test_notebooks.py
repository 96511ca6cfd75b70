"""The notebooks of the documentation: their code runs in order, and prints what they show.

Run as a script, this file runs them and writes what they print (`make docs-write`). Cells print; an
expression at the end of a cell shows nothing.
"""

import contextlib
import io
import json
import shutil
import warnings

import pytest

from tests.support.paths import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def printed_by_cells(notebook: dict, folder) -> list[str]:
    """Run the code cells in one namespace, in a folder with the project's data; return what each prints."""
    shutil.copy(ROOT / "data" / "instructions.jsonl", folder)
    scope, printed = {"__name__": "__main__"}, []
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            with contextlib.redirect_stdout(io.StringIO()) as out, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exec(compile("".join(cell["source"]), f"cell {number}", "exec"), scope)
            printed.append(out.getvalue())
    return printed


def stored(notebook: dict) -> list[str]:
    """Return what the notebook says that each code cell prints."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return ["".join(text for output in cell["outputs"] for text in output["text"]) for cell in cells]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_prints_what_it_shows(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4 and notebook["metadata"]["kernelspec"]["name"] == "python3"
    printed = printed_by_cells(notebook, tmp_path)
    assert printed == stored(notebook), "run `make docs-write`"
    assert sum(map(bool, printed)) >= 3


def test_there_are_three_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["classifier", "deployment", "instructions"]


def rewrite() -> None:
    """Run every notebook and store what it prints."""
    import os
    import tempfile

    for path in NOTEBOOKS:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            printed = iter(printed_by_cells(notebook, folder))
            os.chdir(ROOT)
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                text = next(printed)
                lines = text.splitlines(keepends=True)
                cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": lines}] if text else []
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    rewrite()
