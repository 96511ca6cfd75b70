"""What stops a program is heard wherever it comes, also in a destructor, and other errors are left alone."""

import sys
import time

import pytest

from debias.console.process.stop_signals import stopped_like_ctrl_c


class Fragile:
    """Python prints what is raised when such an object goes, and goes on."""

    def __del__(self):
        raise KeyboardInterrupt


def test_ctrl_c_that_is_swallowed_is_told_again(capsys):
    before = sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), stopped_like_ctrl_c():
        one = Fragile()
        del one
        for _ in range(500):
            time.sleep(0.01)
    assert sys.unraisablehook is before
    assert "Traceback" not in capsys.readouterr().err


def test_other_things_that_are_swallowed_are_told_as_ever(monkeypatch):
    found = []
    monkeypatch.setattr(sys, "unraisablehook", found.append)
    with stopped_like_ctrl_c():
        one = type("Broken", (), {"__del__": lambda self: 1 / 0})()
        del one
    assert [one.exc_type for one in found] == [ZeroDivisionError]
