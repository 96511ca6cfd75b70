"""No text from data is markup, a formula or an escape code in a terminal, in Markdown or in a CSV file."""

import csv
import io
import json
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from debias.console.command_group import say
from debias.console.frame_files import write_frame
from debias.console.progress import counted_progress, say_at_once
from debias.console.screen import print_lines, print_table
from debias.errors import DebiasError, ParameterError, TableError, visible_json
from debias.pages.markdown import escape, markdown_table
from tests.support.hostile import STEERING, hostile_texts, visible_words, words_of_a_line

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

file_texts = hostile_texts.map(lambda text: text.encode("utf-8", "replace").decode())
"""Without halves of surrogate pairs, which no file of UTF-8 holds."""


def parsed(source: str) -> tuple[list[str], str]:
    """Return the kinds of blocks and spans that a reader of Markdown finds, and the text."""
    kinds, text = [], []
    for token in MARKDOWN.parse(source):
        if token.type != "inline":
            kinds.append(token.type)
        for part in token.children or []:
            text.append(part.content)
            if part.type not in ("text", "text_special"):
                kinds.append(part.type)
    return kinds, "".join(text)


@given(hostile_texts.filter(words_of_a_line))
@example("1. World")
@example("- World")
@example("+ World")
@example("10) World")
@example("===")
@example("---")
def test_markdown_shows_a_text_as_it_is(text):
    lines = {
        f"{escape(text)}": ["paragraph_open", "paragraph_close"],
        f"# {escape(text)}": ["heading_open", "heading_close"],
        f"before\n\n- {escape(text)}": None,
    }
    for source, kinds in lines.items():
        plain = source.replace(escape(text), "x")
        found, words = parsed(source)
        assert found == (kinds or parsed(plain)[0])
        assert "".join(words.split()).removeprefix("before") == words_of_a_line(text)
        assert not STEERING & set(source)


@given(st.lists(hostile_texts, min_size=2, max_size=2), hostile_texts)
def test_a_cell_stays_in_its_column(header, cell):
    source = markdown_table(header, [[cell, "1"]])
    found, _ = parsed(source)
    assert found == parsed(markdown_table(["a", "b"], [["c", "1"]]))[0]
    assert not STEERING & set(source)


@settings(max_examples=30)
@given(hostile_texts.filter(visible_words), st.sampled_from([20, 60, 110]))
def test_a_terminal_gets_words_only(text, width):
    page = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        patch.setattr("sys.stdout", page)
        patch.setattr("sys.stderr", page)
        print_lines([text], bullet="- ")
        print_table(text, ["name", text], [[text, "1"]])
        say(text)
        say_at_once(text)
        with counted_progress(text, 1) as advance:
            advance(1)
        for error in (
            TableError(text, file=text, column=text, row=text, received=text, fix=text),
            ParameterError(parameter=text, received=text, allowed=text, fix=text),
        ):
            say(error.render({text: text}))
            say(str(error))
    written = page.getvalue()
    assert not STEERING & set(written)
    assert "".join(written.split()).startswith(f"-{visible_words(text)}")


@given(st.dictionaries(hostile_texts, hostile_texts))
def test_json_holds_a_text_and_shows_no_steering(texts):
    written = visible_json(json.dumps(texts, indent=1, ensure_ascii=False))
    assert not STEERING & set(written)
    assert json.loads(written.encode("utf-8")) == texts


def test_errors_of_every_kind_show_no_steering():
    hostile = "".join(sorted(STEERING))
    for kind in DebiasError.__subclasses__():
        assert not STEERING & set(str(kind(hostile, fix=hostile, file=hostile)))


@given(st.lists(file_texts, min_size=1, max_size=5), file_texts)
@example(["a\r=1+1"], "label")
@example(["a"], "la\rbel")
def test_a_spreadsheet_runs_no_cell(texts, header):
    frame = pd.DataFrame({header: texts, "share": [-0.5] * len(texts)})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.csv"
        write_frame(frame, path, spreadsheet_safe=True)
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    assert [len(row) for row in rows] == [2] * (1 + len(texts))
    for given_text, cell in zip([header, *texts], [row[0] for row in rows], strict=True):
        assert not cell.lstrip(" ").startswith(FORMULA)
        assert cell in (given_text, f"'{given_text}")
    assert [row[1] for row in rows[1:]] == ["-0.5"] * len(texts)
