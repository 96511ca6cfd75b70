"""Every block of the pages is run; tables that they quote from results are in these results."""

import re

import pytest

from tests.support.page_blocks import blocks_in_order, run_page
from tests.support.paths import ROOT

DOCS = ROOT / "docs"
SELF_CONTAINED = (
    "certificate",
    "completion",
    "demo",
    "deploy",
    "five-minutes",
    "footguns",
    "frontier",
    "how-it-works",
    "index",
    "limits",
    "other-tools",
    "servers",
    "worth-it",
)
"""Pages whose blocks need nothing but an empty folder."""

OWN_TESTS = {
    "audit", "command-line", "compare", "evaluation-harnesses", "export", "guarantees", "local-model",
    "many-machines", "methods", "promises", "rounds", "selection-at-scale", "serve-vllm", "tasks",
    "train-small-infer-large", "train-without-gradients", "trainers", "votes", "watch",
}  # fmt: skip
"""Pages whose blocks need a model, a server or tables, and are run by tests of their own."""


def test_the_blocks_of_every_page_are_run():
    pages = {path.stem for path in DOCS.glob("*.md") if blocks_in_order(path)}
    assert not pages - {*SELF_CONTAINED, *OWN_TESTS}, "add the page to SELF_CONTAINED, or write a test for it"


@pytest.mark.parametrize("page", SELF_CONTAINED)
def test_the_blocks_of_a_page_work_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(DOCS / f"{page}.md", tmp_path)


def test_tables_quoted_from_results_are_in_these_results():
    quoted = 0
    for page in DOCS.glob("*.md"):
        for found in re.finditer(
            r"^<!-- from (\S+) -->\n((?:\|.*\n)+)", page.read_text(encoding="utf-8"), re.M
        ):
            lines = set((ROOT / found[1]).read_text(encoding="utf-8").splitlines())
            assert not [line for line in found[2].splitlines() if line not in lines], (
                f"{page.name}: {found[1]}"
            )
            quoted += 1
    assert quoted >= 4


def test_defaults_that_pages_state_are_those_of_the_options():
    options = re.findall(
        r"^│ (?:\*  )? *--([\w-]+)(.*?)(?=^│ (?:\*  )? *--|^╰)",
        (DOCS / "command-line.md").read_text(encoding="utf-8"),
        re.M | re.S,
    )
    defaults: dict[str, set[float]] = {}
    for name, text in options:
        if found := re.search(r"\[default: ([\d.e-]+)\]", text):
            defaults.setdefault(name, set()).add(float(found[1]))
    stated = 0
    for page in DOCS.glob("*.md"):
        if page.stem == "command-line":
            continue
        for first, one, second, other in re.findall(
            r"\(`--([\w-]+)`, ([\d.,]+\d)|`(?:--)?([a-z][\w-]+)` \(([\d.]+)\)",
            page.read_text(encoding="utf-8"),
        ):
            name, value = (first or second).replace("_", "-"), (one or other).replace(",", "")
            assert float(value) in defaults.get(name, set()), f"{page.name}: {name} {value}"
            stated += 1
    assert stated >= 6
