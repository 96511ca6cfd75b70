"""The drill in short: a few kills, signals, full disks, damaged stores and companions, and no fault."""

import os
import runpy
import subprocess
import sys

import pytest

from tests.support.paths import ROOT


@pytest.mark.slow
def test_nothing_is_lost_duplicated_or_wrong():
    done = subprocess.run(
        [sys.executable, "experiments/drill.py", "--quick"],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "kill -9" in done.stdout


def test_a_step_is_lost_when_a_later_process_does_it_again(tmp_path):
    watching = runpy.run_path(str(ROOT / "experiments" / "drills" / "watching.py"))
    log = tmp_path / "events"
    once = "step 1 1\nsaved 1 1\nstep 1 1\nstep 1 2\nsaved 1 2\n"  # the end of an epoch notes its step twice
    log.write_text(once + "step 2 3\nsaved 2 3\n")
    assert watching["lost_and_duplicated"](log) == (0, 0)
    log.write_text(once + "step 2 2\nstep 2 3\n")
    assert watching["lost_and_duplicated"](log) == (1, 0)
    log.write_text("kept 1 aa bb\nmissing 2 aa\nkept 2 aa\nkept 2 bb\n")
    assert watching["lost_and_duplicated"](log) == (1, 1)
