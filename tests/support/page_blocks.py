"""Code blocks of a page, run in the order in which a reader meets them, in one folder and one namespace."""

import re
import shlex
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from debias.cli import app
from iterit.cli import app as iterit_app

BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```", re.M | re.S)


def blocks_in_order(page: Path) -> list[tuple[str, str, str]]:
    """Return language, title and text of each block; a title is the name of the file that the block is."""
    return [
        (found[1], found[2] or "", found[3]) for found in BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]


def run_page(page: Path, folder: Path) -> dict[str, Any]:
    """Run the commands and the Python of a page in a folder, and write the files that it shows."""
    scope: dict[str, Any] = {"__name__": "__main__"}
    for language, title, text in blocks_in_order(page):
        if title:
            (folder / title).write_text(text, encoding="utf-8")
        elif language == "console":
            run_commands(text, page.name)
        elif language == "python":
            exec(compile(text, page.name, "exec"), scope)
    return scope


def run_commands(text: str, page: str) -> None:
    """Run the commands of debias and iterit in a block; ``# exit 2`` behind one says how it ends."""
    for line in text.splitlines():
        command, _, remark = line.removeprefix("$ ").partition("  # ")
        words = shlex.split(command)
        if line.startswith("$ ") and words[0] in ("debias", "iterit"):
            done = CliRunner().invoke({"debias": app, "iterit": iterit_app}[words[0]], words[1:])
            expected = int(remark.removeprefix("exit ").split()[0]) if remark.startswith("exit ") else 0
            assert done.exit_code == expected, f"{page}: {line}: {done.stdout[-500:]}{done.stderr[-2000:]}"
