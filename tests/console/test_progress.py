"""Progress of a fit on stderr; an interrupted fit keeps the best so far, with an honest certificate."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from debias import EnsembleDebiaser, WeightDebiaser, load
from debias.console import progress
from debias.search import solve as solving
from debias.search.proof.boxes.box_search import BoxSearch
from debias.search.proof.exact_search import ExactSearch
from debias.tables.table import ProbabilityTable
from tests.support.paths import ROOT
from tests.support.published_tables import CLASSES, published_path

TREC_OPTIMUM = 0.733055
"""Least z there is, as proved by the exact search."""


def large_problem(n=3000, n_classes=6):
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.ones(n_classes), n), rng.integers(n_classes, size=n)


def test_before_the_first_line_is_due_nothing_is_written(monkeypatch, capsys):
    monkeypatch.setattr(progress, "FIRST_LINE", 1e6)
    P, y = large_problem(200, 2)
    WeightDebiaser().fit(P, y)
    said = capsys.readouterr()
    assert said.out == ""
    assert all("compiled for this machine" in line for line in said.err.splitlines())


def test_what_takes_long_is_said_ever_more_rarely(monkeypatch, capsys):
    monkeypatch.setattr(progress, "FIRST_LINE", 0.05)
    with progress.progress_on_stderr(verbose=0) as shown:
        shown.show("descents", 0.25)
        shown.announce("About 700 seconds.")
        time.sleep(0.5)
    lines = capsys.readouterr().err.splitlines()
    assert "debias: About 700 seconds." in lines
    spoken = [line for line in lines if "25% done after" in line]
    assert 1 <= len(spoken) <= 5
    assert re.fullmatch(r"debias: descents, 25% done after \d seconds. Ctrl-C keeps .*", spoken[0])
    time.sleep(0.3)
    assert capsys.readouterr().err == ""  # over is over


def test_a_log_gets_a_line_now_and_then_and_shares_are_rounded_down(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.1)
    monkeypatch.setattr(progress, "FIRST_LINE", 0.1)
    with progress.counted_progress("texts \x1b[1m", 2000) as advance:
        advance(1999)
        time.sleep(0.35)
        advance(1)
    *lines, last = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 3
    assert all(line.startswith("texts \\x1b[1m: 1,999/2,000 after") for line in lines)
    assert "2,000/2,000" in last
    with progress.progress_on_stderr(verbose=0) as shown:
        shown.show("descents", 0.999)
        time.sleep(0.15)
        shown.show("descents", 1.0)
        time.sleep(0.15)
    said = capsys.readouterr().err
    assert "descents, 99% done" in said and "100%" not in said
    with progress.counted_progress("texts", 2, shown=False) as advance:
        advance(2)
    assert capsys.readouterr().err == ""


def test_a_first_run_says_that_it_compiles(monkeypatch, capsys):
    monkeypatch.setattr(solving, "is_compiled", lambda kernel: False)
    monkeypatch.setattr(solving, "_announced", threading.Event())
    P, y = large_problem(50, 2)
    WeightDebiaser(n_starts=1, search="descent").fit(P, y)
    WeightDebiaser(n_starts=1, search="descent").fit(P, y)
    assert capsys.readouterr().err.count(solving.COMPILES) == 1


def test_a_bar_is_shown_where_it_is_asked_for(capsys):
    P, y = large_problem(200, 3)
    EnsembleDebiaser(verbose=1).fit(P, y)
    said = capsys.readouterr()
    assert said.out == ""
    assert re.search(r"descents .*100%", said.err)
    assert re.search(r"proof .*100%", said.err)


def test_a_long_proof_is_announced_with_its_estimate_and_may_be_stopped(monkeypatch, capsys):
    P, y = large_problem()
    write = progress._write

    def write_and_stop_soon(sentence):
        write(sentence)
        if "different choices" in sentence:
            threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()

    monkeypatch.setattr(progress, "_write", write_and_stop_soon)
    with pytest.warns(UserWarning, match="interrupted") as caught:
        debiaser = EnsembleDebiaser(search="enumerate", n_starts=2).fit(P, y)
    assert len(caught) == 1
    said = capsys.readouterr().err
    assert re.search(r"[\d,]{9,} different choices: about \d+ seconds .*Ctrl-C keeps the best so far\.", said)
    certificate = debiaser.certificate_
    assert (certificate.status, certificate.interrupted) == ("heuristic", True)
    assert certificate.lower_bound < certificate.objective
    assert not debiaser.frontier_.attrs["complete"]


@pytest.mark.parametrize(
    ("part", "step"), [(ExactSearch, "__init__"), (BoxSearch, "__init__"), (BoxSearch, "run")]
)
def test_ctrl_c_between_the_parts_of_a_proof_keeps_the_descent(part, step, monkeypatch):
    P, y = large_problem(300, 4)
    expected = EnsembleDebiaser(search="descent").fit(P, y)

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(part, step, stop)
    with pytest.warns(UserWarning, match="interrupted"):
        debiaser = EnsembleDebiaser(search="exact").fit(P, y)
    assert debiaser.objective_value_ == expected.objective_value_
    assert (debiaser.certificate_.status, debiaser.certificate_.interrupted) == ("heuristic", True)
    assert debiaser.certificate_.lower_bound <= debiaser.objective_value_
    assert "the search was stopped" in str(debiaser.certificate_)


def test_a_time_limit_is_not_spent_twice(monkeypatch):
    P, y = large_problem()
    asked = []
    look_around = solving.look_around

    def noted(problem, best, most_radius, most_work, time_limit, n_threads):
        asked.append((most_work, time_limit))
        return look_around(problem, best, 1, most_work, time_limit, n_threads)

    monkeypatch.setattr(solving, "look_around", noted)
    debiaser = EnsembleDebiaser(search="enumerate", n_starts=2, time_limit=0.5).fit(P, y)
    assert asked == [(solving.RADIUS_WORK, None)]
    assert debiaser.certificate_.limit == "time"


def interrupted_fit(folder, *arguments):
    """Start a fit, press Ctrl-C when its proof is under way, and return its last words and file."""
    running = subprocess.Popen(
        [sys.executable, "-m", "debias.cli", "fit", *map(str, arguments), "--method", "ensemble",
         "--search", "enumerate"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "300"},
    )  # fmt: skip
    said = ""
    while "to evaluate them all" not in said:
        line = running.stderr.readline()
        assert line, said
        said += line
    time.sleep(4)
    running.send_signal(signal.SIGINT)
    out, errors = running.communicate(timeout=120)
    assert running.returncode == 130, errors
    assert errors.splitlines()[-1].startswith(
        "debias: interrupted: the best choice found so far was saved to "
    )
    return out, json.loads((folder / "correction.json").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("real", [False, True], ids=["random", "trec"])
def test_ctrl_c_during_a_long_proof_saves_the_best_so_far(tmp_path, real):
    if real:
        table = published_path("trec", "opt")
        out, document = interrupted_fit(tmp_path, table, "--classes", ",".join(CLASSES["trec"]))
    else:
        P, y = large_problem()
        ProbabilityTable(P, y).write(tmp_path / "opt.parquet")
        out, document = interrupted_fit(tmp_path, "opt.parquet")
    certificate = document["certificate"]
    assert (certificate["status"], certificate["interrupted"]) == ("heuristic", True)
    assert certificate["lower_bound"] < certificate["objective"]
    assert "Proved: only that the best possible objective lies between" in out
    assert "until the search was stopped." in out
    again = load(tmp_path / "correction.json")
    assert again.certificate_.gap == pytest.approx(certificate["gap"])
    assert again.objective_value_ == pytest.approx(certificate["objective"])
    if real:
        assert certificate["lower_bound"] <= TREC_OPTIMUM <= certificate["objective"] + 1e-6
