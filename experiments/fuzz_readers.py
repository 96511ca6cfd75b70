"""Damages sound files of every format that is read, and counts how the readers take it.

    python experiments/fuzz_readers.py [--only NAME] [--files N]

Each sound file is read as it is, then damaged at random (flipped bits, cuts, repeats, hostile numbers,
nesting, broken text) and read again under a limit of memory and time. The outcomes: an error of ours; the
same content; other content (of formats with a checksum this is a wrong answer: "damaged, accepted"); a
foreign exception; a crash; over the memory; over the time. The files that led to the last five are kept in
fuzz_failures/. Writes experiments/results/fuzz_readers.csv and .md.
"""

import argparse
import gzip
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, settings_of

from debias.corrections.families import ensemble
from debias.errors import DebiasError
from debias.estimators.debiasers import EnsembleDebiaser
from debias.estimators.tuning.methods import load
from debias.inference.collection.answer_store import AnswerStore, digest
from debias.inference.texts.sources import load_split
from debias.inference.texts.tasks import Task, load_task
from debias.tables.table import ProbabilityTable
from iterit.records.instruction_records import read_records
from iterit.rounds.round_settings import RoundSettings
from iterit.rounds.round_state import first_state, with_picks, with_scores
from iterit.scoring.score_files import read_scores
from iterit.training.checkpoints import RoundsCheckpoint, read_checkpoint

SETTINGS = settings_of(__file__)
ROOT = Path(__file__).resolve().parents[1]
OUTCOMES = [
    "own error", "same content", "other content", "damaged, accepted", "foreign", "crash",
    f"over {SETTINGS['gibibytes']} GiB", f"over {SETTINGS['seconds']} s",
]  # fmt: skip
BAD = OUTCOMES[3:]
CLASSES = ["World", "Sports", "Business", "Technology"]
HOSTILE = [
    b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"18446744073709551616", b'"\\ud800"', b"\xed\xa0\x80",
    b"\x00", b"\xef\xbb\xbf", b"\xff\xfe", b"[" * 5000, b'{"a":' * 3000, b"[" * 200_000, b"null", b"true",
    b'""', b",", b";", b'"', b"\r", b"\n\n", b"\xe2\x80\xa8", b"\x1b[31m", b"-0.0", b"1,5", b"=1+1", b"{}",
    b"a" * 100_000,
]  # fmt: skip


class Sound(NamedTuple):
    """A sound file in a folder of its own, and how it is read."""

    name: str
    folder: Path
    file: str
    read: Callable[[Path], Any]
    has_checksum: bool = False


def comparable(content: Any) -> Any:
    """Return content in a form that compares equal when nothing has changed."""
    if isinstance(content, ProbabilityTable):
        parts = (content.labels, content.texts, content.ids)
        columns = [None if part is None else [str(value) for value in part] for part in parts]
        return [content.probabilities.to_numpy().tobytes(), *map(str, content.classes), *columns]
    if isinstance(content, pd.DataFrame):
        return content.to_csv()
    return content


def make_table() -> ProbabilityTable:
    """Make a small table with labels, texts and ids."""
    random = np.random.default_rng(0)
    values = random.dirichlet(np.ones(4), size=60)
    return ProbabilityTable(
        values,
        [CLASSES[k] for k in random.integers(0, 4, size=60)],
        classes=CLASSES,
        texts=[f"text {i} über alles" for i in range(60)],
        ids=[f"row-{i}" for i in range(60)],
    )


def sound_files(root: Path) -> Iterator[Sound]:
    """Write sound files of every format, each in a folder of its own."""
    for name, write, read, has_checksum in [*tables(), *records(), *texts(), *own()]:
        folder = root / re.sub(r"\W+", "_", name)
        folder.mkdir()
        files = write(folder)
        for file in files:
            title = name if len(files) == 1 else f"{name}, {Path(file).name}"
            yield Sound(title, folder, file, read, has_checksum)


Kind = tuple[str, Callable[[Path], list[str]], Callable[[Path], Any], bool]


def simple(name: str, file: str, content: bytes, read: Callable[[Path], Any]) -> Kind:
    """Describe one file by its bytes."""

    def write(folder: Path) -> list[str]:
        (folder / file).write_bytes(content)
        return [file]

    return name, write, lambda folder: read(folder / file), False


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


def own() -> list[Kind]:
    """Describe the formats of ours that have a checksum."""
    table = make_table()
    keys = [digest(f"question {i}") for i in range(40)]

    def write_table(folder: Path) -> list[str]:
        table.write(folder / "t.parquet")
        return ["t.parquet"]

    def write_correction(folder: Path) -> list[str]:
        EnsembleDebiaser(family=ensemble(), search="descent", n_starts=2).fit(
            table.probabilities, table.labels
        ).save(folder / "c.json")
        return ["c.json"]

    def write_store(folder: Path) -> list[str]:
        with AnswerStore(folder / "answers.sqlite") as store:
            store.add([(key, f"answer {i}".encode()) for i, key in enumerate(keys)], {"dtype": "float32"})
        return ["answers.sqlite"]

    def read_store(folder: Path) -> Any:
        with AnswerStore(folder / "answers.sqlite", read_only=True) as store:
            found = store.find(keys)
        wrong = {
            k: v
            for i, k in enumerate(keys)
            for v in [found.get(k)]
            if v and v.value != f"answer {i}".encode()
        }
        return wrong  # an answer that is missing is asked again

    def write_rounds(folder: Path) -> list[str]:
        rules = RoundSettings(n_picks=2, update_ratio=2)
        scores = pd.DataFrame({"ifd": np.float32([0.9, 0.8, 0.7, 0.6, 0.5]), "status": "ok"}, index=range(5))
        state = with_scores(first_state(5), scores, rules)
        state = with_picks(state, pd.DataFrame({"row": [0, 1], "complexity": [0.9, 0.8]}))
        kept = pd.DataFrame({"words": range(5), "tokens": range(5), "source": list("aabbb")})
        RoundsCheckpoint(
            state,
            [dict.fromkeys(("round", "loss_sum", "loss_steps", "seconds_training"), 0)],
            dict(vars(rules)),
            {"model": "demo"},
            kept,
        ).write(folder)
        return [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]

    def read_rounds(folder: Path) -> Any:
        found = read_checkpoint(folder)
        tables = [found.state.scores, found.state.picks, found.records]
        return [
            *(one.to_csv() for one in tables),
            found.history,
            found.settings,
            found.facts,
            found.state.round,
        ]

    def read_fitted(folder: Path) -> Any:
        return vars(load(folder / "c.json").fitted_) | {"classes": None, "columns": None}

    return [
        ("own: table", write_table, lambda folder: ProbabilityTable.read(folder / "t.parquet"), True),
        ("own: correction", write_correction, lambda folder: str(read_fitted(folder)), True),
        ("own: answers", write_store, read_store, True),
        ("own: rounds", write_rounds, read_rounds, True),
    ]


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """Return content that is damaged in one of nine ways, never as it was."""
    while True:
        data = bytearray(content)
        at, end = sorted(int(i) for i in random.integers(0, len(data), size=2))
        match int(random.integers(0, 9)):
            case 0:
                data[at] ^= 1 << int(random.integers(0, 8))
            case 1:
                for spot in random.integers(0, len(data), size=8):
                    data[int(spot)] = int(random.integers(0, 256))
            case 2:
                del data[at:]
            case 3:
                del data[at : min(end, at + 40)]
            case 4:
                data[at:at] = data[at : min(end, at + 400)]
            case 5:
                data[at:at] = HOSTILE[int(random.integers(0, len(HOSTILE)))]
            case 6:  # in place of a number
                numbers = list(re.finditer(rb"\d+(\.\d+)?", bytes(data)))
                if numbers:
                    one = numbers[int(random.integers(0, len(numbers)))]
                    data[one.start() : one.end()] = HOSTILE[int(random.integers(0, len(HOSTILE)))]
            case 7:
                lines = bytes(data).split(b"\n")
                random.shuffle(lines)
                data = bytearray(b"\n".join(lines[: max(1, int(random.integers(0, len(lines) + 1)))]))
            case 8:  # in place of a text
                strings = list(re.finditer(rb'"[^"]*"', bytes(data)))
                if strings:
                    one = strings[int(random.integers(0, len(strings)))]
                    data[one.start() : one.end()] = HOSTILE[int(random.integers(0, len(HOSTILE)))]
        if data != content:
            return bytes(data)


def outcome_of(sound: Sound, folder: Path, content: Any) -> tuple[str, str]:
    """Read a damaged file; return the outcome and what was said."""
    try:
        found = comparable(sound.read(folder))
    except DebiasError as error:
        return "own error", str(error)[:300]
    except MemoryError:
        return OUTCOMES[6], ""
    except Exception as error:  # what this script looks for
        return "foreign", f"{type(error).__name__}: {str(error)[:300]}"
    if found == content:
        return "same content", ""
    return ("damaged, accepted" if sound.has_checksum else "other content"), ""


def read_in_process(sound: Sound, content: Any, numbers: range, folder: Path, pipe: int) -> None:
    """Damage and read files in this process, under the limits; write each outcome to a pipe."""
    status = Path("/proc/self/status").read_text()
    in_use = int(re.search(r"VmData:\s+(\d+)", status)[1]) << 10
    most = in_use + (SETTINGS["gibibytes"] << 30)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    whole = (sound.folder / sound.file).read_bytes()
    for number in numbers:
        shutil.copytree(sound.folder, folder, dirs_exist_ok=True)
        random = np.random.default_rng([SETTINGS["seed"], number])
        (folder / sound.file).write_bytes(damaged(whole, random))
        signal.alarm(SETTINGS["seconds"])
        outcome, said = outcome_of(sound, folder, content)
        signal.alarm(0)
        if outcome in BAD:
            keep(sound, folder, number, said)
        os.write(pipe, json.dumps([outcome, said]).encode() + b"\n")


def keep(sound: Sound, folder: Path, number: int, said: str) -> None:
    """Keep a file that led to a bad outcome, for whoever looks at it."""
    kept = ROOT / "fuzz_failures" / re.sub(r"\W+", "_", sound.name)
    kept.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / sound.file, kept / f"{number}-{Path(sound.file).name}")
    (kept / f"{number}.txt").write_text(said)


def fuzz(sound: Sound, numbers: range) -> Counter[tuple[str, str]]:
    """Count the outcomes of some damaged files, in as many processes as it takes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = comparable(sound.read(sound.folder))
    counts: Counter[tuple[str, str]] = Counter()
    while numbers:
        ours, theirs = os.pipe()
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "damaged"
            child = os.fork()
            if not child:
                warnings.simplefilter("ignore")
                sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115
                read_in_process(sound, content, numbers, folder, theirs)
                os._exit(0)
            os.close(theirs)
            with os.fdopen(ours) as lines:
                done = [tuple(json.loads(line)) for line in lines]
            _, ended = os.waitpid(child, 0)
            counts.update(done)
            numbers = numbers[len(done) :]
            if ended:
                hang = os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGALRM
                outcome = OUTCOMES[7] if hang else "crash"
                keep(sound, folder, numbers[0], outcome)
                counts[outcome, str(ended)] += 1
                numbers = numbers[1:]
    return counts


def main() -> None:
    """Fuzz every reader and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="damage the files whose name has this in it")
    parser.add_argument("--files", type=int, default=SETTINGS["files"])
    parser.add_argument("--part", type=int, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part is None:
        run_parts(options)
        return
    with tempfile.TemporaryDirectory() as temporary:
        sounds = [one for one in sound_files(Path(temporary)) if (options.only or "") in one.name]
        per_file = -(-options.files // len(sounds))
        for place, sound in enumerate(sounds):
            if place % SETTINGS["processes"] != options.part:
                continue
            counts: Counter[tuple[str, str]] = Counter()
            first = place * per_file
            for start in range(first, first + per_file, SETTINGS["files_per_process"]):
                numbers = range(start, min(start + SETTINGS["files_per_process"], first + per_file))
                try:
                    counts += fuzz(sound, numbers)
                except DebiasError as error:
                    print(json.dumps({"file": sound.name, "not read": str(error)}), flush=True)
                    break
            by_outcome: Counter[str] = Counter()
            for (outcome, said), n in counts.items():
                by_outcome[outcome] += n
                if outcome in BAD:
                    print(f"{sound.name}: {outcome} {n}x {said}", file=sys.stderr, flush=True)
            print(json.dumps({"file": sound.name, "place": place, **by_outcome}), flush=True)


def run_parts(options: argparse.Namespace) -> None:
    """Start the processes, each with its part of the sound files, and write what they counted."""
    import subprocess

    def part(number: int) -> list[dict[str, Any]]:
        command = [sys.executable, __file__, "--part", str(number), "--files", str(options.files)]
        command += ["--only", options.only] if options.only else []
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    started = time.perf_counter()
    with ThreadPoolExecutor(SETTINGS["processes"]) as pool:
        rows = [row for rows in pool.map(part, range(SETTINGS["processes"])) for row in rows]
    unread = [row for row in rows if "not read" in row]
    if unread:
        raise SystemExit(f"sound files are refused: {unread}")
    table = pd.DataFrame(sorted(rows, key=lambda row: row["place"])).set_index("file")
    table = table.reindex(columns=OUTCOMES).fillna(0).astype(int)
    table.loc["all"] = table.sum()
    print(table.to_string())
    if options.only or options.files != SETTINGS["files"]:
        return
    table.to_csv(RESULTS / "fuzz_readers.csv")
    minutes = f"{(time.perf_counter() - started) / 60:.0f} minutes"
    (RESULTS / "fuzz_readers.md").write_text(
        f"# Damaged files\n\n{int(table.loc['all'].sum()):,} files, `python experiments/fuzz_readers.py`;"
        f" {machine()}; {minutes}. Other content: files of formats without a checksum, where damage can look"
        f" like data.\n\n{markdown(table)}\n"
    )


if __name__ == "__main__":
    main()
