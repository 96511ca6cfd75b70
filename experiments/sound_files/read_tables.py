"""Tables of class probabilities in every format but our own."""

import json
import tempfile
from pathlib import Path

import pandas as pd

from debias.tables.table import ProbabilityTable
from sound_files.kinds import CLASSES, ROOT, Kind, make_table, simple


def tables() -> list[Kind]:
    """Describe tables of class probabilities, but for our own Parquet."""
    table = make_table()
    frame = pd.DataFrame(table.probabilities.to_numpy(), columns=CLASSES)
    frame["label"], frame["text"] = table.labels.to_numpy(), table.texts.to_numpy()
    lines = [json.dumps(row, ensure_ascii=False) for row in frame.to_dict("records")]
    decimal = frame.drop(columns="text").to_csv(index=False, sep=";", decimal=",")
    published = "\n".join(
        f"{i} {i % 4} {int(row.argmax())} " + " ".join(f"{p:.6f}" for p in row)
        for i, row in enumerate(table.probabilities.to_numpy())
    )
    samples = sorted((ROOT / "tests" / "data").glob("samples_*.jsonl"))
    read = ProbabilityTable.read
    with tempfile.TemporaryDirectory() as folder:
        frame.to_parquet(Path(folder) / "x.parquet")
        plain = (Path(folder) / "x.parquet").read_bytes()
    return [
        simple("table: pandas Parquet", "t.parquet", plain, read),
        simple("table: CSV", "t.csv", frame.to_csv(index=False).encode(), read),
        simple("table: TSV", "t.tsv", frame.to_csv(index=False, sep="\t").encode(), read),
        simple("table: CSV, decimal comma", "t.csv", decimal.encode(), read),
        simple("table: CSV, UTF-16", "t.csv", frame.to_csv(index=False).encode("utf-16"), read),
        simple("table: JSON", "t.json", f"[{','.join(lines)}]".encode(), read),
        simple("table: JSON Lines", "t.jsonl", "\n".join(lines).encode(), read),
        simple("table: published text", "t.txt", published.encode(), read),
        *(
            simple(f"table: harness {path.name[8:18]}", path.name, path.read_bytes(), read)
            for path in samples
        ),
    ]
