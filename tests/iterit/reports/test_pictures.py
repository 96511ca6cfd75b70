"""Pictures of rounds and of audits: what they show, what is read beside a run, and what is refused."""

import json
import re
import sys

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape

from debias.errors import MissingDependencyError, ParameterError, ResumeError
from iterit.reports.gains import found_gains, gains_picture, gains_section, read_gains
from iterit.reports.rounds_pictures import pictures_of
from iterit.reports.rounds_report import RoundsReport
from iterit.training.saving.held_out_losses import held_out_losses
from tests.support.commands import run_iterit
from tests.support.refusals import refused
from tests.support.small_rounds import small_run

GAINS = pd.DataFrame(
    [
        {"picks": "run, round 0", "way": "picks", "by": by, "gain": gain, "low": gain - 0.01,
         "high": gain + 0.01, "verdict": verdict, "n_seeds": 5}
        for by, gain, verdict in (("token", 0.02, "better"), ("record", -0.003, "unclear"))
    ]
)  # fmt: skip
HELD_OUT = pd.DataFrame({"step": [0, 5, 10, 20], "loss": [3.0, 2.9, 2.5, 2.2]})


@pytest.fixture(scope="module")
def report():
    return RoundsReport(small_run(3), held_out=HELD_OUT, gains=GAINS)


def test_held_out_losses_are_the_last_of_their_round(report):
    """Steps 5 and 10 end round 0, which began at step 0; step 20 ends round 1; none ends round 2."""
    assert report.rounds["held_out_loss"].tolist()[:2] == [2.5, 2.2]
    assert np.isnan(report.rounds["held_out_loss"].iloc[2])
    assert "held_out_loss" not in RoundsReport(small_run(2)).rounds


def test_overlap_is_the_share_of_picks_in_common(report):
    for one in report.numbers:
        for other in report.numbers:
            both = set(report.rows_of(one)) & set(report.rows_of(other))
            assert report.shared.loc[one, other] == len(both) / 12
    assert report.shared.loc[2, 1] == report.rounds["overlap"].loc[2]


def test_every_picture_stands_in_its_section_with_its_numbers(report):
    pictures, page = pictures_of(report), report.to_html()
    headings = [section.heading for section in report.sections()]
    assert set(pictures) <= set(headings) and len(pictures) == 4
    for shown in pictures.values():
        for picture in shown:
            assert picture.svg in page and escape(picture.caption) in page
            assert re.match(r'<svg role="img" aria-label="[^"]{20,}"', picture.svg)
            assert not re.search(r"#[0-9a-f]{6}", picture.svg.replace("#ffffff", ""))  # colours of the page
    loss, overlap = (picture.svg for picture in pictures["Rounds"])
    assert "training: 2.400, 2.300, 2.200; held out: 2.500, 2.200, none" in loss
    assert f"{100 * report.shared.loc[1, 0]:.0f}<" in overlap
    words = report.kept.records["words"]
    assert f"all {words.median():.3g}" in pictures["Length of answers"][0].svg
    assert "+0.0200, better" in pictures["Against random records of the same lengths"][0].svg


def test_text_in_pictures_can_be_read_on_a_phone():
    made = RoundsReport(small_run(20), gains=GAINS)  # more rounds than a picture has room for
    for shown in pictures_of(made).values():
        for picture in shown:
            width = float(re.search(r'viewBox="0 0 ([\d.]+)', picture.svg)[1])
            sizes = [float(size) for size in re.findall(r"font(?:-size)?: ([\d.]+)px", picture.svg)]
            assert sizes and min(sizes) * min(320 - 2 * 12, width * 4 / 3) / width >= 11
    assert "rounds are omitted" in pictures_of(made)["Rounds"][1].caption


def test_a_run_of_one_round_has_no_overlap_and_no_moves():
    pictures = pictures_of(RoundsReport(small_run(1)))
    assert len(pictures["Rounds"]) == 1 and "Changes of scores" not in pictures
    assert "no held-out loss was logged" in pictures["Rounds"][0].caption


def test_without_matplotlib_only_the_page_fails(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with refused(MissingDependencyError, mentions=("matplotlib", ".md")):
        report.to_html()
    assert report.to_markdown()


def test_what_a_trainer_logged_is_read_from_its_newest_state(tmp_path):
    assert not len(held_out_losses(tmp_path))
    for step in (10, 20):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        log = [{"step": s, "eval_loss": 3 - s / 20} for s in (10, 20) if s <= step] + [{"step": 5, "loss": 9}]
        (folder / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    assert held_out_losses(tmp_path).to_dict("list") == {"step": [10, 20], "loss": [2.5, 2.0]}
    (tmp_path / "checkpoint-20" / "trainer_state.json").write_text('{"log_history": [{"eval_loss": "x"}]}')
    with refused(ResumeError, file=str):
        held_out_losses(tmp_path)


def test_an_audit_is_read_from_the_folder_of_its_tables_or_found_in_the_run(tmp_path):
    small_run(2).write(tmp_path)
    assert RoundsReport.from_folder(tmp_path).gains is None
    text = RoundsReport.from_folder(tmp_path).to_markdown()
    assert "was not measured" in text
    (tmp_path / "audit").mkdir()
    GAINS.to_csv(tmp_path / "audit" / "gains.csv", index=False)
    found = RoundsReport.from_folder(tmp_path)
    pd.testing.assert_frame_equal(found.gains, GAINS, check_dtype=False)
    assert found.to_markdown() == RoundsReport.from_folder(tmp_path, audit=tmp_path / "audit").to_markdown()
    assert "was not measured" not in found.to_markdown()
    assert found_gains(tmp_path / "no") is None
    code, out, _ = run_iterit("report", tmp_path, "--audit", tmp_path / "audit", "--out", tmp_path / "r.md")
    assert code == 0 and "Against random records" in out
    code, _, said = run_iterit("report", tmp_path, "--audit", tmp_path / "no", "--out", tmp_path / "r.md")
    assert code == 2 and "--audit" in said
    section = gains_section(GAINS, 0.9)
    assert section.rows[0][2:5] == ["+0.0200", "+0.0100 to +0.0300", "better"] and "90 %" in section.header[3]
    several = pd.concat([GAINS, GAINS.assign(picks="<b>other</b>")], ignore_index=True)
    assert "<b>" not in gains_picture(several).svg


@pytest.mark.parametrize(
    "change",
    [{"verdict": "fine"}, {"way": "x"}, {"gain": "much"}, None],
    ids=["verdict", "way", "gain", "columns"],
)
def test_what_is_no_audit_is_refused(tmp_path, change):
    table = GAINS.drop(columns="by") if change is None else GAINS.assign(**change)
    table.to_csv(tmp_path / "gains.csv", index=False)
    with refused(ParameterError, parameter="audit", received=str(tmp_path)):
        read_gains(tmp_path)
    with refused(ParameterError, parameter="audit"):
        read_gains(tmp_path / "absent")
