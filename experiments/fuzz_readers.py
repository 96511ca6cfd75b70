"""Damages sound files of every format that is read, and counts how the readers take it.

    python experiments/fuzz_readers.py [--only NAME] [--files N]

Each sound file is read as it is, then damaged at random (flipped bits, cuts, repeats, hostile numbers,
nesting, broken text) and read again under a limit of memory and time. The outcomes: an error of ours; the
same content; other content (of formats with a checksum this is a wrong answer: "damaged, accepted"); a
foreign exception; a crash; over the memory; over the time. The files that led to the last five are kept in
fuzz_failures/. Checksums stop most damage at the door: files of "signed anew" get theirs made again after the
damage, so that what is behind it is read, too. Writes experiments/results/fuzz_readers.csv and .md.
"""

import argparse
import contextlib
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
from sound_files.own_files import own, signed_anew
from sound_files.read_tables import tables
from sound_files.read_texts import records, texts

from debias.errors import DebiasError
from debias.tables.table import ProbabilityTable

SETTINGS = settings_of(__file__)
ROOT = Path(__file__).resolve().parents[1]
OUTCOMES = [
    "own error", "same content", "other content", "damaged, accepted", "foreign", "crash",
    f"over {SETTINGS['gibibytes']} GiB", f"over {SETTINGS['seconds']} s",
]  # fmt: skip
BAD = OUTCOMES[3:]
HOSTILE = [
    b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"18446744073709551616", b'"\\ud800"', b"\xed\xa0\x80",
    b"\x00", b"\xef\xbb\xbf", b"\xff\xfe", b"[" * 5000, b'{"a":' * 3000, b"[" * 200_000, b"null", b"true",
    b'""', b",", b";", b'"', b"\r", b"\n\n", b"\xe2\x80\xa8", b"\x1b[31m", b"-0.0", b"1,5", b"=1+1", b"{}",
    b"a" * 100_000,
]  # fmt: skip


class Sound(NamedTuple):
    """A sound file in a folder of its own, how it is read, and how it is signed anew after damage."""

    name: str
    folder: Path
    file: str
    read: Callable[[Path], Any]
    has_checksum: bool = False
    sign: Callable[[Path], None] | None = None


def comparable(content: Any) -> Any:
    """Return content in a form that compares equal when nothing has changed."""
    if isinstance(content, ProbabilityTable):
        parts = (content.labels, content.texts, content.ids)
        columns = [None if part is None else [str(value) for value in part] for part in parts]
        return [content.probabilities.to_numpy().tobytes(), *map(str, content.classes), *columns]
    if isinstance(content, pd.DataFrame):
        return content.to_csv()
    return content


def sound_files(root: Path) -> Iterator[Sound]:
    """Write sound files of every format, each in a folder of its own."""
    signed = [(*kind, None) for kind in [*tables(), *records(), *texts(), *own()]]
    for name, write, read, has_checksum, sign in [*signed, *signed_anew()]:
        folder = root / re.sub(r"\W+", "_", name)
        folder.mkdir()
        files = write(folder)
        for file in files:
            title = name if len(files) == 1 else f"{name}, {Path(file).name}"
            yield Sound(title, folder, file, read, has_checksum, sign)


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


def content_of(sound: Sound) -> Any:
    """Return what is read from a copy of a sound file: what resumes a run changes its folder."""
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(temporary) / "copy"
        shutil.copytree(sound.folder, folder)
        return comparable(sound.read(folder))


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


def put_damaged(sound: Sound, whole: bytes, number: int, folder: Path) -> None:
    """Make a folder with a damaged file; what cannot be signed stays as it is."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound.folder, folder)
    random = np.random.default_rng([SETTINGS["seed"], number])
    (folder / sound.file).write_bytes(damaged(whole, random))
    if sound.sign is not None:
        with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError):
            sound.sign(folder)


def read_in_process(sound: Sound, content: Any, numbers: range, folder: Path, pipe: int) -> None:
    """Damage and read files in this process, under the limits; write each outcome to a pipe."""
    status = Path("/proc/self/status").read_text()
    in_use = int(re.search(r"VmData:\s+(\d+)", status)[1]) << 10
    most = in_use + (SETTINGS["gibibytes"] << 30)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    whole = (sound.folder / sound.file).read_bytes()
    for number in numbers:
        put_damaged(sound, whole, number, folder)
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
    content = content_of(sound)
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
