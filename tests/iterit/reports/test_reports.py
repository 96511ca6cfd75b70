"""Reports on rounds: figures solved by hand, the same in tables, Markdown and HTML."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from debias.errors import ParameterError, ResumeError
from iterit.reports.rounds_mix import mix_of
from iterit.reports.rounds_pages import page_of
from iterit.reports.rounds_report import RoundsReport
from iterit.reports.section_page import no_pictures
from iterit.rounds.examples import examples_of, excerpt_of
from iterit.rounds.round_settings import RoundSettings
from iterit.rounds.round_state import first_state, with_picks, with_scores
from iterit.training.saving.checkpoints import RoundsCheckpoint, read_checkpoint
from tests.support.hostile import hostile_texts, visible_words
from tests.support.refusals import refused
from tests.support.small_rounds import small_run

RULES = RoundSettings(n_picks=2, update_ratio=2)
HISTORY = {
    "n_scored": 5, "n_top": 5, "n_stale": 0, "n_above": 0, "n_widened": 0, "n_candidates": 4,
    "n_completed": 0,
    "step": 0, "scored_tokens": 1000, "trained_tokens": 100, "seconds_scoring": 6.0, "seconds_selecting": 1.0,
    "seconds_training": 3.0, "loss_sum": 3.0, "loss_steps": 2,
}  # fmt: skip


def scores(ifd, rows):
    status = ["ifd_ge_1" if value >= 1 else "ok" if value == value else "empty" for value in ifd]
    return pd.DataFrame({"ifd": np.float32(ifd), "status": status}, index=rows)


def made():
    """Two rounds of five records: row 0 falls, row 2 rises to the hard ones, row 3 passes the bound."""
    state = with_scores(first_state(5), scores([0.9, 0.8, 0.7, 0.6, np.nan], range(5)), RULES)
    state = with_picks(state, pd.DataFrame({"row": [0, 1], "complexity": [0.9, 0.8]}))
    state = with_scores(state, scores([0.5, 0.75, 0.85, 1.1], range(4)), RULES)
    state = with_picks(state, pd.DataFrame({"row": [2, 1], "complexity": [0.85, 0.75]}))
    records = pd.DataFrame(
        {
            "words": [10, 20, 60, 5, 0],
            "tokens": [30, 40, 80, 25, 20],
            "source": ["a|b", "a|b", "<c>", "<c>", "<c>"],
        }
    )
    history = [
        {"round": 0, **HISTORY},
        {"round": 1, **HISTORY, "n_scored": 4, "n_completed": 1, "n_widened": 1},
    ]
    facts = {"n_parameters": 10**9, "n_refused": 3, "model": "demo"}
    return RoundsCheckpoint(state, history, dict(vars(RULES)), facts, records)


@pytest.fixture
def kept():
    return made()


def test_picks_and_their_overlap(kept):
    rounds = RoundsReport(kept).rounds
    assert rounds["n_overlap"].tolist() == [0, 1]
    assert rounds["overlap"].iloc[1] == 0.5 and np.isnan(rounds["overlap"].iloc[0])
    assert rounds["n_new"].tolist() == [2, 1]
    assert rounds["n_distinct"].tolist() == [2, 3]
    assert rounds["loss"].tolist() == [1.5, 1.5]
    assert rounds["ifd"].to_numpy() == pytest.approx([0.85, 0.8])


def test_moves_of_scores_and_hard_rows(kept):
    report = RoundsReport(kept)
    row = report.scores.loc[1]
    assert row["n_again"] == 4
    assert row["mean_move"] == pytest.approx(np.mean([-0.4, -0.05, 0.15, 0.5]), abs=1e-6)
    assert row["median_size"] == pytest.approx(np.median([0.4, 0.05, 0.15, 0.5]), abs=1e-6)
    assert row["share_up"] == 0.5
    assert row["rank_correlation"] == pytest.approx(-1)  # their order is turned round
    assert (row["n_rose"], row["n_fell"]) == (1, 0)
    assert (row["n_hard"], row["n_newly_hard"]) == (2, 1)  # 0 and 1 before, 2 and 1 after
    assert report.moves["before"].tolist() == pytest.approx([0.9, 0.8, 0.7, 0.6])


def test_lengths_sources_and_costs(kept):
    report = RoundsReport(kept, price_per_hour=360.0)
    assert report.lengths["mean"].tolist() == [19.0, 15.0, 40.0]
    assert report.sources.to_dict("list") == {"all": [3, 2], "0": [0, 2], "1": [1, 1]}
    costs = report.costs
    assert costs.loc[(0, "scoring"), "share"] == pytest.approx(0.3)
    assert costs.loc[(0, "scoring"), "teraflop"] == pytest.approx(2.0)
    assert costs.loc[(1, "training"), "teraflop"] == pytest.approx(0.6)
    assert costs["cost"].sum() == pytest.approx(2.0)
    assert "cost" not in RoundsReport(kept).costs


def test_the_mix_of_sources_and_lengths_by_hand(kept):
    mix = RoundsReport(kept).mix
    assert mix.loc["source"].to_dict("index") == {
        "<c>": {"all": 0.6, "0": 0.0, "1": 0.5},
        "a|b": {"all": 0.4, "0": 1.0, "1": 0.5},
    }
    words = mix.loc["words"]
    assert words.index.tolist() == ["up to 5 words", "6 to 10 words", "11 to 20 words", "more than 20 words"]
    assert words["all"].tolist() == [0.4, 0.2, 0.2, 0.2]
    assert words["1"].tolist() == [0.0, 0.0, 0.5, 0.5]
    many = kept.records.assign(source=[f"s{row}" for row in range(5)])
    state = replace(kept.state)
    wide = pd.concat([many] * 2, ignore_index=True).assign(source=[f"s{row}" for row in range(10)])
    assert mix_of(state, many, [0]).loc["source"].shape == (5, 2)
    large = mix_of(first_state(10), wide, [])
    assert large.loc["source"].index.tolist()[0] == "other sources"
    assert large.loc["source"]["all"].sum() == pytest.approx(1)


def examples(kept, texts=("Who?", "Me.")):
    shown = pd.concat([examples_of(kept.state, number, kept.records["words"]) for number in (0, 1)])
    shown = shown.assign(question=texts[0], answer=texts[1])
    return replace(kept, examples=shown.reset_index(drop=True))


def test_picks_stand_beside_rows_as_long_that_were_left_out(kept):
    shown = RoundsReport(examples(kept)).examples
    assert shown["row"].tolist() == [0, 3, 1, 2, 2, 0, 1, 3]  # 0 of 10 words: 3 of 5; 2 of 60: 0 of 10
    assert shown["is_picked"].tolist() == [True, False] * 4
    assert shown.loc[[0, 1], "ifd"].tolist() == pytest.approx([0.9, 0.6])
    assert shown.loc[[4, 5], "ifd"].tolist() == pytest.approx([0.85, 0.5])  # as scored in round 1
    section = next(one for one in RoundsReport(examples(kept)).sections() if one.n_texts)
    assert section.rows[0][:4] == ["0", "picked", "0", "10"]
    assert section.rows[1][-2:] == ["Who?", "Me."]
    assert "Limits" not in section.note
    limited = examples(replace(kept, settings={**kept.settings, "quotas": {"a": 1}, "match_length": True}))
    section = next(one for one in RoundsReport(limited).sections() if one.n_texts)
    assert "Limits (quotas, lengths)" in section.note  # a higher score may not have been picked


@settings(max_examples=40, deadline=None)
@given(hostile_texts)
def test_texts_of_examples_are_shown_as_they_are(text):
    text = excerpt_of(text.encode("utf-8", "replace").decode())
    report = RoundsReport(examples(made(), (text, text)))
    page = page_of(report)._replace(pictures=no_pictures).to_html()  # texts are in tables alone
    cells = {visible_words(cell) for cell in Cells(page).cells}
    assert visible_words(text) in cells
    lines = [line for line in report.to_markdown().splitlines() if line.startswith("| 0 | picked")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) >= 10 for line in lines)


def test_examples_are_kept_and_read_and_impossible_ones_are_refused(kept, tmp_path):
    one = examples(kept)
    one.write(tmp_path)
    assert read_checkpoint(tmp_path).examples.equals(one.examples)
    kept.write(tmp_path / "older")  # as an earlier release did
    assert not len(read_checkpoint(tmp_path / "older").examples)
    for column, value in (("row", 9), ("round", 7), ("answer", "x" * 201), ("words", 0.5), ("more", 1)):
        odd = one.examples.assign(**{column: value})
        replace(one, examples=odd).write(tmp_path / "odd")
        with refused(ResumeError, file=str(tmp_path / "odd" / "iterit" / "rounds.json")):
            read_checkpoint(tmp_path / "odd")


def test_a_bounded_window_says_how_many_it_missed(kept):
    rules = RoundSettings(n_picks=2, update_ratio=2, window="bounded")
    checks = {"n_checked": 1, "n_check_top": 10, "n_missed": 1, "missed_at_most": 0.394, "bound": 0.25}
    history = [kept.history[0], {**kept.history[1], **checks}]
    report = RoundsReport(replace(kept, settings=dict(vars(rules)), history=history))
    assert report.rounds["n_missed"].iloc[1] == 1
    text = report.to_markdown()
    assert "Of 10 records of the check samples that were among the hardest, they missed 1" in text
    assert "at most 39.4 % of the hardest" in text
    assert "n_missed" not in RoundsReport(kept).rounds


def test_a_report_says_what_is_unwelcome(kept):
    text = RoundsReport(kept).to_markdown()
    for words in (
        "2 rounds of 2 picks from 5 records, 3 different picks in total; scoring took 60.0 % of 20 seconds",
        "up to 2.1 times as long as all answers",
        "1 pick outside the bounds",
        "1 row beyond the windows",
        "50.0 % of the hard rows were not hard before",
        "3 rows of the files were refused",
        "1 record without a score: empty",
    ):
        assert words in text


class Cells(HTMLParser):
    """Reads the cells of a page's tables."""

    def __init__(self, page):
        super().__init__()
        self.cells, self.inside = [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.inside = tag in ("td", "th")
        if self.inside:
            self.cells.append("")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.cells[-1] += data


def test_both_pages_hold_every_table_and_show_names_as_they_are(kept):
    report = RoundsReport(kept, title="A <b>run</b>")
    page, text = report.to_html(), report.to_markdown()
    cells = Cells(page).cells
    for section in report.sections():
        for row in [section.header, *section.rows]:
            assert all(cell in cells for cell in row)
    assert "<c>" not in page and "&lt;c&gt;" in page
    assert "A <b>run" not in page
    assert "a\\|b" in text and "&lt;c&gt;" in text
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)


def test_a_run_is_read_back_completely_and_reported_from_its_newest_checkpoint(kept, tmp_path):
    kept.write(tmp_path / "checkpoint-20")
    replace(kept, history=kept.history[:1]).write(tmp_path / "checkpoint-3")
    report = RoundsReport.from_folder(tmp_path)
    assert len(report.rounds) == 2
    assert report.kept.state.newest().equals(kept.state.newest())
    assert report.to_markdown() == RoundsReport(kept).to_markdown()
    assert RoundsReport.from_folder(tmp_path / "checkpoint-20").rounds.equals(report.rounds)
    for name in ("report.html", "report.md"):
        assert report.write(tmp_path / name).stat().st_size > 1000


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_a_price_is_an_amount_of_money(kept, price):
    with refused(ParameterError, parameter="price_per_hour"):
        RoundsReport(kept, price_per_hour=price)
    assert RoundsReport(kept, price_per_hour=0.0).costs["cost"].sum() == 0
    with refused(ParameterError, parameter="title", received=" "):
        RoundsReport(kept, " ")


def test_runs_that_cannot_be_reported(kept, tmp_path):
    with refused(ResumeError, file=str(tmp_path)):
        RoundsReport.from_folder(tmp_path)
    with refused(ParameterError, parameter="kept"):
        RoundsReport(replace(kept, history=[]))
    with refused(ParameterError, parameter="path", received=str(tmp_path / "report.pdf")):
        RoundsReport(kept).write(tmp_path / "report.pdf")
    kept.write(tmp_path)
    facts = tmp_path / "iterit" / "rounds.json"
    content = json.loads(facts.read_text())
    facts.write_text(json.dumps({**content, "version": 9}))
    with refused(ResumeError, file=str(facts), received=9):
        read_checkpoint(tmp_path)
    facts.write_text("{")
    with refused(ResumeError, file=str(facts), fix=str):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("n_rounds", [1, 2, 3])
def test_no_table_of_a_page_is_empty(n_rounds):
    """A single round has nothing to compare scores with."""
    made = RoundsReport(small_run(n_rounds))
    assert [one.heading for one in made.sections() if not one.rows] == []
    shown = "Changes of scores" in made.to_html()
    assert shown == ("Changes of scores" in made.to_markdown()) == (n_rounds > 1)
