"""Reads small inputs of kinds that are easily misread, and counts: read rightly, refused in our words, wrong.

    python experiments/reading.py [FOLDER_WITH_CASES]

Each kind has at least three instances that this script makes, and the cases of FOLDER_WITH_CASES if it is
given. What is right stands beside each instance, written by hand. A foreign exception, other content or a
prediction for the wrong class is wrong. Writes experiments/results/reading.csv and .md; ends with an error
if anything is wrong.
"""

import argparse
import datetime
import decimal
import gzip
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from common import RESULTS, machine, markdown

from debias.errors import DebiasError, RecordsError
from debias.estimators.debiasers import WeightDebiaser
from debias.inference.texts.sources import load_split
from debias.inference.texts.tasks import Task, load_task
from debias.tables.table import ProbabilityTable
from iterit.ngrams.ngram_counts import count_ngrams
from iterit.records.instruction_records import Records, read_records
from iterit.scoring.score_files import read_scores, write_scores

NAMES = ["World", "Sports", "Business"]
REFUSED = object()
"""Expected of an input that can be read in two ways: only a refusal is right."""


class Instance(NamedTuple):
    """An input of some kind: what reads it, and what is right."""

    kind: str
    name: str
    read: Callable[[Path], Any]
    right: Any


def outcome_of(instance: Instance, folder: Path) -> tuple[str, str]:
    """Read an instance; return the outcome, and what was found or said."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = instance.read(folder)
    except DebiasError as error:
        return "refused", str(error)
    except Exception as error:  # wrong, whatever it is
        return "wrong", f"{type(error).__name__}: {error}"
    return ("right" if found == instance.right else "wrong"), repr(found)


def probabilities(indices: list[int], n_classes: int) -> np.ndarray:
    """Make rows whose largest probability is that of the class that each belongs to."""
    values = np.full((len(indices), n_classes), 0.4 / (n_classes - 1))
    values[np.arange(len(indices)), indices] = 0.6
    return values


def predictions(X: Any, y: Any, **settings: Any) -> list[Any]:
    """Fit on rows that are classified correctly already; the labels come back where none is misread."""
    return [str(one) for one in WeightDebiaser(n_starts=1, **settings).fit(X, y).predict(X)]


def arrays() -> Iterator[Instance]:
    """Labels beside arrays and frames in memory."""
    kind = "labels of an array"
    for name, labels in {
        "0 to K-1": [0, 1, 2, 3],
        "1 to K": [1, 2, 3, 4],
        "hundreds": [100, 200, 300, 400],
        "strings": ["a", "b", "c", "d"],
        "digits as strings": ["1", "2", "3", "4"],
        "whole floats": [0.0, 1.0, 2.0, 3.0],
    }.items():
        y = labels * 6
        X = probabilities([0, 1, 2, 3] * 6, 4)
        right = [str(one).removesuffix(".0") for one in y]
        yield Instance(kind, name, lambda _, X=X, y=y: predictions(X, np.asarray(y)), right)
        yield Instance(kind, f"{name}, list", lambda _, X=X, y=y: predictions(X, y), right)
    kind = "labels of an array, a class absent"
    for name, labels, columns, right in [
        ("1 to 3 of 4", [1, 2, 3], [0, 1, 2], REFUSED),
        ("2 to 4 of 4", [2, 3, 4], [1, 2, 3], REFUSED),
        ("strings, 3 of 4", ["a", "b", "c"], [0, 1, 2], REFUSED),
        ("0 to 2 of 4", [0, 1, 2], [0, 1, 2], ["0", "1", "2"] * 6),
        ("0, 2, 3 of 4", [0, 2, 3], [0, 2, 3], ["0", "2", "3"] * 6),
    ]:
        X = probabilities(columns * 6, 4)
        yield Instance(kind, name, lambda _, X=X, y=labels * 6: predictions(X, np.asarray(y)), right)
    kind = "classes= names the columns"
    for name, classes in {
        "strings": ["b", "a", "d", "c"],
        "integers": [4, 3, 2, 1],
        "mixed digits": ["10", "9", "2", "1"],
    }.items():
        X = probabilities([0, 1, 2] * 6, 4)
        y = np.asarray(classes[:3] * 6)
        right = [str(one) for one in y.tolist()]
        yield Instance(kind, name, lambda _, X=X, y=y, c=classes: predictions(X, y, classes=c), right)
    kind = "missing labels"
    for name, gap in {"None": None, "NaN": float("nan"), "pd.NA": pd.NA, "NaT": pd.NaT}.items():
        y = pd.Series(["a", "b", "c", gap] * 5, dtype=object)
        X = probabilities([0, 1, 2, 0] * 5, 3)
        yield Instance(kind, name, lambda _, X=X, y=y: predictions(X, y), REFUSED)
    kind = "labels of a frame"
    for name, columns, labels in [
        ("names in another order", ["World", "Sports", "Business"], ["Business", "World", "Sports"]),
        ("integers as names", [3, 1, 2], [1, 2, 3]),
        ("digits as names", ["3", "1", "2"], ["1", "2", "3"]),
        ("categories", ["World", "Sports", "Business"], ["Business", "World", "Sports"]),
        ("booleans", [True, False], [False, True]),
    ]:
        where = [columns.index(one) for one in labels] * 5
        X = pd.DataFrame(probabilities(where, len(columns)), columns=columns)
        y = pd.Series(labels * 5)
        if name == "categories":
            y = y.astype("category")
        right = [str(one) for one in labels] * 5
        yield Instance(kind, name, lambda _, X=X, y=y: predictions(X, y), right)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def table_of(path: Path, **options: Any) -> list[Any]:
    """Read a table; return its rows as probabilities by class and class name."""
    table = ProbabilityTable.read(path, **options)
    indices = [] if table.labels is None else table.label_indices
    names = [str(one) for one in table.classes]
    rows = [[round(float(p), 3) for p in row] for row in table.probabilities.to_numpy()]
    return [names, rows, [names[k] for k in indices]]


TWO = [["World", "Sports"], [[0.71, 0.29], [0.18, 0.82]], ["World", "Sports"]]


def table_files(cases: Path | None) -> Iterator[Instance]:
    """Files of class probabilities."""
    kind = "table: spreadsheet CSV"
    for name, text in {
        "semicolon, decimal comma": "id;label;World;Sports\na;World;0,71;0,29\nb;Sports;0,18;0,82\n",
        "semicolon, decimal point": "label;World;Sports\nWorld;0.71;0.29\nSports;0.18;0.82\n",
        "sep=;": "sep=;\nlabel;World;Sports\nWorld;0,71;0,29\nSports;0,18;0,82\n",
        "sep=,": "sep=,\nlabel,World,Sports\nWorld,0.71,0.29\nSports,0.18,0.82\n",
        "tabs, decimal comma": "label\tWorld\tSports\nWorld\t0,71\t0,29\nSports\t0,18\t0,82\n",
        "quoted decimal comma": 'label,World,Sports\nWorld,"0,71","0,29"\nSports,"0,18","0,82"\n',
        "CRLF and a byte order mark": "\ufefflabel,World,Sports\r\nWorld,0.71,0.29\r\nSports,0.18,0.82\r\n",
    }.items():
        yield Instance(kind, name, lambda f, t=text: table_of(write(f, "t.csv", t)), TWO)
        yield Instance(
            kind, f"{name}, UTF-16", lambda f, t=text: table_of(write(f, "t.csv", t.encode("utf-16"))), TWO
        )
    kind = "table: plain pandas files"
    frame = pd.DataFrame({"label": ["World", "Sports"], "World": [0.71, 0.18], "Sports": [0.29, 0.82]})
    for name, file, save in [
        ("Parquet", "t.parquet", lambda p: frame.to_parquet(p)),
        ("Parquet without index", "t.parquet", lambda p: frame.to_parquet(p, index=False)),
        ("JSON records", "t.json", lambda p: frame.to_json(p, orient="records")),
        ("JSON Lines", "t.jsonl", lambda p: frame.to_json(p, orient="records", lines=True)),
        ("JSON columns", "t.json", lambda p: frame.to_json(p)),
        ("CSV with its index", "t.csv", lambda p: frame.to_csv(p)),
        ("CSV", "t.csv", lambda p: frame.to_csv(p, index=False)),
    ]:

        def read(folder: Path, file: str = file, save: Any = save) -> Any:
            save(folder / file)
            return table_of(folder / file)

        yield Instance(kind, name, read, TWO)
    kind = "table: labels of a file"
    head, rows = "label,World,Sports,Business\n", [".7,.2,.1", ".1,.8,.1", ".2,.2,.6", ".2,.7,.1"]
    for name, labels, right in [
        ("names", ["World", "Sports", "Business", "Sports"], ["World", "Sports", "Business", "Sports"]),
        ("positions", ["0", "1", "2", "1"], ["World", "Sports", "Business", "Sports"]),
        ("positions as floats", ["0.0", "1.0", "2.0", "1.0"], ["World", "Sports", "Business", "Sports"]),
        ("positions, 2 absent", ["0", "1", "0", "1"], ["World", "Sports", "World", "Sports"]),
        ("1 to K", ["1", "2", "3", "2"], REFUSED),
        ("1 to K, K absent", ["1", "2", "1", "2"], REFUSED),
        ("a name that is none", ["World", "Sports", "Bussiness", "Sports"], REFUSED),
        ("a name in other letters", ["world", "Sports", "Business", "Sports"], REFUSED),
    ]:
        text = head + "".join(f"{one},{row}\n" for one, row in zip(labels, rows, strict=True))
        read_labels = lambda f, t=text: table_of(write(f, "t.csv", t))[2]  # noqa: E731
        yield Instance(kind, name, read_labels, right)
    for name, columns, labels, right in [
        ("columns 1 to 3, labels 0 to 2", ["1", "2", "3"], ["0", "1", "2", "1"], ["1", "2", "3", "2"]),
        ("columns 1 to 3, labels 1 to 3", ["1", "2", "3"], ["1", "2", "3", "2"], ["1", "2", "3", "2"]),
        ("columns 1 to 3, labels 1 to 2", ["1", "2", "3"], ["1", "2", "1", "2"], REFUSED),
        ("columns 01 to 03, labels 1 to 3", ["01", "02", "03"], ["1", "2", "3", "2"], REFUSED),
        (
            "columns 1.0 to 3.0, labels 1 to 3",
            ["1.0", "2.0", "3.0"],
            ["1", "2", "3", "2"],
            ["1.0", "2.0", "3.0", "2.0"],
        ),
    ]:
        text = ",".join(["label", *columns]) + "\n"
        text += "".join(f"{one},{row}\n" for one, row in zip(labels, rows, strict=True))
        yield Instance(kind, name, lambda f, t=text: table_of(write(f, "t.csv", t))[2], right)
    kind = "table: columns that are no class"
    for name in ("confidence", "Label", "p_World", "score", "margin", "Unnamed: 0"):
        text = f"label,World,Sports,{name}\nWorld,.71,.29,.71\nSports,.18,.82,.82\nWorld,.6,.4,.6\n"
        three = [["World", "Sports"], [[0.71, 0.29], [0.18, 0.82], [0.6, 0.4]], ["World", "Sports", "World"]]
        for normalise in (False, True):
            yield Instance(
                kind,
                f"{name}, normalise={normalise}",
                lambda f, t=text, n=normalise: table_of(write(f, "t.csv", t), normalise=n),
                three,
            )
    kind = "table: a flipped bit"
    table = ProbabilityTable(np.full((20, 3), 1 / 3), [NAMES[i % 3] for i in range(20)], classes=NAMES)
    for bit in range(0, 8000, 401):

        def read_flipped(folder: Path, bit: int = bit) -> Any:
            table.write(folder / "t.parquet")
            content = bytearray((folder / "t.parquet").read_bytes())
            content[bit // 8 % len(content)] ^= 1 << bit % 8
            (folder / "t.parquet").write_bytes(content)
            return ProbabilityTable.read(folder / "t.parquet").equals(table)

        yield Instance(kind, f"bit {bit}", read_flipped, True)
    if cases is None:
        return
    of = cases / "debias"
    for name, right in {
        "excel_semicolon_decimal_comma.csv": TWO,
        "excel_sep_line.csv": TWO,
        "plain_records.jsonl": TWO,
        "labels_1based_last_class_absent.csv": REFUSED,
        "labels_float.csv": [NAMES, [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]], NAMES],
        "extra_confidence_column.csv": [
            ["World", "Sports"], [[0.71, 0.29], [0.18, 0.82], [0.6, 0.4], [0.3, 0.7]],
            ["World", "Sports", "World", "Sports"],
        ],
    }.items():  # fmt: skip
        yield Instance("case", name, lambda _, p=of / name: table_of(p), right)
    for name in ("table_deep_header", "table_label_duration", "table_no_classes"):
        path = cases / "faults" / f"{name}.parquet"
        yield Instance("case", path.name, lambda _, p=path: table_of(p), REFUSED)
    path = cases / "faults" / "samples_deep.jsonl"
    yield Instance("case", path.name, lambda _, p=path: table_of(p), REFUSED)


def harness_line(
    number: int, choices: list[str], target: Any, scores: list[str], context: str = "Text:"
) -> str:
    """Write a line of a file of samples of lm-evaluation-harness."""
    return json.dumps(
        {
            "doc_id": number,
            "doc": {"text": f"text {number}"},
            "target": target,
            "arguments": {
                f"gen_args_{k}": {"arg_0": "Text:" if k < len(choices) else "", "arg_1": choice}
                for k, choice in enumerate(choices if len(scores) == len(choices) else choices * 2)
            },
            "resps": [[[score, "False"]] for score in scores],
            "filtered_resps": [[score, "False"] for score in scores],
            "filter": "none",
            "metrics": ["acc"],
            "doc_hash": "x",
            "acc": 1.0,
        }
    )


def harness(cases: Path | None) -> Iterator[Instance]:
    """Make files of samples of lm-evaluation-harness."""
    kind, name = "table: harness samples", "samples_x_2025-01-15T10-00-00.000000.jsonl"
    high, low = ["-1.0", "-2.0"], ["-2.0", "-1.0"]
    p = round(float(1 / (1 + np.exp(-1))), 3)
    rows = [[p, round(1 - p, 3)], [round(1 - p, 3), p]]

    def instance(label: str, lines: list[str], right: Any) -> Instance:
        return Instance(kind, label, lambda f: table_of(write(f, name, "\n".join(lines)))[1:], right)

    yes = [" no", " yes"]
    for label, targets in {
        "positions": [0, 1],
        "positions as texts": ["0", "1"],
        "choices": ["no", "yes"],
        "booleans": [False, True],
        "booleans as texts": ["False", "True"],
        "floats": [0.0, 1.0],
    }.items():
        lines = [harness_line(0, yes, targets[0], high), harness_line(1, yes, targets[1], low)]
        yield instance(f"targets: {label}", lines, [rows, ["no", "yes"]])
    lines = [harness_line(0, yes, 0, [*high, "-9", "-9"]), harness_line(1, yes, 1, [*low, "-9", "-9"])]
    yield instance("acc_mutual_info", lines, [rows, ["no", "yes"]])
    lines = [harness_line(0, [" A", " B"], "0", ["-1.0", "-inf"]), harness_line(1, [" A", " B"], "1", low)]
    yield instance("one -inf", lines, [[[1.0, 0.0], rows[1]], ["A", "B"]])
    lines = [harness_line(0, [" a", " b"], "a", high), harness_line(1, [" b", " a"], "a", low)]
    yield instance("choices in changing order", lines, [[rows[0], rows[0]], ["a", "a"]])
    if cases is not None:
        for path in sorted((cases / "debias").glob("samples_*")):
            yield Instance("case", path.name[:32], lambda _, p=path: harness_right(p), True)


def harness_right(path: Path) -> bool:
    """Say whether each choice of each sample has the probability that its scores give it."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    table = ProbabilityTable.read(path)
    rows = table.probabilities.to_numpy()
    names = [str(one) for one in table.classes]
    for line, row in zip(lines, rows, strict=True):
        choices = [line["arguments"][f"gen_args_{k}"]["arg_1"].strip() for k in range(len(line["resps"]))]
        scores = np.exp([float(one[0][0]) for one in line["resps"]])
        for choice, score in zip(choices, scores, strict=True):
            if choice in names and not np.isclose(row[names.index(choice)], score / scores.sum()):
                return False
    return True


def text_files(cases: Path | None) -> Iterator[Instance]:
    """Files of texts with labels, and task files."""
    kind = "texts: labels of a file"
    for name, task_labels, labels, right in [
        ("labels 1 to 5, file 0 to 4", ["1", "2", "3", "4", "5"], [0, 1, 2, 3, 4], ["1", "2", "3", "4", "5"]),
        ("labels 1 to 5, file 1 to 5", ["1", "2", "3", "4", "5"], [1, 2, 3, 4, 5], ["1", "2", "3", "4", "5"]),
        ("labels 1 to 3, file 1 to 2", ["1", "2", "3"], [1, 2, 1], REFUSED),
        ("labels 0 to 2, file 0 to 2", ["0", "1", "2"], [0, 1, 2], ["0", "1", "2"]),
        ("labels 2, 1, 0, file 0 to 2", ["2", "1", "0"], [0, 1, 2], REFUSED),
        ("names, file 0 to 2", NAMES, [0, 1, 2], NAMES),
        ("names, file 1 to 3", NAMES, [1, 2, 3], REFUSED),
        ("names, zeros before", NAMES, ["00", "01", "02"], REFUSED),
    ]:
        frame = pd.DataFrame({"text": [f"text {i}" for i in range(len(labels))], "label": labels})
        task = Task("mine", task_labels)
        for suffix in ("csv", "jsonl", "parquet"):

            def read(folder: Path, frame: Any = frame, task: Any = task, suffix: str = suffix) -> Any:
                path = folder / f"t.{suffix}"
                if suffix == "csv":
                    frame.to_csv(path, index=False)
                elif suffix == "jsonl":
                    frame.to_json(path, orient="records", lines=True)
                else:
                    frame.to_parquet(path)
                return load_split(task, "opt", data=path).labels

            yield Instance(kind, f"{name}, {suffix}", read, right)
    kind, twins = "texts: one text with two labels", [("a", "World"), ("a", "Sports"), ("b", "World")]
    for suffix, text in {
        "csv": "text,label\nsame,World\nsame,Sports\nother,World\n",
        "jsonl": "".join(json.dumps({"text": t, "label": k}) + "\n" for t, k in twins),
        "tsv": "text\tlabel\nsame\tWorld\nsame\tSports\nother\tWorld\n",
    }.items():
        yield Instance(kind, suffix, lambda f, s=suffix, t=text: said_of_twins(write(f, f"t.{s}", t)), True)
    kind = "texts: objects in place of a text"
    for name, value in {"object": {"en": "a"}, "messages": [{"role": "user"}], "lists": [["a"]]}.items():
        line = json.dumps({"text": value, "label": "World"})
        yield Instance(
            kind,
            name,
            lambda f, t=line: load_split(Task("mine", NAMES), "opt", data=write(f, "t.jsonl", t)),
            REFUSED,
        )
    kind = "task file of a wrong shape"
    for name, text in {
        "deep": "labels = " + "[" * 3000 + "]" * 3000,
        "long integer": "labels = [" + "9" * 5000 + "]",
        "list of mappings": "labels = [{a = 1}, {b = 2}]\nlabel_map = [{a = 1}]",
        "sources a list": 'labels = ["a", "b"]\nsources = [1, 2]',
        "labels a number": "labels = 3",
    }.items():
        yield Instance(kind, name, lambda f, t=text: load_task(write(f, "t.toml", t)), REFUSED)
    if cases is not None:
        task = Task("mine", ["bad", "good"])
        path = cases / "debias" / "texts_bom.jsonl"
        yield Instance("case", path.name, lambda _: load_split(task, "opt", data=path).texts, ["bad phone"])
        for path in sorted((cases / "faults").glob("*.toml")):
            yield Instance("case", path.name, lambda _, p=path: load_task(p), REFUSED)


def said_of_twins(path: Path) -> bool:
    """Say whether a text with two labels is spoken of: a warning, which names it, or a count."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_split(Task("mine", NAMES), "opt", data=path)
    return any("label" in str(one.message) for one in caught)


def turns_of(path: Any) -> list[list[str]]:
    """Read records; return their messages as role and content."""
    records = Records.from_rows(path) if isinstance(path, list) else read_records(path)
    return [[f"{m.role}: {m.content}" for m in record.messages] for record in records]


def record_files(cases: Path | None) -> Iterator[Instance]:
    """Files of instruction records: the same rows in other files."""
    rows = [
        {"instruction": "a\u2028b\u0085c", "input": "", "output": "d, e"},
        {"instruction": "ü", "input": "x", "output": "y"},
    ]
    right = turns_of(rows)
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    frame = pd.DataFrame(rows)
    kind = "records: the same rows in another file"
    for name, content in {
        "r.jsonl": lines,
        "bom.jsonl": f"\ufeff{lines}",
        "crlf.jsonl": lines.replace("\n", "\r\n"),
        "utf16.jsonl": lines.encode("utf-16"),
        "list.jsonl": json.dumps(rows, indent=1),
        "lines.json": lines,
        "list.json": json.dumps(rows),
        "wrapped.json": json.dumps({"data": rows}),
        "columns.json": json.dumps(frame.to_dict("list")),
        "to_json.json": frame.to_json(),
        "to_dict.json": json.dumps(frame.to_dict()),
        "r.csv": frame.to_csv(index=False),
        "r.tsv": frame.to_csv(index=False, sep="\t"),
        "r.jsonl.gz": gzip.compress(lines.encode()),
        "r.jsonl.zst": pa.Codec("zstd").compress(lines.encode(), asbytes=True),
        "list.json.gz": gzip.compress(json.dumps(rows).encode()),
    }.items():
        yield Instance(kind, name, lambda f, n=name, c=content: turns_of(write(f, n, c)), right)
    for name, save in {
        "r.parquet": lambda path: frame.to_parquet(path),
        "r.feather": lambda path: frame.to_feather(path),
        "r.arrow": lambda path: frame.to_feather(path, compression="uncompressed"),
    }.items():

        def read(folder: Path, name: str = name, save: Any = save) -> Any:
            save(folder / name)
            return turns_of(folder / name)

        yield Instance(kind, name, read, right)

    def read_parts(folder: Path, pattern: str) -> Any:
        (folder / "parts").mkdir()
        for number, row in enumerate(rows):
            write(folder / "parts", f"{number}.jsonl", json.dumps(row))
        return turns_of(folder / "parts" if not pattern else str(folder / "parts" / pattern))

    yield Instance(kind, "a folder", lambda f: read_parts(f, ""), right)
    yield Instance(kind, "a glob", lambda f: read_parts(f, "*.jsonl"), right)
    kind = "records: a gap in a field"
    for name, content in {
        "NaN.jsonl": '{"instruction": "a", "input": NaN, "output": "b"}\n',
        "NaN.json": '[{"instruction": "a", "input": NaN, "output": "b"}]',
        "null.jsonl": '{"instruction": "a", "input": null, "output": "b"}\n',
        "empty.csv": "instruction,input,output\na,,b\n",
    }.items():
        yield Instance(
            kind, name, lambda f, n=name, c=content: turns_of(write(f, n, c)), [["user: a", "assistant: b"]]
        )
    if cases is None:
        return
    of = cases / "iterit"
    two = [["user: a", "assistant: b"], ["user: c", "assistant: d"]]
    for name in ("k7_columns.json", "k7_list_in.jsonl", "k7_wrapped.json", "k7_nan.json", "k7_nan.jsonl"):
        yield Instance("case", name, lambda _, p=of / name: turns_of(p), two)
    two = [["user: Add, please\n\n1 and 2", "assistant: 3"], ["user: Name a fish", "assistant: Trout"]]
    yield Instance("case", "k7_table.csv", lambda _: turns_of(of / "k7_table.csv"), two)
    for path in sorted((cases / "faults").glob("rec*")):
        yield Instance("case", path.name, lambda _, p=path: turns_of(p), REFUSED)
    path = cases / "faults" / "surrogate_key.jsonl"
    yield Instance("case", path.name, lambda _: turns_of(path), [["user: a", "assistant: b"]])


def trained_of(row: Any) -> Any:
    """Read one row; return its turns, with a star at the answers that are trained, or why it is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        records = Records.from_rows([row])
    if not len(records):
        raise RecordsError(str(records.refused_counts))
    return [
        f"{one.role}: {one.content}{'*' if one.is_answer and one.is_trained else ''}"
        for one in records[0].messages
    ]


def record_meaning(cases: Path | None) -> Iterator[Instance]:
    """Fields that change what a row means."""
    asked, said = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
    more = [{"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]
    two, four = ["user: a", "assistant: b*"], ["user: a", "assistant: b*", "user: c", "assistant: d*"]
    kinds: dict[str, list[tuple[Any, Any]]] = {
        "records: earlier turns": [
            ({"instruction": "c", "output": "d", "history": [["a", "b"]]}, four),
            ({"instruction": "c", "input": "", "output": "d", "history": json.dumps([["a", "b"]])}, four),
            ({"conversations": [{"from": "human", "value": "a"}, {"from": "ai", "value": "b"},
                                {"from": "human", "value": "c"}, {"from": "bing", "value": "d"}]}, four),
            ({"messages": json.dumps([asked, said, *more])}, four),
            ({"messages": np.array([asked, said, *more])}, four),
            ({"conversation": [["a", "b"], ["c", "d"]]}, four),
        ],
        "records: answers kept out of training": [
            ({"messages": [asked, said | {"weight": 0}, *more]}, [*two[:1], "assistant: b", *four[2:]]),
            ({"messages": [asked, said | {"train": False}, *more]}, [*two[:1], "assistant: b", *four[2:]]),
            ({"messages": [asked, said | {"weight": 1}]}, two),
            ({"messages": [asked, said | {"weight": 0}]}, REFUSED),
        ],
        "records: media and preferences": [
            ({"messages": [asked, said], "images": ["a.png"]}, REFUSED),
            ({"messages": [asked | {"content": "<image>a"}, said], "images": ["a.png"]}, REFUSED),
            ({"messages": [asked, said], "label": False}, REFUSED),
            ({"prompt": "a", "chosen": "b", "rejected": "c"}, REFUSED),
        ],
        "records: answers within a prompt": [
            ({"prompt": [asked, said, more[0]], "completion": [more[1]]},
             ["user: a", "assistant: b", "user: c", "assistant: d*"]),
            ({"prompt": [asked], "completion": [said]}, two),
            ({"prompt": [asked, said], "completion": []}, REFUSED),
        ],
        "records: preferences after earlier turns": [
            ({"messages": [asked, said, more[0]], "chosen": said, "rejected": more[1]}, REFUSED),
            ({"prompt": [asked, said, more[0]], "chosen": [said], "rejected": [more[1]]}, REFUSED),
            ({"prompt": "a", "response": "b", "chosen": False}, REFUSED),
        ],
        "records: pairs of a role and a text": [
            ({"conversations": [["user", "a"], ["assistant", "b"]]}, two),
            ({"conversations": ["human", "a", "gpt", "b"]}, two),
            ({"instruction": "c", "output": "d", "history": [["user", "a"], ["bot", "b"]]}, four),
            ({"conversations": [["user", "a"], ["c", "d"]]},
             ["user: user", "assistant: a*", "user: c", "assistant: d*"]),
        ],
        "records: parts of messages": [
            ({"messages": [asked, said | {"content": [{"type": "text", "text": "b", "train": False}]}]},
             REFUSED),
            ({"messages": [asked, said | {"content": [{"type": "text", "text": "b", "weight": 0}]}]},
             REFUSED),
            ({"messages": [asked, said | {"content": [{"type": "text", "text": "b", "weight": 1}]}]}, two),
        ],
        "records: objects of missing values": [
            ({"messages": [asked, said | {"tool_calls": [{"name": None, "arguments": None}]}]}, two),
            ({"messages": [asked, said], "image": {"bytes": None, "path": None}}, two),
            ({"messages": [asked, said | {"thinking": [], "reasoning_content": " "}]}, two),
            ({"messages": [asked, said], "tools": [None]}, two),
        ],
        "records: bytes of another encoding": [
            ({"question": "a", "answer": b"\xff"}, REFUSED),
            ({"question": "gr\xf6\xdfer".encode("latin-1"), "answer": "b"}, REFUSED),
            ({"question": b"a", "answer": b"b"}, two),
        ],
        "records: answers that are no text": [
            ({"question": "a", "answer": 2}, ["user: a", "assistant: 2*"]),
            ({"question": "a", "answer": 0.5}, ["user: a", "assistant: 0.5*"]),
            ({"instruction": "a", "answer": "b"}, two),
            ({"Instruction": "a", "Input": "", "Output": "b"}, two),
            ({"instruction": "a", "output": {"x": 1}}, REFUSED),
        ],
        "records: unusual beginnings": [
            ({"conversations": [{"from": "gpt", "value": "hi"}, {"from": "human", "value": "a"},
                                {"from": "gpt", "value": "b"}]}, ["assistant: hi", *two]),
            ({"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "a"},
                                {"from": "gpt", "value": "b"}]}, ["system: s", *two]),
            ({"messages": [asked]}, REFUSED),
            ({"messages": []}, REFUSED),
        ],
    }  # fmt: skip
    for kind, rows in kinds.items():
        for number, (row, right) in enumerate(rows):
            yield Instance(kind, f"{number}: {[*row]}", lambda _, r=row: trained_of(r), right)
    kind = "records: types of Parquet"
    for name, values in {
        "bytes": pa.array([b"\x89PNG\xff"]),
        "timestamp": pa.array([datetime.datetime(2024, 1, 1)], pa.timestamp("us", "UTC")),
        "decimal": pa.array([decimal.Decimal("1.10")]),
        "int8": pa.array([5], pa.int8()),
        "uint64": pa.array([2**63 + 1], pa.uint64()),
        "date": pa.array([datetime.date(2024, 2, 29)]),
        "float32": pa.array([0.1], pa.float32()),
    }.items():
        table = pa.table({"instruction": ["a"], "output": ["b"], "extra": values})
        yield Instance(kind, name, lambda f, t=table: written_again(f, t), True)
    if cases is not None:
        of = cases / "iterit"
        first = ["user: Name a colour.", "assistant: Red.*", "user: And a second one?", "assistant: Green.*"]
        lines = {path.name: path.read_text().splitlines() for path in sorted(of.glob("k[123]*.jsonl"))}
        rights = {
            "k1_alpaca_history.jsonl": first,
            "k1_image_placeholder.jsonl": REFUSED,
            "k1_kto_label.jsonl": REFUSED,
            "k1_tools_field.jsonl": [
                "system: Use tools.", "user: Weather in Oslo?", "assistant: Three degrees.*"
            ],
            "k2_messages_as_text.jsonl": ["user: Hi", "assistant: Hello*"],
            "k2_starts_with_assistant.jsonl": [
                "assistant: Hello, how can I help?", "user: Name a colour.", "assistant: Blue.*"
            ],
            "k3_numbers.jsonl": ["user: 1 + 1?", "assistant: 2*"],
        }  # fmt: skip
        for name, right in rights.items():
            yield Instance("case", name, lambda _, n=name: trained_of(json.loads(lines[n][0])), right)


def written_again(folder: Path, table: pa.Table) -> bool:
    """Read records, write them again; say whether the file holds the same values of the same types."""
    pq.write_table(table, folder / "x.parquet")
    read_records(folder / "x.parquet").write(folder / "y.parquet")
    found = pq.read_table(folder / "y.parquet")
    return found.schema.equals(table.schema) and found.to_pylist() == table.to_pylist()


def scripts(cases: Path | None) -> Iterator[Instance]:
    """Answers in scripts without spaces, and answers of a letter."""
    kind = "n-grams of every script"
    for name, text in {
        "Chinese": "春天来了", "Japanese": "水は氷になる", "Thai": "น้ำกลายเป็นน้ำแข็ง",
        "a letter": "A", "a digit": "7", "a sign": "+", "an emoji": "👍",
        "Hindi": "पानी", "Korean": "물이 얼음", "Khmer": "ទឹក",
    }.items():  # fmt: skip
        yield Instance(
            kind, name, lambda _, t=text: bool(count_ngrams([t, "some words"]).matrix[0].nnz), True
        )
    kind = "scores of other records"
    rows = [{"question": f"Question {n}?", "answer": f"Answer {n} has word{n}"} for n in range(6)]

    def right_rows(folder: Path, change: Callable[[list[dict[str, str]]], list[dict[str, str]]]) -> Any:
        records = Records.from_rows(rows)
        scores = pd.DataFrame(
            {"ifd": np.linspace(0.1, 0.6, 6), "status": "ok"}, index=pd.Index(range(6), name="row")
        )
        write_scores(folder / "s.csv", scores, records)
        changed = Records.from_rows(change(rows))
        found = read_scores(folder / "s.csv", changed)
        return {text: round(float(found.loc[n, "ifd"]), 3) for n, text in enumerate(changed.responses)}

    expected = {row["answer"]: round(0.1 * (n + 1), 3) for n, row in enumerate(rows)}
    yield Instance(kind, "the same", lambda f: right_rows(f, lambda r: r), expected)
    yield Instance(kind, "reversed", lambda f: right_rows(f, lambda r: r[::-1]), expected)
    yield Instance(
        kind, "one changed", lambda f: right_rows(f, lambda r: [*r[:5], rows[0] | {"answer": "x"}]), REFUSED
    )
    yield Instance(
        kind, "one more", lambda f: right_rows(f, lambda r: [*r, {"question": "q", "answer": "y"}]), REFUSED
    )


GROUPS = (table_files, harness, text_files, record_files, record_meaning, scripts)


def main() -> None:
    """Read every instance and write the table of kinds and outcomes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", type=Path, nargs="?", help="the folder with the cases")
    parser.add_argument("--only", default="", help="read the kinds whose name has this in it")
    options = parser.parse_args()
    rows = []
    groups = [arrays(), *(group(options.cases) for group in GROUPS)]
    for instance in (one for group in groups for one in group if options.only in one.kind):
        with tempfile.TemporaryDirectory() as folder:
            outcome, found = outcome_of(instance, Path(folder))
        rows.append({"kind": instance.kind, "instance": instance.name, "outcome": outcome})
        if outcome == "wrong" or (outcome == "refused" and instance.right is not REFUSED):
            print(f"{outcome}: {instance.kind}, {instance.name}: {found[:200]}", flush=True)
    table = pd.crosstab(
        pd.Series([row["kind"] for row in rows], name="kind"), pd.Series([row["outcome"] for row in rows])
    )
    table = table.reindex(columns=["right", "refused", "wrong"], fill_value=0)
    print(table.to_string())
    if not options.only:
        pd.DataFrame(rows).to_csv(RESULTS / "reading.csv", index=False)
        (RESULTS / "reading.md").write_text(
            "# What is read is what was meant\n\n`python experiments/reading.py ../shared/cases`; rows of the"
            f' kind "case" are files that the project does not hold. {machine()}.\n\n{markdown(table)}\n'
        )
    if table["wrong"].any():
        sys.exit(1)


if __name__ == "__main__":
    main()
