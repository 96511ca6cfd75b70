"""Selects from rows that do not fit into memory: seconds, memory and disk of each part.

Run it from the repository root, with room for 20 GB in the folder of the arrays:

    python experiments/beyond_memory.py ../shared/data/instructions/alpaca_52k.jsonl.gz --folder /tmp

Each number of rows is selected by a process of its own, whose private memory the system limits;
`--rows 1000000` runs one only. Rows are drawn from the file with replacement, and words are dropped,
as a stream. Writes experiments/results/beyond_memory.csv and .md.
"""

import argparse
import hashlib
import json
import os
import resource
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import compress
from pathlib import Path

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, read_responses, rounded, settings_of, some_complexity

from debias.files.unnamed_file import unnamed_file
from iterit.ngrams.ngram_counts import count_ngrams
from iterit.ngrams.ngram_weights import weigh
from iterit.selection.lazy_greedy import lazy_greedy

TABLE, RUNS = RESULTS / "beyond_memory.csv", RESULTS / "beyond_memory_runs.csv"
GIB = 2**30


class Drawn:
    """Texts drawn with replacement, words dropped, made as they are read; `seconds` is the time it took."""

    def __init__(self, texts: list[str], n: int, settings: dict) -> None:
        self.texts, self.n, self.settings, self.seconds = texts, n, settings, 0.0

    def __iter__(self) -> Iterator[str]:
        if self.n == len(self.texts):
            yield from self.texts
            return
        words = [text.split(" ") for text in self.texts]
        step = self.settings["at_once"]
        for first in range(0, self.n, step):
            started = time.thread_time()
            random = np.random.default_rng([self.settings["seed"], first])
            rows = random.integers(len(words), size=min(step, self.n - first))
            lengths = [len(words[row]) for row in rows]
            kept = np.split(random.random(sum(lengths)) >= self.settings["dropout"], np.cumsum(lengths))
            made = [
                " ".join(compress(words[row], keep.tolist())) for row, keep in zip(rows, kept, strict=False)
            ]
            self.seconds += time.thread_time() - started
            yield from made


class Watch:
    """Samples the private and the resident memory of this process and its nameless files."""

    def __init__(self) -> None:
        self.peaks = np.zeros(3)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)
        self.thread.start()

    def _sample(self) -> None:
        while not self.ended.wait(0.2):
            self.peaks = np.maximum(self.peaks, now())

    def taken(self) -> list[float]:
        """Return the peaks since the last call, in GiB."""
        peaks, self.peaks = np.maximum(self.peaks, now()), np.zeros(3)
        return (peaks / GIB).tolist()


def now() -> list[float]:
    """Return private memory, resident memory (with pages of files), bytes of nameless files."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    private, resident = (int(status[name].split()[0]) * 1024 for name in ("RssAnon", "VmRSS"))
    sizes = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        words = line.split()
        if len(words) > 5 and "s" in words[1] and line.endswith("(deleted)"):
            low, high = (int(end, 16) for end in words[0].split("-"))
            sizes[words[4]] = sizes.get(words[4], 0) + high - low
    for name in os.listdir("/proc/self/fd"):
        try:
            found = os.stat(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 0:
            sizes[str(found.st_ino)] = found.st_size
    return [private, resident, sum(sizes.values())]


def moved() -> np.ndarray:
    """Return the bytes that this process read from disks, and wrote to them."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return np.array([int(lines["read_bytes"]), int(lines["write_bytes"])])


def disk(folder: Path, settings: dict) -> dict[str, float]:
    """Measure the disk of a folder: bytes per second one after the other, and reads of 4 KiB anywhere."""
    block, n = os.urandom(1 << 24), settings["disk_gib"] * 64
    with unnamed_file(folder) as file:
        started = time.perf_counter()
        for _ in range(n):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        written = time.perf_counter() - started
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        places = (np.random.default_rng(0).integers(n << 12, size=20_000) << 12).tolist()
        started = time.perf_counter()
        for place in places:
            os.pread(file.fileno(), 4096, place)
        anywhere = time.perf_counter() - started
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        started = time.perf_counter()
        for place in range(n):
            os.pread(file.fileno(), 1 << 24, place << 24)
        read = time.perf_counter() - started
    size = n * (1 << 24) / 1e6
    return {
        "MB/s written": size / written,
        "MB/s read": size / read,
        "reads of 4 KiB a second": len(places) / anywhere,
    }


def measured(path: Path, n: int, folder: Path | None, settings: dict) -> dict:
    """Select from so many rows, and return what each part took."""
    small = weigh(count_ngrams(["compiles all that is compiled", "before it is timed"], folder=folder))
    lazy_greedy(small, np.ones(2), 2, 0.1)
    texts, watch, parts = Drawn(read_responses(path), n, settings), Watch(), []
    watch.taken()

    def part(name, work, *arguments, **options):
        started, worked, io = time.perf_counter(), time.process_time(), moved()
        result = work(*arguments, **options)
        seconds, worked = time.perf_counter() - started, time.process_time() - worked
        parts.append([name, seconds, worked, *watch.taken(), *((moved() - io) / GIB).tolist()])
        return result

    more = {"folder": folder} if folder else {"max_memory": "64 GiB"}
    counts = part("counting", count_ngrams, texts, tuple(settings["ngram_range"]), **more)
    parts[0][2] -= texts.seconds
    weights = part("weighing", weigh, counts)
    complexity = some_complexity(n, settings)
    k = round(settings["ratio"] * n)
    picks = part("picking", lazy_greedy, weights, complexity, k, settings["decay"])
    assert len(set(picks.rows.tolist())) == k
    hashed = hashlib.sha256(picks.rows.tobytes() + picks.score.tobytes()).hexdigest()
    return {
        "parts": parts,
        "run": {
            "rows": n,
            "picks": k,
            "words": int(counts.n_words.sum()),
            "different n-grams": counts.n_columns,
            "entries": len(counts.indices),
            "bounded a pick": picks.n_bounds / k,
            "summed a pick": picks.n_sums / k,
            "core seconds of making rows": texts.seconds,
            "hash": hashed,
            **(disk(folder, settings) if folder else {}),
        },
    }


def child(arguments: list[str]) -> dict:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, *arguments, "--here"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)


def merged(path: Path, new: pd.DataFrame) -> pd.DataFrame:
    """Put results of some numbers of rows in place of those in a file, and write it."""
    table = new
    if path.exists():
        old = pd.read_csv(path)
        table = pd.concat([old[~old["rows"].isin(new["rows"])], new])
    table = table.sort_values("rows", kind="stable").reset_index(drop=True)
    table.to_csv(path, index=False, float_format="%.3f")
    return table


def page(parts: pd.DataFrame, runs: pd.DataFrame) -> str:
    """Write the results as Markdown."""
    settings = settings_of(__file__)
    whole = [name for name in runs if runs[name].dtype.kind == "i"]
    runs = runs.assign(**{name: [f"{value:,}" for value in runs[name]] for name in whole})
    last = list(runs).index("hash")
    return f"""# Selection beyond memory

Settings: `experiments/beyond_memory.toml`. {machine()};
{memory():.1f} GiB of memory without swap. Other processes worked at the same time: core seconds are the
time that cores worked for this process.

{markdown(rounded(parts.assign(rows=[f"{n:,}" for n in parts["rows"]])))}

Private memory is what the process cannot give back; the system kept it below
{settings["most_private_gib"]} GiB (RLIMIT_DATA). Resident memory also has those pages of files that the
system had room for. "Disk" is the most that files took at once. "Read" and "written" are what the disk
moved. Peaks are sampled five times a second.

{markdown(rounded(runs.iloc[:, :last].join(runs[["picks in memory"]])))}

Picks in memory: rows, their order and every bit of their scores, compared by hashes.

The disk, measured after each run with a file of {settings["disk_gib"]} GiB that was not in memory:

{markdown(rounded(runs[["rows"]].join(runs.iloc[:, last + 1 : -1])))}
"""


def memory() -> float:
    """Return the memory of this machine in GiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB


def main() -> None:
    """Measure one number of rows or all, and write the results."""
    settings = settings_of(__file__)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="Alpaca as JSON lines, gzipped")
    parser.add_argument("--folder", type=Path, help="where the arrays are held; in memory if omitted")
    parser.add_argument("--rows", type=int, action="append", help="one number of rows; repeatable")
    parser.add_argument("--here", action="store_true", help="in this process, and print JSON")
    given = parser.parse_args()
    if given.here:
        limit = settings["most_private_gib"] * GIB
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        print(json.dumps(measured(given.file, given.rows[0], given.folder, settings)))
        return
    if given.folder is None:
        parser.error("--folder is missing")
    names = ["rows", "part", "seconds", "core seconds", "private, GiB", "resident, GiB", "disk, GiB"]
    names += ["read, GiB", "written, GiB"]
    for n in given.rows or settings["rows"]:
        found = child([str(given.file), "--rows", str(n), "--folder", str(given.folder)])
        compared = "not compared"
        if n in settings["in_memory"]:
            same = child([str(given.file), "--rows", str(n)])["run"]["hash"] == found["run"]["hash"]
            compared = "equal" if same else "DIFFERENT"
        parts = merged(TABLE, pd.DataFrame([[n, *part] for part in found["parts"]], columns=names))
        runs = merged(RUNS, pd.DataFrame([{**found["run"], "picks in memory": compared}]))
        text = page(parts, runs)
        (RESULTS / "beyond_memory.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
