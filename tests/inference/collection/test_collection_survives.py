"""A collection outlives kills, full disks, dead engines, damaged files and second processes.

Nothing is lost, nothing asked twice, and the table is the same byte by byte.
"""

import os
import random
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from debias.errors import (
    EngineError,
    Kept,
    ResumeError,
    RunInUseError,
    SpendLimitError,
    StorageError,
)
from debias.inference.collection.answer_store import AnswerStore, digest
from debias.inference.collection.collection import collect
from debias.inference.collection.questions import Questions
from debias.inference.collection.run_folder import RunFolder
from debias.inference.engine import LabelScores
from debias.tables.table import ProbabilityTable
from tests.support.paths import ROOT
from tests.support.plain_engine import LABELS, TASK, TEXTS, PlainEngine, read_log, times_asked
from tests.support.refusals import refused

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
STRACE = shutil.which("strace") or "false"
KINDS = {"calls": ["batch", "calls"]}
START = """
import sys
from tests.support.plain_engine import *
from debias.inference.collection.collection import collect
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


@pytest.mark.parametrize(
    "kind",
    ["batch", pytest.param("singly", marks=pytest.mark.slow), pytest.param("calls", marks=pytest.mark.slow)],
)
def test_killed_at_each_write_to_the_disk(tmp_path, kind):
    if kind == "calls" and subprocess.run([STRACE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("strace is missing here, or may not trace")
    # In memory where there is such a folder: every write is waited for, and there are thousands.
    fast = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=fast if os.access(fast, os.W_OK) else tmp_path) as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.crash_points", folder, *KINDS.get(kind, [kind])],
            env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=False,
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
        who, other = f"process {process.pid} on {socket.gethostname()}", PlainEngine()
        for _ in range(2):
            with refused(RunInUseError, file=f"{out}.run", fix=str, mentions=who):
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


def interrupt(out: Path, after: int = 40, singly: bool = False) -> Path:
    """Leave an interrupted run; return its store."""
    with pytest.raises(KeyboardInterrupt):
        run(PlainEngine(singly=singly, fail_after=after, error=KeyboardInterrupt()), out=out)
    return RunFolder.beside(out).store


def stored(path: Path) -> int:
    """Number of the answers in a store."""
    with AnswerStore(path, read_only=True) as store:
        return len(store)


@pytest.mark.parametrize("damage", ["value", "checksum", "facts"])
def test_a_damaged_answer_is_asked_again_and_no_other(tmp_path, whole, damage):
    out = tmp_path / "mood.parquet"
    keys = Questions(PlainEngine(), TASK.continuations)
    with sqlite3.connect(interrupt(out)) as database:
        for number in (7, 25):
            key = digest(TASK.prompt(TEXTS[number]), bytes.fromhex(keys.asked))
            (value,) = database.execute("SELECT value FROM answers WHERE key = ?", (key,)).fetchone()
            wrong = {"value": bytes([value[0] ^ 4]) + value[1:], "checksum": 3, "facts": 99}[damage]
            database.execute(f"UPDATE answers SET {damage} = ? WHERE key = ?", (wrong, key))
    database.close()
    rest = PlainEngine()
    table = run(rest, out=out)
    assert rest.asked == [TASK.prompt(TEXTS[n]) for n in (7, 25, *range(36, 60))]
    expected = ProbabilityTable.read(write(tmp_path / "whole.parquet", whole[False]))
    np.testing.assert_allclose(table.to_numpy(), expected.to_numpy(), atol=1e-8)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def other_database(content: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(f"{folder}/other")
        database.execute("CREATE TABLE mine (x)")
        database.close()
        return Path(f"{folder}/other").read_bytes()


@pytest.mark.parametrize(
    "damage", [lambda c: c[: len(c) // 2], lambda c: b"no database" * 1000, lambda c: c[:50], other_database]
)
def test_a_damaged_store_is_named_and_not_touched(tmp_path, damage):
    out = tmp_path / "mood.parquet"
    store = interrupt(out)
    content = write(store, damage(store.read_bytes())).read_bytes()
    engine = PlainEngine()
    with refused(ResumeError, file=str(store), fix=str) as caught:
        run(engine, out=out)
    assert engine.asked == [] and store.read_bytes() == content
    assert caught.value.kept.folder == f"{out}.run" if hasattr(caught.value, "kept") else True
    store.unlink()
    run(PlainEngine(), out=out)


def test_no_changed_byte_of_a_store_changes_an_answer(tmp_path):
    keys, path = [digest(text) for text in TEXTS[:6]], tmp_path / "answers.sqlite"
    answers = {key: text.encode() * 5 for key, text in zip(keys, TEXTS, strict=False)}
    with AnswerStore(path) as store:
        store.add(answers.items(), {"dtype": "float32"})
    content, missing, damaged = path.read_bytes(), 0, 0
    used = [place for place in range(len(content)) if content[place]] + list(range(0, len(content), 97))
    for place in used:
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        try:
            with AnswerStore(path, read_only=True) as store:
                found = store.find(keys)
        except (ResumeError, StorageError):
            damaged += 1
            continue
        missing += len(found) < 6
        for key, answer in found.items():
            assert answer == (answers[key], '{"dtype": "float32"}')
    assert missing > 200 and damaged > 20


def test_what_a_kill_left_half_written_is_undone_for_a_reader(tmp_path):
    path, keys = tmp_path / "answers.sqlite", [digest(text) for text in map(str, range(200))]
    with AnswerStore(path) as store:
        store.describe({"asked": "a"})
        store.add([(key, b"a" * 500) for key in keys], {})
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA cache_size = 1")
    database.execute("BEGIN")
    database.execute("UPDATE answers SET value = zeroblob(500)")  # spills: the file is half changed
    killed = tmp_path / "killed" / path.name
    killed.parent.mkdir()
    for name in (path.name, f"{path.name}-journal"):
        shutil.copy(tmp_path / name, killed.parent / name)
    database.rollback()
    database.close()
    plain = sqlite3.connect(f"file:{killed}?mode=ro", uri=True)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        plain.execute("SELECT count(*) FROM answers").fetchone()
    plain.close()
    with AnswerStore(killed, read_only=True) as store:
        assert store.about() == {"asked": "a"} and len(store.find(keys)) == 200


def test_a_log_that_was_torn_keeps_the_answers_before(tmp_path, whole):
    """Kill a run; cut its write-ahead log at many places: what comes before is kept, in order."""
    process, out = start(tmp_path, pause=0.02, singly=True), tmp_path / "mood.parquet"
    try:
        wait_for(lambda: len(read_log(tmp_path / "log")) > 30, process)
    finally:
        process.kill()
        process.communicate()
    store, log = RunFolder.beside(out).store, RunFolder.beside(out).path / "answers.sqlite-wal"
    content, before = log.read_bytes(), 0
    for size in range(0, len(content), len(content) // 25):
        copy = tmp_path / str(size)
        shutil.copytree(store.parent, copy / "mood.parquet.run")
        (copy / "mood.parquet.run" / log.name).write_bytes(content[:size])
        (copy / "mood.parquet.run" / "answers.sqlite-shm").unlink(missing_ok=True)
        if size == 0 or not stored_or_none(copy / "mood.parquet.run" / store.name):
            continue
        rest = PlainEngine(singly=True)
        run(rest, out=copy / "mood.parquet")
        n_kept = 60 - len(rest.asked)
        assert n_kept >= before and rest.asked == [TASK.prompt(text) for text in TEXTS[n_kept:]]
        assert (copy / "mood.parquet").read_bytes() == whole[True]
        before = n_kept
    assert before > 5


def stored_or_none(path: Path) -> int | None:
    try:
        return stored(path)
    except (ResumeError, StorageError):
        return None


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


def test_an_interruption_right_after_answers_were_saved_does_not_lose_them(tmp_path, whole, monkeypatch):
    out, add = tmp_path / "mood.parquet", AnswerStore.add

    def interrupted(*arguments, **options):
        add(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(AnswerStore, "add", interrupted)
    first, rest = PlainEngine(), PlainEngine()
    with pytest.raises(KeyboardInterrupt) as caught:
        run(first, out=out)
    assert caught.value.kept == Kept(f"{out}.run", 6)
    monkeypatch.undo()
    run(rest, out=out)
    assert out.read_bytes() == whole[False]
    assert first.asked + rest.asked == [TASK.prompt(text) for text in TEXTS]


def test_the_folder_of_an_earlier_version_is_named(tmp_path):
    folder = tmp_path / "mood.parquet.run"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    (folder / "rows-0000000000.parquet").write_text("answers")
    engine = PlainEngine()
    for options in ({"out": tmp_path / "mood.parquet"}, {"reuse": [tmp_path]}):
        with refused(ResumeError, file=str(folder), fix=str):
            run(engine, **options)
    assert engine.asked == [] and (folder / "rows-0000000000.parquet").exists()


def test_a_run_keeps_the_chunks_that_it_began_with(tmp_path, whole):
    out = tmp_path / "mood.parquet"
    with pytest.raises(KeyboardInterrupt):
        run(PlainEngine(fail_after=20, error=KeyboardInterrupt()), out=out)
    run(PlainEngine(), out=out, chunk_size=11)
    assert out.read_bytes() == whole[False]


def test_wrong_answers_are_refused_and_not_kept(tmp_path):
    class Wrong(PlainEngine):
        def label_scores(self, prompts, labels, on_answer=None):
            return self.wrong(super().label_scores(prompts, labels).logprobs)

    for wrong, name, received in [
        (lambda a: LabelScores(a[:, :2]), "logprobs", (6, 2)),
        (lambda a: LabelScores(a[:-1]), "logprobs", (5, 3)),
        (lambda a: LabelScores(np.where(a == a[2, 1], np.nan, a)), "logprobs", float),
        (lambda a: LabelScores(np.exp(a)), "logprobs", float),  # probabilities, not logarithms
        (lambda a: LabelScores(a, np.ones((6, 2), bool)), "is_bound", (6, 2)),
    ]:
        engine = Wrong()
        engine.wrong = wrong
        with refused(EngineError, parameter=name, received=received):
            run(engine, out=tmp_path / "mood.parquet")
        assert list(tmp_path.iterdir()) == []


def test_a_row_whose_labels_are_all_impossible_is_named_and_costs_no_answer(tmp_path):
    class Zero(PlainEngine):
        def label_scores(self, prompts, labels, on_answer=None):
            scores = super().label_scores(prompts, labels).logprobs
            scores[[p.startswith("Text: text number 7\n") for p in prompts]] = -np.inf
            return LabelScores(scores)

    out, engine = tmp_path / "mood.parquet", Zero()
    with refused(EngineError, received="7", mentions="text number 7"):
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
@pytest.mark.parametrize("limit", [0, 45_000, 60_000])  # the owner, the log of answers, later in it
def test_a_file_that_may_not_grow_stops_the_run_and_loses_nothing(tmp_path, whole, limit, singly):
    out, log = tmp_path / "mood.parquet", tmp_path / "log"
    code = LIMITED.format(limit=limit, out=str(out), singly=singly)
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 28, done.stderr
    assert not out.exists()
    store = RunFolder.beside(out).store
    kept = stored(store) if store.exists() else 0
    assert (limit > 0) == (kept > 0), done.stdout
    run(PlainEngine(log, singly=singly), out=out)
    assert out.read_bytes() == whole[singly]
    assert sum(times_asked(log).values()) == 60 - kept


def test_a_disk_that_is_full(tmp_path, whole):
    place, log = tmp_path / "disk", tmp_path / "log"
    place.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if mount is None or subprocess.run([mount, *options], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        out = place / "mood.parquet"
        (place / "ballast").write_bytes(b"0" * 180_000)
        with refused(StorageError, file=str, fix=str):
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
    with refused(ResumeError, file=str(tmp_path / "mood.parquet.run"), fix=str):
        run(engine, out=tmp_path / "mood.parquet")
    with refused(StorageError, file="/proc/mood.parquet.run", fix=str):
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
