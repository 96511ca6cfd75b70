"""Shards: merged, they are one run byte by byte; what is missing, there twice or different is refused."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias import Task, collect, collect_stream, merge
from debias.errors import ContextLengthError, ParameterError, ResumeError, TableError
from debias.inference.collection.answer_store import digest
from debias.inference.collection.collected_rows import TextRow
from debias.inference.collection.prompts import Prompted
from debias.inference.collection.questions import Missing
from debias.inference.collection.shards.dealing import Dealer, deal
from debias.inference.collection.shards.shard import Shard
from debias.inference.collection.shards.shard_files import (
    ShardWriter,
    answered_rows,
    read_shard_header,
    read_shard_rows,
)
from debias.tables.table import ProbabilityTable
from tests.support.paths import ROOT
from tests.support.plain_engine import LABELS, TASK, TEXTS, PlainEngine, read_log, times_asked
from tests.support.refusals import refused

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
AGAIN = [*TEXTS, TEXTS[3], TEXTS[59], "a new one", *TEXTS[20:30]]
AGAIN_LABELS = [*LABELS, LABELS[3], LABELS[59], "bad", *LABELS[20:30]]
START = """
import sys
from tests.support.plain_engine import *
from debias import collect
engine = PlainEngine({log!r}, pause=0.01, singly={singly!r})
collect(engine, TASK, TEXTS, LABELS, out={out!r}, shard={shard!r}, chunk_size=3, progress=False)
"""


def one(out: Path, engine=None, texts=AGAIN, labels=AGAIN_LABELS, **options):
    options = {"progress": False, "chunk_size": 3, **options}
    return collect(engine or PlainEngine(), TASK, texts, labels, out=out, **options)


def parts(folder: Path, count: int, engine=PlainEngine, **options) -> list[Path]:
    """Collect all shards; return their files."""
    paths = [folder / f"part-{index}.parquet" for index in range(1, count + 1)]
    for index, path in enumerate(paths, 1):
        one(path, engine(), shard=(index, count), **options)
    return paths


def naive_owners(prompts: list[str], ids: list[str], count: int, chunk_size: int) -> list[int]:
    """The shard of each row, from the definition: new prompts in chunks, chunks dealt in rounds."""
    order: list[int] = []
    chunk: dict[str, str] = {}
    owner: dict[str, int] = {}

    def close():
        nonlocal chunk, order
        if chunk:
            order = order or sorted(
                range(1, count + 1), key=lambda i: digest(str(i), digest(next(iter(chunk.values()))))
            )
            mine = order.pop()
            owner.update(dict.fromkeys(chunk, mine))
            chunk = {}

    waiting = 0
    for prompt, id_ in zip(prompts, ids, strict=True):
        if prompt not in owner and prompt not in chunk:
            waiting = waiting if chunk else 0
            chunk[prompt] = id_
        waiting += 1
        if len(chunk) == chunk_size or (chunk and waiting >= 16 * chunk_size):
            close()
            waiting = 0
    close()
    return [owner[prompt] for prompt in prompts]


@settings(max_examples=60)
@given(st.lists(st.integers(0, 25), min_size=1, max_size=120), st.integers(1, 7), st.integers(1, 5))
def test_every_row_is_dealt_to_one_shard_by_the_definition(texts, count, chunk_size):
    rows = [Prompted(TextRow(f"id {n}", str(text)), f"prompt {text}", False) for n, text in enumerate(texts)]
    expected = naive_owners([row.prompt for row in rows], [row.row.id for row in rows], count, chunk_size)
    found: dict[int, int] = {}
    asked: Counter[str] = Counter()
    for index in range(1, count + 1):
        for dealt in deal(rows, Shard(index, count), Missing(chunk_size, 0.0), b"", chunk_size):
            found |= {number: index for number, _, _ in dealt.own}
            asked.update(dealt.asked.values())
    assert [found[number] for number in range(len(rows))] == expected
    assert asked == Counter({row.prompt for row in rows})


def test_every_shard_gets_one_of_n_chunks_and_the_ids_decide_which():
    dealers = [Dealer(5) for _ in range(2)]
    rounds = [[dealers[0].next(f"row {5 * number + place}") for place in range(5)] for number in range(40)]
    assert all(sorted(one) == [1, 2, 3, 4, 5] for one in rounds)
    assert len(set(map(tuple, rounds))) > 20
    assert [dealers[1].next("row 0") for _ in range(5)] == rounds[0]


@pytest.mark.parametrize("singly", [False, True])
@pytest.mark.parametrize(("count", "chunk_size"), [(1, 3), (4, 3), (4, 7), (3, 200), (40, 2)])
def test_merged_shards_are_one_run_byte_by_byte(tmp_path, count, chunk_size, singly):
    engines = []

    def engine():
        engines.append(PlainEngine(singly=singly))
        return engines[-1]

    paths = parts(tmp_path, count, engine, chunk_size=chunk_size)
    done = merge(reversed(paths), tmp_path / "merged.parquet")
    whole = PlainEngine(singly=singly)
    one(tmp_path / "whole.parquet", whole, chunk_size=chunk_size)
    assert done.path.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert done.metadata == done.read().metadata and done.n_rows == len(AGAIN)
    asked = Counter(prompt for engine in engines for prompt in engine.asked)
    assert asked == Counter(whole.asked)  # a run beside the shards asks for itself


def test_merged_streams_are_one_stream(tmp_path):
    rows = list(zip(map(str, range(100, 200)), AGAIN * 2, AGAIN_LABELS * 2, strict=False))
    paths = [tmp_path / f"{index}.parquet" for index in (1, 2, 3)]
    done = [
        collect_stream(PlainEngine(), TASK, iter(rows), out=path, shard=f"{index}/3", chunk_size=4,
                       progress=False)
        for index, path in enumerate(paths, 1)
    ]  # fmt: skip
    assert sum(part.n_rows for part in done) == 100
    merged = merge(paths, tmp_path / "merged.parquet")
    whole = collect_stream(
        PlainEngine(), TASK, rows, out=tmp_path / "w.parquet", chunk_size=4, progress=False
    )
    assert merged.path.read_bytes() == whole.path.read_bytes()


def test_unlabelled_and_shortened_texts_merge_alike(tmp_path):
    class Letters(PlainEngine):
        context_length = 60

        def encode(self, texts):
            return [list(map(ord, text)) for text in texts]

    task = Task("mood", labels=["bad", "fine"])
    texts = [f"{number} {'long ' * (number % 5 * 4)}end" for number in range(40)] + ["long " * 30] * 2
    made = {"engine": Letters(), "task": task, "texts": texts, "chunk_size": 3, "progress": False}
    with refused(ContextLengthError, row=int):
        collect(**made, out=tmp_path / "no.parquet", shard=(1, 4))
    for index in (1, 2, 3, 4):
        collect(**made, out=tmp_path / f"{index}.parquet", shard=(index, 4), too_long="truncate")
    merged = merge([tmp_path / f"{index}.parquet" for index in (1, 2, 3, 4)], tmp_path / "m.parquet")
    collect(**made, out=tmp_path / "w.parquet", too_long="truncate")
    assert merged.path.read_bytes() == (tmp_path / "w.parquet").read_bytes()
    assert merged.metadata["truncated"]["rows"] > 5


def test_a_real_model_gives_the_same_bytes(tmp_path, demo_engine):
    rows = {"engine": demo_engine, "task": TASK, "texts": TEXTS, "progress": False, "chunk_size": 8}
    for index in (1, 2, 3):
        collect(**rows, out=tmp_path / f"{index}.parquet", shard=(index, 3))
    merged = merge([tmp_path / f"{index}.parquet" for index in (1, 2, 3)], tmp_path / "m.parquet")
    collect(**rows, out=tmp_path / "w.parquet")
    assert merged.path.read_bytes() == (tmp_path / "w.parquet").read_bytes()


@pytest.mark.parametrize("singly", [pytest.param(False, marks=pytest.mark.slow), True])
def test_four_shards_killed_at_random_moments_and_resumed_are_one_run(tmp_path, singly):
    rng, paths = random.Random(singly), [tmp_path / f"part-{index}.parquet" for index in (1, 2, 3, 4)]
    logs = [tmp_path / f"log-{index}" for index in (1, 2, 3, 4)]
    for _ in range(2):
        processes = []
        for index, (path, log) in enumerate(zip(paths, logs, strict=True), 1):
            code = START.format(log=str(log), out=str(path), shard=(index, 4), singly=singly)
            before = len(read_log(log))
            processes.append((subprocess.Popen([sys.executable, "-c", code], env=ENVIRONMENT), log, before))
        for process, log, before in processes:
            deadline = time.monotonic() + 120
            while process.poll() is None and len(read_log(log)) == before and time.monotonic() < deadline:
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
            process.communicate()
    for index, (path, log) in enumerate(zip(paths, logs, strict=True), 1):
        one(path, PlainEngine(log, singly=singly), TEXTS, LABELS, shard=(index, 4))
    merged = merge(paths, tmp_path / "merged.parquet")
    one(tmp_path / "whole.parquet", PlainEngine(singly=singly), TEXTS, LABELS)
    assert merged.path.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    asked = sum(map(times_asked, logs), Counter())
    assert len(asked) == len(TEXTS)
    assert sum(asked.values()) <= len(TEXTS) + 8 * (1 if singly else 3)  # what was under way at a kill


def test_a_shard_is_read_back_and_no_other_is_taken_for_it(tmp_path):
    path = tmp_path / "part.parquet"
    first = one(path, shard=(2, 3))
    silent = PlainEngine()
    assert one(path, silent, shard="2/3").equals(first)
    assert silent.asked == [] and 0 < len(first) < len(AGAIN)
    for options, different in (
        ({"shard": (1, 3)}, ["shard"]),
        ({"shard": (2, 4)}, ["shard"]),
        ({"shard": (2, 3), "engine": PlainEngine(name="other")}, ["engine.model"]),
        ({"shard": (2, 3), "texts": [*AGAIN[:-1], "else"]}, ["data.texts"]),
    ):
        with refused(ResumeError, file=str(path), received=different):
            one(path, **options)
    with refused(TableError, file=str(path)):
        one(path)
    with refused(TableError, file=str(path), fix=str):
        ProbabilityTable.read(path)
    one(tmp_path / "whole.parquet")
    with refused(TableError, file=str(tmp_path / "whole.parquet")):
        one(tmp_path / "whole.parquet", shard=(2, 3))


def test_an_unfinished_shard_is_resumed_by_that_shard_only(tmp_path):
    path = tmp_path / "part.parquet"
    with pytest.raises(KeyboardInterrupt) as caught:
        one(path, PlainEngine(fail_after=10, error=KeyboardInterrupt()), shard=(2, 3))
    assert caught.value.kept.n_answers == 9
    for shard in (None, (1, 3)):
        with refused(ResumeError, file=f"{path}.run", received=["shard"]):
            one(path, shard=shard)
    rest = PlainEngine()
    one(path, rest, shard=(2, 3))
    whole = PlainEngine()
    one(tmp_path / "again.parquet", whole, shard=(2, 3))
    assert whole.asked[9:] == rest.asked


def test_a_shard_may_have_no_row(tmp_path):
    paths = parts(tmp_path, 3, texts=TEXTS[:2], labels=LABELS[:2])
    sizes = [
        len(one(path, texts=TEXTS[:2], labels=LABELS[:2], shard=(i, 3))) for i, path in enumerate(paths, 1)
    ]
    assert sorted(sizes) == [0, 0, 2]
    assert merge(paths, tmp_path / "m.parquet").n_rows == 2


@pytest.mark.parametrize(
    "shard", ["0/4", "5/4", "1", "a/b", "1/0", (1, 2, 3), (True, 2), 3, "1/1000000", (1.0, 2)]
)
def test_what_is_no_shard_is_refused(tmp_path, shard):
    with refused(ParameterError, parameter="shard", allowed=str, fix=str):
        one(tmp_path / "part.parquet", shard=shard)
    assert list(tmp_path.iterdir()) == []


def test_a_shard_needs_a_file_and_reuses_nothing(tmp_path):
    with refused(ParameterError, parameter="out"):
        collect(PlainEngine(), TASK, TEXTS, shard=(1, 2), progress=False)
    with refused(ParameterError, parameter="reuse", fix=str):
        one(tmp_path / "part.parquet", shard=(1, 2), reuse=tmp_path)


def test_answers_of_named_shards_are_reused_and_those_of_others_are_not(tmp_path):
    paths = parts(tmp_path, 2)
    for reuse, n_asked in (((), 61), (paths[:1], 61 - n_answers(paths[0]))):
        engine = PlainEngine()
        one(tmp_path / f"whole-{n_asked}.parquet", engine, reuse=reuse)
        assert len(engine.asked) == n_asked
        shutil.rmtree(tmp_path / f"whole-{n_asked}.parquet.run")


def n_answers(path: Path) -> int:
    from debias.inference.collection.answer_store import AnswerStore
    from debias.inference.collection.run_folder import RunFolder

    with AnswerStore(RunFolder.beside(path).store, read_only=True) as store:
        return len(store)


def rewritten(path: Path, change) -> Path:
    """Write a shard again, after a change to its rows."""
    header, other = read_shard_header(path), path.with_name(f"changed-{path.name}")
    rows = change(list(read_shard_rows(path, header)))
    with ShardWriter(other) as writer:
        writer.write([row.number for row in rows], answered_rows(rows, "{}"))
        writer.finish(header)
    return other


def test_what_cannot_be_merged_is_named(tmp_path):
    paths, out = parts(tmp_path, 4), tmp_path / "merged.parquet"
    with refused(TableError, parameter="shards", received=[2, 4], mentions=("2/4", "4/4")):
        merge([paths[0], paths[2]], out)
    with refused(TableError, file=str(paths[1]), received=2, mentions=str(paths[1])):
        merge([*paths, paths[1]], out)
    other = tmp_path / "of-3"
    other.mkdir()
    with refused(TableError, file=str(other / "part-1.parquet"), received=3):
        merge([*paths[:3], *parts(other, 3)[:1]], out)
    for number, (options, different) in enumerate(
        (
            ({"engine": PlainEngine(name="other")}, ["decides.engine.model", "metadata.model"]),
            ({"chunk_size": 4}, ["plan.chunk_size"]),
            ({"low_mass": 0.25}, ["low_mass"]),
            ({"seed": 7}, ["metadata.seed"]),
            ({"metadata": {"split": "test"}}, ["metadata.split"]),
            ({"labels": [*AGAIN_LABELS[:-1], "bad"]}, ["data.labels"]),
            ({"texts": AGAIN[:-1], "labels": AGAIN_LABELS[:-1]}, list),
        )
    ):
        odd = tmp_path / f"odd-{number}.parquet"
        one(odd, **{"shard": (3, 4), **options})
        with refused(TableError, file=str(odd), received=different, mentions=str(paths[0])):
            merge([paths[0], paths[1], odd, paths[3]], out)
    with refused(ParameterError, parameter="shards"):
        merge([], out)
    with refused(ParameterError, parameter="out"):
        merge(paths, paths[0])
    with refused(ParameterError, parameter="out"):
        merge(paths, tmp_path / "merged.csv")
    with refused(TableError, file=str(tmp_path / "none.parquet")):
        merge([*paths[:3], tmp_path / "none.parquet"], out)
    assert not out.exists()


def test_a_row_that_is_missing_there_twice_or_changed_is_named(tmp_path):
    paths, out = parts(tmp_path, 3), tmp_path / "merged.parquet"
    numbers = [row.number for row in read_shard_rows(paths[1], read_shard_header(paths[1]))]
    other = next(read_shard_rows(paths[0], read_shard_header(paths[0])))
    for change, row in (
        (lambda rows: rows[1:], numbers[0]),
        (lambda rows: rows[:-1], numbers[-1]),
        (lambda rows: sorted([*rows, other], key=lambda one: one.number), other.number),
        (lambda rows: [*rows[:2], rows[1], *rows[2:]], numbers[1]),
    ):
        with refused(TableError, row=row, fix=str):
            merge([paths[0], rewritten(paths[1], change), paths[2]], out)

    def another_text(rows):
        first = rows[0]
        text = first.prompted.row._replace(text="else")
        return [first._replace(prompted=first.prompted._replace(row=text)), *rows[1:]]

    with refused(TableError, received=["texts"]):
        merge([paths[0], rewritten(paths[1], another_text), paths[2]], out)
    assert not out.exists()


def test_a_damaged_shard_is_refused_and_never_merged_as_if_it_were_good(tmp_path):
    paths, out = parts(tmp_path, 2, texts=TEXTS[:20], labels=LABELS[:20]), tmp_path / "merged.parquet"
    expected = merge(paths, out).path.read_bytes()
    content = paths[0].read_bytes()
    for place in range(0, len(content), 17):
        paths[0].write_bytes(
            content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]
        )
        out.unlink(missing_ok=True)
        try:
            merge(paths, out)
        except TableError:
            assert not out.exists()
        else:
            assert out.read_bytes() == expected, place
    paths[0].write_bytes(content[: len(content) // 2])
    with refused(TableError, file=str(paths[0])):
        merge(paths, out)


def test_versions_that_differ_are_all_recorded(tmp_path):
    class Newer(PlainEngine):
        def versions(self):
            return {"plain": "2"}

    class Older(PlainEngine):
        def versions(self):
            return {"plain": "1"}

    one(tmp_path / "1.parquet", Newer(), shard=(1, 2))
    one(tmp_path / "2.parquet", Older(), shard=(2, 2))
    done = merge([tmp_path / "1.parquet", tmp_path / "2.parquet"], tmp_path / "m.parquet")
    assert done.metadata["versions"]["plain"] == "1, 2"


def test_slow_machines_and_quick_ones_cut_other_chunks_and_are_not_mixed(tmp_path):
    class Slow(PlainEngine):
        def operations_per_token(self):
            return 1e11

    one(tmp_path / "1.parquet", Slow(), shard=(1, 2), chunk_size=9)
    one(tmp_path / "2.parquet", shard=(2, 2), chunk_size=9)
    with refused(TableError, received=["plan.operations_per_token"]):
        merge([tmp_path / "1.parquet", tmp_path / "2.parquet"], tmp_path / "m.parquet")
    one(tmp_path / "3.parquet", Slow(), shard=(2, 2), chunk_size=9)
    done = merge([tmp_path / "1.parquet", tmp_path / "3.parquet"], tmp_path / "m.parquet")
    one(tmp_path / "w.parquet", Slow(), chunk_size=9)
    assert done.path.read_bytes() == (tmp_path / "w.parquet").read_bytes()
