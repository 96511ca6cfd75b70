"""The drill in short: a few kills, signals, full disks, damaged stores and companions, and no fault."""

import os
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
