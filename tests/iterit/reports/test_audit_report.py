"""Verdicts of an audit: each sentence is true of the intervals it stands on."""

import itertools

import numpy as np
import pandas as pd
import pytest

from debias.errors import ParameterError
from iterit.reports.audit_report import AuditReport
from iterit.reports.audit_verdict import findings_of, verdict_of
from iterit.training.audits.audit_settings import AuditSettings
from iterit.training.audits.picks_audit import AuditResult
from tests.support.refusals import refused

INTERVALS = {"better": (0.02, 0.01, 0.03), "unclear": (0.01, -0.01, 0.03), "worse": (-0.02, -0.03, -0.01)}


def made(token, record, more=None, names=("mine",), overlap=0.0, copies=0, unusable=0):
    """A result with these verdicts by token and by record."""
    rows, losses = [], []
    for name in names:
        ways = {"picks": (token, record)} | ({} if more is None else {"more random": more})
        for way, verdicts in ways.items():
            for by, verdict in zip(("token", "record"), verdicts, strict=True):
                gain, low, high = INTERVALS[verdict]
                rows.append(
                    {"picks": name, "way": way, "by": by, "gain": gain, "low": low, "high": high,
                     "verdict": verdict, "n_seeds": 5}
                )  # fmt: skip
        for way, n_rows in (("picks", 10), ("random", 10), ("more random", 40)):
            losses.append(
                {
                    "picks": name,
                    "way": way,
                    "seed": 0,
                    "by_token": 2.0,
                    "by_record": 2.0,
                    "n_rows": n_rows,
                    "answer_tokens": 90,
                }
            )
    groups = ["pool", *itertools.chain.from_iterable((name, f"random for {name}") for name in names)]
    description = pd.DataFrame(
        {"n_records": 100, "answer_tokens": 900, "mean_tokens": 9.0, "median_tokens": 9.0,
         "mean_turns": 1.0, "coverage": 0.5, "n_copies": copies},
        index=pd.Index(groups, name="group"),
    )  # fmt: skip
    one = pd.DataFrame({group: [1.0] for group in groups}, index=pd.Index(["a"], name="value"))
    costs = pd.DataFrame(
        [
            {
                "part": "selection",
                "picks": "",
                "forwards": 9.0,
                "tokens": 9.0,
                "forward_tokens": 9.0,
                "seconds": 1.0,
            }
        ]
    )
    facts = {
        "overlap": dict.fromkeys(names, overlap),
        "n_unusable": dict.fromkeys(names, unusable),
        "model": "m",
    }
    return AuditResult(
        pd.DataFrame(rows), pd.DataFrame(losses), description, one, one, costs, pd.DataFrame(), {},
        AuditSettings(), facts,
    )  # fmt: skip


@pytest.mark.parametrize(("token", "record"), [*itertools.product(INTERVALS, INTERVALS)])
def test_beats_chance_is_said_only_where_both_intervals_are_above_zero(token, record):
    said = verdict_of(made(token, record), "mine")
    assert (" beats random" in said) == (token == record == "better")
    assert ("is worse than random records of the same lengths:" in said) == (token == record == "worse")
    assert ("No difference was found" in said) == (token == record == "unclear")
    for verdict, words in ((token, "per token"), (record, "per record")):
        gain, low, high = INTERVALS[verdict]
        word = "lower" if gain > 0 else "higher"
        ends = sorted(abs(end) if low * high > 0 else end for end in (low, high))
        shown = " to ".join(f"{end:.4f}".replace("-", "−") for end in ends)
        assert f"{abs(gain):.4f} {word} ({shown}) {words}" in said
    assert said.endswith(".") and "5 seeds" in said


def test_the_cost_of_selection_is_weighed_against_more_random_records():
    further = findings_of(made("unclear", "unclear", more=("better", "better")))
    less = findings_of(made("better", "better", more=("worse", "worse")))
    mixed = findings_of(made("better", "worse", more=("unclear", "better")))
    assert any(
        "4.0 times as many random records" in one and "further than the picks" in one for one in further
    )
    assert any("lowers the loss less than the picks do" in one for one in less)
    assert any("further by record, and less by token" in one for one in mixed)
    assert not any("times as many" in one for one in findings_of(made("better", "better")))


def test_what_weakens_an_audit_is_said():
    said = " ".join(
        findings_of(made("better", "better", overlap=0.5, copies=9, unusable=3), n_unknown={"mine": 2})
    )
    for words in (
        "50.0 % of the random records",
        "9.0 % of mine are copies",
        "3 picks of mine have no answer",
        "2 picks of mine are not",
    ):
        assert words in said
    planted = pd.DataFrame(
        {"n_records": [50, 5], "swapped answer": [0.1, 0.4], "near copy": 0.0, "another language": 0.0,
         "wrong sum": [0.05, 0.0]},
        index=["pool", "mine"],
    )  # fmt: skip
    said = " ".join(findings_of(made("better", "better"), planted))
    assert "swapped answers make up 40.0 % of mine; by chance it would be 10.0 %" in said


def test_more_random_records_than_there_are_cannot_be_bought():
    result = made("better", "better", more=("better", "better"))
    result.facts["n_candidates"] = 40
    said = " ".join(findings_of(result))
    assert "training on all records (5 seeds)" in said and "times as many" not in said


def test_random_records_that_are_not_as_long_are_said():
    result = made("better", "better")
    assert not any("answer tokens than the picks" in one for one in findings_of(result))
    result.losses.loc[result.losses["way"] == "random", "answer_tokens"] = 99
    assert any("10.0 % more answer tokens than the picks" in one for one in findings_of(result))


def test_pages_hold_every_table_and_several_groups_have_one_headline(tmp_path):
    report = AuditReport(made("better", "better", names=("a", "b")))
    assert "2 of 2 groups" in report.headline and "a, b" in report.headline
    assert len(report.findings) == 2
    alone = AuditReport(made("worse", "unclear"))
    assert alone.headline == verdict_of(alone.result, "mine") and alone.headline not in alone.findings
    for name in ("page.html", "page.md"):
        text = report.write(tmp_path / name).read_text()
        assert all(section.heading in text for section in report.sections())
    assert "Sources" not in [section.heading for section in report.sections()]  # a single one tells nothing
    assert set(report.frames()) >= {"gains", "losses", "description", "costs"}
    with refused(ParameterError, parameter="path"):
        report.write(tmp_path / "page.pdf")


def test_an_empty_interval_is_a_dash():
    result = made("better", "better")
    table = pd.DataFrame(
        [
            {
                "score": "IFD",
                "measure": "by token",
                "correlation": np.nan,
                "low": np.nan,
                "high": np.nan,
                "n_subsets": 3,
            }
        ]
    )
    report = AuditReport(AuditResult(**{**vars(result), "datamodel": table}))
    row = next(section for section in report.sections() if "predict" in section.heading).rows[0]
    assert row[2:] == ["–", "–"]
