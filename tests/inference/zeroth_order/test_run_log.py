"""Files of runs: torn, damaged, and of another model."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.errors import ResumeError, StorageError
from debias.inference.zeroth_order.run_log import RunHeader, RunLog, Step, read_run
from tests.support.refusals import refused

HEADER = RunHeader("base", "thresholds", 0.001, 0.75, 0.0, facts={"task": "sst5"})
STEPS = [Step(2**64 - 1, 0.5, 0.25), Step(0, -1.5, 0.5), Step(7, 0.0, 0.125)]


def written(path):
    log = RunLog(path, HEADER)
    for step in STEPS:
        log.append(step)
    return path


def test_a_step_takes_16_bytes(tmp_path):
    path = written(tmp_path / "deep" / "run")
    assert read_run(path) == (HEADER, STEPS, 0)
    assert path.stat().st_size == len(HEADER.line) + 48


@pytest.mark.parametrize("missing", [1, 8, 15])
def test_a_torn_last_step_is_dropped(tmp_path, missing):
    path = written(tmp_path / "run")
    path.write_bytes(path.read_bytes()[:-missing])
    log = RunLog(path, HEADER)
    assert (log.steps, log.dropped) == (STEPS[:2], 16 - missing)
    log.append(STEPS[2])
    assert read_run(path) == (HEADER, STEPS, 0)


@settings(max_examples=40)
@given(place=st.integers(0, len(HEADER.line) - 1), byte=st.integers(0, 255))
def test_a_damaged_first_line_is_refused(tmp_path_factory, place, byte):
    path = written(tmp_path_factory.mktemp("runs") / "run")
    content = bytearray(path.read_bytes())
    if content[place] == byte:
        return
    content[place] = byte
    path.write_bytes(bytes(content))
    with refused(ResumeError, file=str(path)):
        read_run(path)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"{}\n", b"[]\n", b"null\n", b'{"check": 1}\n', b"\xff" * 99]
)
def test_what_is_no_run_is_refused(tmp_path, content):
    (tmp_path / "run").write_bytes(content)
    with refused(ResumeError, parameter="run", file=str(tmp_path / "run")):
        RunLog(tmp_path / "run", HEADER)


def test_a_step_without_numbers_is_refused(tmp_path):
    path = written(tmp_path / "run")
    path.write_bytes(path.read_bytes()[:-8] + b"\xff" * 8)
    with refused(ResumeError, file=str(path), mentions="step 2"):
        read_run(path)


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"base": "other"}, "model"),
        ({"thresholds": "other"}, "sparsity"),
        ({"noise": "other"}, "run"),
        ({"epsilon": 0.1}, "epsilon"),
        ({"sparsity": 0.5}, "sparsity"),
        ({"decay": 0.5}, "weight_decay"),
    ],
)
def test_a_run_of_something_else_is_refused(tmp_path, changes, parameter):
    path = written(tmp_path / "run")
    before = path.read_bytes()
    with refused(ResumeError, parameter=parameter, file=str(path)):
        RunLog(path, RunHeader(**(vars(HEADER) | changes)))
    assert path.read_bytes() == before


def test_facts_decide_nothing(tmp_path):
    path = written(tmp_path / "run")
    log = RunLog(path, RunHeader(**(vars(HEADER) | {"facts": {"task": "rte"}})))
    assert log.header.facts == {"task": "sst5"}


def test_steps_after_a_checkpoint_are_cut(tmp_path):
    path = written(tmp_path / "run")
    log = RunLog(path, HEADER)
    log.cut(1)
    log.append(STEPS[2])
    assert read_run(path).steps == [STEPS[0], STEPS[2]] == log.steps


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with refused(StorageError, file=str(tmp_path / "file" / "run")):
        RunLog(tmp_path / "file" / "run", HEADER)
