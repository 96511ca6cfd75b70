"""Instruction records, labelled texts, tasks and scores."""

import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from debias.inference.texts.sources import load_split
from debias.inference.texts.tasks import Task, load_task
from iterit.records.instruction_records import read_records
from iterit.scoring.score_files import read_scores
from sound_files.kinds import CLASSES, ROOT, Kind, simple


def some_records() -> list[dict[str, Any]]:
    """Make records of two formats."""
    words = ["Who", "wrote", "the", "book", "Nile", "数据", "ครับ", "größer"]
    random = np.random.default_rng(1)

    def text(n: int) -> str:
        return " ".join(random.choice(words, size=n))

    alpaca = [{"instruction": text(5), "input": "", "output": text(8)} for _ in range(30)]
    turns = [
        {"messages": [{"role": "user", "content": text(4)}, {"role": "assistant", "content": text(6)}]}
        for _ in range(10)
    ]
    return [*alpaca, *turns]


def records() -> list[Kind]:
    """Describe files of instruction records."""
    import pyarrow as pa

    rows = some_records()
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    frame = pd.DataFrame(rows[:30])
    with tempfile.TemporaryDirectory() as folder:
        frame.to_parquet(Path(folder) / "x.parquet")
        parquet = (Path(folder) / "x.parquet").read_bytes()
        frame.to_feather(Path(folder) / "x.feather")
        feather = (Path(folder) / "x.feather").read_bytes()

    def read(path: Path) -> list[str]:
        found = read_records(path)
        return [*found.responses, str(found.refused_counts)]

    zstd = pa.Codec("zstd").compress(lines, asbytes=True)
    return [
        simple("records: JSON Lines", "r.jsonl", lines, read),
        simple("records: JSON Lines, gzip", "r.jsonl.gz", gzip.compress(lines, mtime=0), read),
        simple("records: JSON Lines, zstd", "r.jsonl.zst", zstd, read),
        simple("records: JSON list", "r.json", json.dumps(rows).encode(), read),
        simple("records: JSON by column", "r.json", frame.to_json().encode(), read),
        simple("records: CSV", "r.csv", frame.to_csv(index=False).encode(), read),
        simple("records: Parquet", "r.parquet", parquet, read),
        simple("records: Feather", "r.feather", feather, read),
    ]


def texts() -> list[Kind]:
    """Describe files of labelled texts, tasks, and scores."""
    frame = pd.DataFrame(
        {"text": [f"text {i}" for i in range(40)], "label": [CLASSES[i % 4] for i in range(40)]}
    )
    lines = "\n".join(json.dumps(row) for row in frame.to_dict("records"))
    task = Task("news", CLASSES)
    written = some_records()
    chosen = read_records_of(written)
    scores = pd.DataFrame({"ifd": np.linspace(0.1, 0.9, 40), "status": "ok", "digest": chosen.digests})

    def split(path: Path) -> Any:
        found = load_split(task, "opt", data=path)
        return [*found.texts, *(found.labels or [])]

    shipped = (ROOT / "data" / "tasks" / "agnews.toml").read_bytes()
    csv, jsonl = scores.to_csv(index=False), scores.to_json(orient="records", lines=True)
    return [
        simple("texts: CSV", "t.csv", frame.to_csv(index=False).encode(), split),
        simple("texts: JSON Lines", "t.jsonl", lines.encode(), split),
        simple("task: TOML", "mine.toml", shipped, lambda path: vars(load_task(path))),
        simple("scores: CSV", "s.csv", csv.encode(), lambda path: read_scores(path, chosen)),
        simple("scores: JSON Lines", "s.jsonl", jsonl.encode(), lambda path: read_scores(path, chosen)),
    ]


def read_records_of(rows: list[dict[str, Any]]) -> Any:
    """Return records of rows in memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        return read_records(path)
