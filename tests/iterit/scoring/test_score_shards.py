"""Shards of scores: merged, they are the file of one run; what is missing, twice or different is refused."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from debias.errors import ParameterError, TableError
from iterit import merge_scores
from iterit.records.instruction_records import Records
from iterit.scoring.complexity import score_complexity
from iterit.scoring.score_files import read_scores, write_scores
from iterit.scoring.score_shards import score_shard, write_shard
from tests.support.paths import ROOT
from tests.support.refusals import refused
from tests.support.small_runs import rows
from tests.support.small_templates import STRICT, chat_tokenizer
from tests.support.tiny_models import tiny_engine

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
ROWS = [*rows(), *rows()[:5], {"question": "Where is the Nile?", "answer": "not good, very bad" * 9}]
RECORDS = Records.from_rows(ROWS)
START = """
import sys, time
from pathlib import Path
from iterit.scoring import score_run, score_shards
from tests.iterit.scoring.test_score_shards import RECORDS, small_engine
score_items = score_run.score_items
def slowly(*arguments):
    found = score_items(*arguments)
    time.sleep(0.02)
    Path({log!r}).open("a").write("x")
    return found
score_run.score_items = slowly
part = score_shards.score_shard(RECORDS, small_engine(), {shard!r}, cache={cache!r}, show_progress=False)
score_shards.write_shard(Path({out!r}), part, RECORDS)
"""


def small_engine(tokenizer=None):
    """An engine that is asked about few tokens at once, so that there are many chunks."""
    engine = tiny_engine("qwen2", tokenizer or chat_tokenizer(None))
    engine.max_batch_tokens = 8
    return engine


def parts(folder: Path, count: int, engine, records=RECORDS, **options) -> list[Path]:
    """Score all shards; return their files."""
    paths = [folder / f"part-{index}.parquet" for index in range(1, count + 1)]
    for index, path in enumerate(paths, 1):
        part = score_shard(records, engine, (index, count), show_progress=False, **options)
        write_shard(path, part, records)
    return paths


def whole(path: Path, engine, records=RECORDS) -> bytes:
    write_scores(path, score_complexity(records, engine, show_progress=False), records)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
@pytest.mark.parametrize("count", [1, 3, 60])
def test_merged_shards_are_one_run_byte_by_byte(tmp_path, count, suffix):
    engine = small_engine()
    paths = parts(tmp_path, count, engine)
    scores = merge_scores(reversed(paths), tmp_path / f"merged{suffix}")
    assert (tmp_path / f"merged{suffix}").read_bytes() == whole(tmp_path / f"whole{suffix}", engine)
    assert scores["row"].tolist() == list(range(len(RECORDS)))
    sizes = [len(pd.read_parquet(path)) for path in paths]
    assert sum(sizes) == len(RECORDS) and (count > 3 or min(sizes) > 0)
    assert read_scores(tmp_path / f"merged{suffix}", RECORDS)["ifd"].notna().all()


def test_equal_records_are_in_one_shard(tmp_path):
    paths = parts(tmp_path, 4, small_engine())
    homes = [set(pd.read_parquet(path)["digest"]) for path in paths]
    assert sum(map(len, homes)) == len(set(RECORDS.digests)) < len(RECORDS)


def test_records_that_the_template_refuses_are_told_once(tmp_path):
    system = {"role": "system", "content": "Be good."}
    odd = [
        {
            "messages": [
                system,
                {"role": "user", "content": f"Who {n}?"},
                {"role": "assistant", "content": "I"},
            ]
        }
        for n in range(9)
    ]
    records, engine = Records.from_rows([*ROWS, *odd]), small_engine(chat_tokenizer(STRICT))
    merged = merge_scores(parts(tmp_path, 3, engine, records), tmp_path / "merged.parquet")
    assert (merged["status"] == "refused").sum() == len(odd)
    assert (tmp_path / "merged.parquet").read_bytes() == whole(tmp_path / "whole.parquet", engine, records)


def test_a_shard_resumes_from_its_cache(tmp_path, monkeypatch):
    from iterit.scoring import score_run

    engine, asked, score_items = small_engine(), [], score_run.score_items

    def counted(*arguments):
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append(arguments[-1])
        return score_items(*arguments)

    monkeypatch.setattr(score_run, "score_items", counted)
    with pytest.raises(KeyboardInterrupt):
        parts(tmp_path, 3, engine, cache=tmp_path / "cache")
    monkeypatch.undo()
    paths = parts(tmp_path, 3, engine, cache=tmp_path / "cache")
    merge_scores(paths, tmp_path / "merged.parquet")
    assert (tmp_path / "merged.parquet").read_bytes() == whole(tmp_path / "whole.parquet", engine)


@pytest.mark.slow
def test_four_shards_killed_at_random_moments_and_resumed_are_one_run(tmp_path):
    rng, paths = random.Random(0), [tmp_path / f"part-{index}.parquet" for index in (1, 2, 3, 4)]
    for attempt in range(3):
        for index, path in enumerate(paths, 1):
            log = tmp_path / f"log-{index}"
            code = START.format(
                shard=(index, 4), cache=str(tmp_path / f"cache-{index}"), out=str(path), log=str(log)
            )
            process = subprocess.Popen([sys.executable, "-c", code], env=ENVIRONMENT)
            if attempt == 2:
                assert process.wait(timeout=300) == 0
                continue
            before = log.stat().st_size if log.exists() else 0
            deadline = time.monotonic() + 120
            while process.poll() is None and time.monotonic() < deadline:
                if log.exists() and log.stat().st_size > before:
                    break
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
            process.communicate()
    merge_scores(paths, tmp_path / "merged.parquet")
    assert (tmp_path / "merged.parquet").read_bytes() == whole(tmp_path / "whole.parquet", small_engine())


def test_what_cannot_be_merged_is_named(tmp_path):
    engine, out = small_engine(), tmp_path / "merged.parquet"
    paths = parts(tmp_path, 3, engine)
    with refused(TableError, parameter="shards", received=[2]):
        merge_scores([paths[0], paths[2]], out)
    with refused(TableError, file=str(paths[1]), received=2):
        merge_scores([*paths, paths[1]], out)
    other = small_engine()
    other.max_batch_tokens = 16
    fewer = Records.from_rows(ROWS[:-1])
    for engine_, records, options, different in (
        (other, RECORDS, {}, ["tokens_at_once"]),
        (engine, RECORDS, {"max_tokens": 20}, ["max_tokens"]),
        (engine, fewer, {}, ["records.digests", "records.rows"]),
    ):
        odd = tmp_path / "odd.parquet"
        write_shard(odd, score_shard(records, engine_, "2/3", show_progress=False, **options), records)
        with refused(TableError, file=str(odd), received=different):
            merge_scores([paths[0], odd, paths[2]], out)
    with refused(ParameterError, parameter="shards"):
        merge_scores([], out)
    for target in (paths[0], tmp_path / "merged.txt"):
        with refused(ParameterError, parameter="out"):
            merge_scores(paths, target)
    whole(tmp_path / "whole.parquet", engine)
    for path in (tmp_path / "whole.parquet", tmp_path / "none.parquet"):
        with refused(TableError, file=str(path)):
            merge_scores([*paths[:2], path], out)
    assert not out.exists()


def test_a_row_that_is_missing_or_there_twice_is_named(tmp_path):
    engine, out = small_engine(), tmp_path / "merged.parquet"
    paths = parts(tmp_path, 2, engine)
    part = score_shard(RECORDS, engine, (2, 2), show_progress=False)
    others = score_shard(RECORDS, engine, (1, 2), show_progress=False).scores
    for scores, row in (
        (part.scores.iloc[1:], part.scores.index[0]),
        (pd.concat([part.scores, others.iloc[:1]]), others.index[0]),
    ):
        write_shard(tmp_path / "odd.parquet", part._replace(scores=scores), RECORDS)
        with refused(TableError, row=int(row), fix=str):
            merge_scores([paths[0], tmp_path / "odd.parquet"], out)
    assert not out.exists()


def test_a_damaged_shard_is_refused_and_never_merged_as_if_it_were_good(tmp_path):
    paths, out = parts(tmp_path, 2, small_engine()), tmp_path / "merged.jsonl"
    merge_scores(paths, out)
    expected, content = out.read_bytes(), paths[0].read_bytes()
    for place in range(0, len(content), 41):
        paths[0].write_bytes(
            content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]
        )
        out.unlink(missing_ok=True)
        try:
            merge_scores(paths, out)
        except TableError:
            assert not out.exists()
        else:
            assert out.read_bytes() == expected, place
