"""A collection outlives kills, full disks, dead engines, damaged files and second processes.

Nothing is lost, nothing asked twice, and the table is the same byte by byte.
"""

import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from debias.errors import (
    EngineError,
    Kept,
    ResumeError,
    RunInUseError,
    SpendLimitError,
    StorageError,
)
from debias.inference.collection import answer_store
from debias.inference.collection.answers import AnswerKeys, Answers, read_answers, write_answers
from debias.inference.collection.from_lists import collect
from debias.inference.collection.run_folder import RunFolder
from debias.inference.engine import LabelScores
from debias.tables.table import ProbabilityTable
from tests.support.paths import ROOT
from tests.support.plain_engine import LABELS, TASK, TEXTS, PlainEngine, read_log, times_asked

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
START = """
import sys
from tests.support.plain_engine import *
from debias.inference.collection.from_lists import collect
engine = PlainEngine({log!r}, pause={pause!r}, singly={singly!r})
collect(engine, TASK, TEXTS, LABELS, out={out!r}, chunk_size=6, progress=False)
"""


def run(engine, texts=TEXTS, labels=LABELS, **options):
    return collect(engine, TASK, texts, labels, **{"progress": False, "chunk_size": 6, **options})


def start(folder: Path, pause: float = 0.0, singly: bool = False, **options) -> subprocess.Popen[str]:
    """Collect in a process of its own."""
    code = START.format(log=str(folder / "log"), out=str(folder / "mood.parquet"), pause=pause, singly=singly)
    return subprocess.Popen(
        [sys.executable, "-c", code], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, **options
    )


def wait_for(condition, process) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
        time.sleep(0.002)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Bytes of the uninterrupted tables, by whether the engine answers singly."""
    folder, found = tmp_path_factory.mktemp("whole"), {}
    for singly in (False, True):
        run(PlainEngine(singly=singly), out=folder / f"{singly}.parquet", reuse=())
        found[singly] = (folder / f"{singly}.parquet").read_bytes()
        shutil.rmtree(folder / f"{singly}.parquet.run")
    return found


@pytest.mark.parametrize("kind", ["batch", "singly"])
def test_killed_at_each_write_to_the_disk(tmp_path, kind):
    # In memory where there is such a folder: every write is waited for, and there are thousands.
    fast = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=fast if os.access(fast, os.W_OK) else tmp_path) as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.crash_points", folder, kind],
            env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.removeprefix("points ")) > 20


@pytest.mark.parametrize("singly", [False, True])
def test_killed_at_random_moments_again_and_again(tmp_path, whole, singly):
    rng, log, out = random.Random(singly), tmp_path / "log", tmp_path / "mood.parquet"
    under_way: set[str] = set()
    for _ in range(4):
        seen = len(read_log(log))
        process = start(tmp_path, pause=0.01, singly=singly)
        try:
            wait_for(lambda seen=seen: len(read_log(log)) > seen or out.exists(), process)
            time.sleep(rng.uniform(0, 0.2))
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        lines = read_log(log)
        under_way |= set(lines[-1][1]) if lines[-1][0] == "asked" else set()
    table = run(PlainEngine(log, singly=singly), out=out)
    assert out.read_bytes() == whole[singly] and list(table.texts) == TEXTS
    asked = times_asked(log)
    assert len(asked) == len(TEXTS)
    assert {name for name, times in asked.items() if times > 1} <= under_way
    assert sum(asked.values()) <= len(TEXTS) + (4 if singly else 24)


def test_a_second_process_is_refused_and_told_who_is_at_work(tmp_path, whole):
    process, out = start(tmp_path, pause=0.05), tmp_path / "mood.parquet"
    try:
        wait_for(lambda: read_log(tmp_path / "log"), process)
        words = rf"in use by process {process.pid} on {socket.gethostname()}: .* choose another out"
        other = PlainEngine()
        for _ in range(2):
            with pytest.raises(RunInUseError, match=words):
                run(other, out=out)
        assert other.asked == []
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.communicate()
    assert out.read_bytes() == whole[False]
    assert max(times_asked(tmp_path / "log").values()) == 1
    assert not (tmp_path / "mood.parquet.run" / "owner.json").exists()


def test_two_runs_of_one_process_do_not_share_a_folder(tmp_path):
    out, errors = tmp_path / "mood.parquet", []

    def second() -> None:
        try:
            run(PlainEngine(), out=out)
        except RunInUseError as error:
            errors.append(str(error))

    class Meanwhile(PlainEngine):
        def label_scores(self, prompts, labels, on_answer=None):
            if not errors:
                thread = threading.Thread(target=second)
                thread.start()
                thread.join()
            return super().label_scores(prompts, labels, on_answer)

    run(Meanwhile(), out=out)
    assert len(errors) == 1 and f"process {os.getpid()}" in errors[0]


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    """Change one bit among the log-probabilities."""
    place = len(content) // 3
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


def other_table(content: bytes) -> bytes:
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        ProbabilityTable([[0.5, 0.5]]).write(file.name)
        return Path(file.name).read_bytes()


@pytest.mark.parametrize("damage", [cut, flip, other_table, lambda content: b""])
def test_a_damaged_file_of_answers_is_computed_again(tmp_path, whole, damage):
    out = tmp_path / "mood.parquet"
    with pytest.raises(KeyboardInterrupt):
        run(PlainEngine(fail_after=40, error=KeyboardInterrupt()), out=out)
    files = RunFolder(tmp_path / "mood.parquet.run").answer_files()
    assert len(files) == 6
    for number in (1, 4):
        files[number].write_bytes(damage(files[number].read_bytes()))
    rest = PlainEngine()
    run(rest, out=out)
    assert out.read_bytes() == whole[False]
    expected = [TASK.prompt(TEXTS[n]) for n in [*range(6, 12), *range(24, 30), *range(36, 60)]]
    assert rest.asked == expected


@pytest.mark.parametrize("singly", [False, True])
def test_what_was_answered_before_an_engine_died_is_kept(tmp_path, whole, singly):
    out, engines = tmp_path / "mood.parquet", []
    for error in (SpendLimitError("the cap of 10 requests is reached"), EngineError("gone"), OSError("cut")):
        engines.append(PlainEngine(singly=singly, fail_after=10, error=error))
        with pytest.raises(type(error)) as caught:
            run(engines[-1], out=out)
        kept = len(engines) * (10 if singly else 6)
        assert caught.value.kept == Kept(f"{out}.run", kept)
    engines.append(PlainEngine(singly=singly))
    table = run(engines[-1], out=out)
    asked = [prompt for engine in engines for prompt in engine.asked]
    assert asked == [TASK.prompt(text) for text in TEXTS]
    if singly:  # each answer came alone, so that it does not matter which were together
        assert out.read_bytes() == whole[True]
    np.testing.assert_allclose(table.to_numpy(), run(PlainEngine(singly=singly)).to_numpy(), atol=1e-8)


def test_an_interruption_right_after_a_file_was_written_does_not_lose_it(tmp_path, whole, monkeypatch):
    out, write = tmp_path / "mood.parquet", answer_store.write_answers

    def interrupted(path, answers):
        write(path, answers)
        raise KeyboardInterrupt

    monkeypatch.setattr(answer_store, "write_answers", interrupted)
    first, rest = PlainEngine(), PlainEngine()
    with pytest.raises(KeyboardInterrupt) as caught:
        run(first, out=out)
    assert caught.value.kept.folder == f"{out}.run"
    monkeypatch.undo()
    run(rest, out=out)
    assert out.read_bytes() == whole[False]
    assert first.asked + rest.asked == [TASK.prompt(text) for text in TEXTS]


def test_a_torn_single_answer_is_asked_again_and_no_other(tmp_path, whole):
    out = tmp_path / "mood.parquet"
    with pytest.raises(SpendLimitError):
        run(PlainEngine(singly=True, fail_after=4, error=SpendLimitError("")), out=out)
    journal = RunFolder(tmp_path / "mood.parquet.run").journal
    content = journal.read_bytes()
    record, n_kept = 47, 4
    header = len(content) - n_kept * record
    assert header > 0
    for kept in range(len(content) + 1):
        journal.write_bytes(content[:kept])
        copy = tmp_path / "copy" / "mood.parquet.run"
        if kept % 13 and (kept - header) % record:
            continue
        shutil.copytree(journal.parent, copy)
        rest = PlainEngine(singly=True)
        run(rest, out=copy.parent / "mood.parquet")
        assert rest.asked == [TASK.prompt(text) for text in TEXTS[max(kept - header, 0) // record :]]
        assert (copy.parent / "mood.parquet").read_bytes() == whole[True]
        shutil.rmtree(copy.parent)


def test_a_single_answer_that_was_changed_is_asked_again(tmp_path, whole):
    out = tmp_path / "mood.parquet"
    with pytest.raises(SpendLimitError):
        run(PlainEngine(singly=True, fail_after=4, error=SpendLimitError("")), out=out)
    journal = RunFolder(tmp_path / "mood.parquet.run").journal
    content = bytearray(journal.read_bytes())
    content[-2 * 47 + 20] ^= 1  # in the log-probabilities of the third
    journal.write_bytes(content)
    rest = PlainEngine(singly=True)
    run(rest, out=out)
    assert rest.asked == [TASK.prompt(TEXTS[n]) for n in (2, *range(4, 60))]
    assert out.read_bytes() == whole[True]


def test_a_run_keeps_the_chunks_that_it_began_with(tmp_path, whole):
    out = tmp_path / "mood.parquet"
    with pytest.raises(KeyboardInterrupt):
        run(PlainEngine(fail_after=20, error=KeyboardInterrupt()), out=out)
    run(PlainEngine(), out=out, chunk_size=11)
    assert out.read_bytes() == whole[False]


def test_no_changed_byte_of_a_file_of_answers_changes_an_answer(tmp_path):
    engine = PlainEngine()
    keys = AnswerKeys(engine, TASK.continuations).of(TEXTS[:6])
    scores = engine.label_scores(TEXTS[:6], TASK.continuations)
    path = tmp_path / "rows.parquet"
    write_answers(path, Answers(keys, scores.logprobs, np.zeros((6, 3), bool)))
    content, refused = path.read_bytes(), 0
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        found = read_answers(path, 3)
        refused += found is None
        if found is not None:
            np.testing.assert_array_equal(found.keys, keys)
            np.testing.assert_array_equal(found.logprobs, scores.logprobs)
            assert not found.is_bound.any()
    assert refused > 300


def test_wrong_answers_are_refused_and_not_kept(tmp_path):
    class Wrong(PlainEngine):
        def label_scores(self, prompts, labels, on_answer=None):
            return self.wrong(super().label_scores(prompts, labels).logprobs)

    for wrong, words in [
        (lambda a: LabelScores(a[:, :2]), r"in the shape \(6, 2\); \(6, 3\) was expected"),
        (lambda a: LabelScores(a[:-1]), r"in the shape \(5, 3\)"),
        (lambda a: LabelScores(np.where(a == a[2, 1], np.nan, a)), "nan about label 1 of prompt 2 of 6"),
        (lambda a: LabelScores(a, np.ones((6, 2), bool)), r"is_bound has the shape \(6, 2\)"),
    ]:
        engine = Wrong()
        engine.wrong = wrong
        with pytest.raises(EngineError, match=words):
            run(engine, out=tmp_path / "mood.parquet")
        assert list(tmp_path.iterdir()) == []


def test_a_row_whose_labels_are_all_impossible_is_named_and_costs_no_answer(tmp_path):
    class Zero(PlainEngine):
        def label_scores(self, prompts, labels, on_answer=None):
            scores = super().label_scores(prompts, labels).logprobs
            scores[[p.startswith("Text: text number 7\n") for p in prompts]] = -np.inf
            return LabelScores(scores)

    out, engine = tmp_path / "mood.parquet", Zero()
    with pytest.raises(EngineError, match="id '7' gave none of the labels any probability .*'text number 7'"):
        run(engine, out=out)
    assert len(engine.asked) == 60
    table = run(engine, TEXTS[:7] + TEXTS[8:], LABELS[:7] + LABELS[8:], out=out)
    assert len(table) == 59 and len(engine.asked) == 60


LIMITED = """
import resource, sys
import tests.inference.collection.test_collection_survives as here
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    here.run(here.PlainEngine(singly={singly}), out={out!r})
except here.StorageError as error:
    print(error)
    sys.exit(28)
"""


@pytest.mark.parametrize("singly", [False, True])
@pytest.mark.parametrize("limit", [0, 1000, 4000])  # the manifest, the second file, the table
def test_a_file_that_may_not_grow_stops_the_run_and_loses_nothing(tmp_path, whole, limit, singly):
    out, log = tmp_path / "mood.parquet", tmp_path / "log"
    code = LIMITED.format(limit=limit, out=str(out), singly=singly)
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 28, done.stderr
    assert "no space is left there" in done.stdout and "it goes on from there" in done.stdout
    assert not out.exists()
    kept = sum(pq.read_metadata(path).num_rows for path in tmp_path.glob("*.run/rows-*.parquet"))
    journal = tmp_path / "mood.parquet.run" / "single-answers"
    kept += journal.stat().st_size // 47 if journal.exists() else 0  # one more than its header
    run(PlainEngine(log, singly=singly), out=out)
    assert out.read_bytes() == whole[singly]
    assert sum(times_asked(log).values()) == 60 - kept
    expected = {0: 0, 1000: 6 if singly else 0, 4000: 60}
    assert kept == expected[limit]


def test_a_disk_that_is_full(tmp_path, whole):
    place, log = tmp_path / "disk", tmp_path / "log"
    place.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if mount is None or subprocess.run([mount, *options], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        out = place / "mood.parquet"
        (place / "ballast").write_bytes(b"0" * 40_000)
        with pytest.raises(StorageError, match="no space is left .*free some space and run the same again"):
            run(PlainEngine(log), out=out)
        before = times_asked(log)
        assert 0 < len(before) < 60
        (place / "ballast").unlink()
        run(PlainEngine(log), out=out, keep=False)
        assert out.read_bytes() == whole[False]
        lost = [name for name, times in times_asked(log).items() if times > 1]
        assert len(lost) <= 6  # the chunk that did not fit
        assert sorted(path.name for path in place.iterdir()) == ["mood.parquet"]
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_folder_that_cannot_be_made_is_said_before_anything_is_asked(tmp_path):
    (tmp_path / "mood.parquet.run").write_text("mine")
    engine = PlainEngine()
    with pytest.raises(ResumeError, match=r"mood.parquet.run is a file; move it away"):
        run(engine, out=tmp_path / "mood.parquet")
    with pytest.raises(StorageError, match="/proc/mood.parquet.run: it cannot be written"):
        run(engine, out="/proc/mood.parquet")
    assert engine.asked == []


def test_no_time_and_no_process_is_in_what_is_kept(tmp_path, whole):
    """Two runs at other times, by other processes, leave the same bytes but for the lock's owner."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        process = start(tmp_path / name)
        assert process.wait(timeout=60) == 0, process.stderr.read()
        process.communicate()
    files = [
        {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in (tmp_path / name).rglob("*.*")
         if path.is_file()}
        for name in ("one", "two")
    ]  # fmt: skip
    assert files[0] == files[1] and files[0]["mood.parquet"] == whole[False]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
