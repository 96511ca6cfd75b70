"""Measures how many rows per second one, two and four workers of a Ray cluster on this machine answer.

Run, where ray is installed (`make test-ray` makes such an environment):

    python experiments/ray_workers.py

Each worker has an engine of its own, on one thread. The clock runs from the first answered chunk to the
last, so that starting workers and loading models is not counted; it is reported apart. Each chunk brings
its seconds and its processor seconds from the worker. An engine in this process is the baseline.
"""

import os
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import pandas as pd
import pyarrow as pa
from common import RESULTS, machine, make_prompts, markdown, rounded, settings_of

from debias.inference.collection.shards.ray_chunks import LabelWorker, RayEngine
from debias.inference.collection.shards.ray_settings import RaySettings
from debias.inference.engine_settings import EngineSettings
from debias.inference.transformers.transformers_engine import TransformersEngine

SETTINGS = settings_of(__file__)


class TimedWorker(LabelWorker):
    """Notes how long each chunk took, and how much of a processor."""

    def __call__(self, batch: Any) -> Any:
        """Answer one chunk."""
        began, used = time.monotonic(), time.process_time()
        table = super().__call__(batch)
        seconds = (time.monotonic() - began, time.process_time() - used)
        for name, value in zip(("seconds", "processor"), seconds, strict=True):
            table = table.append_column(name, pa.array([value / len(table)] * len(table)))
        return table


def baseline(prompts: list[str], labels: tuple[str, ...]) -> dict[str, Any]:
    """Answer all chunks in this process."""
    engine = TransformersEngine(SETTINGS["model"], dtype=SETTINGS["dtype"], device="cpu")
    size = SETTINGS["chunk_size"]
    engine.label_logprobs(prompts[:size], labels)
    began, used = time.monotonic(), time.process_time()
    for first in range(size, len(prompts), size):
        engine.label_logprobs(prompts[first : first + size], labels)
    seconds, busy = time.monotonic() - began, time.process_time() - used
    n_rows = len(prompts) - size
    return {
        "workers": "none: this process",
        "rows per second": n_rows / seconds,
        "processor s per row": busy / n_rows,
        "cores in use": busy / seconds,
        "a worker's time on a core": busy / seconds,
        "start, s": 0.0,
    }


def with_workers(
    engine: RayEngine, n_workers: int, prompts: list[str], labels: tuple[str, ...]
) -> dict[str, Any]:
    """Let workers answer all chunks."""
    size = SETTINGS["chunk_size"]
    engine.cluster = RaySettings(ray="auto", ray_workers=n_workers)
    chunks = [
        {"keys": [str(row).encode() for row in range(first, first + size)], "prompts": prompts[first:][:size]}
        for first in range(0, len(prompts), size)
    ]
    began, moments, parts = time.monotonic(), [], []
    for table in engine.run(TimedWorker, chunks, labels=labels):
        moments.append(time.monotonic())
        parts.append(table.select(["seconds", "processor"]).to_pandas())
    later = pd.concat(parts[n_workers:])  # the first chunk of each worker warms it up
    seconds = moments[-1] - moments[n_workers - 1]
    return {
        "workers": n_workers,
        "rows per second": len(later) / seconds,
        "processor s per row": later["processor"].mean(),
        "cores in use": later["processor"].sum() / seconds,
        "a worker's time on a core": later["processor"].sum() / later["seconds"].sum(),
        "start, s": moments[0] - began,
    }


def main() -> None:
    """Measure, write."""
    import ray
    from ray.cluster_utils import Cluster

    prompts, labels = make_prompts(SETTINGS["task"], SETTINGS["rows"], SETTINGS)
    rows = [baseline(prompts, labels)]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": max(SETTINGS["workers"])})
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    engine_settings = EngineSettings(model=SETTINGS["model"], dtype=SETTINGS["dtype"], device="cpu")
    engine = RayEngine(engine_settings, RaySettings(ray="auto"))
    for n_workers in SETTINGS["workers"]:
        rows.append(with_workers(engine, n_workers, prompts, labels))
        print(rows[-1], flush=True)
    ray.shutdown()
    cluster.shutdown()
    table = pd.DataFrame(rows)
    table.insert(2, "times one", table["rows per second"] / table["rows per second"][1])
    table.to_csv(RESULTS / "ray_workers.csv", index=False)
    busiest = float(np.max(table["cores in use"]))
    load = os.getloadavg()[0]
    text = [
        "# Workers of a Ray cluster on one machine",
        "",
        f"{SETTINGS['rows']} {SETTINGS['task']} rows, {SETTINGS['shots']}-shot, model {SETTINGS['model']} in"
        f" {SETTINGS['dtype']}, {SETTINGS['chunk_size']} prompts per chunk; each worker has an engine of its"
        f" own on one thread. {machine('ray', 'torch')}. Load of the machine at the end: {load:.1f}.",
        "",
        markdown(rounded(table, {"processor s per row": 3, "start, s": 1})),
        "",
        f"- What limits: the processor. All workers together kept at most {busiest:.2f} of {os.cpu_count()}"
        " cores busy; the last column but one is the share of its time in which a worker had a core. Below 1,"
        " workers wait for each other, or for other programs of the machine (see its load).",
        "- Ray's own cost is what one worker loses against the engine in this process: Arrow tables,"
        " scheduling and the driver.",
        "- Starting a worker means importing torch and loading the model: short runs are quicker in one"
        " process.",
        "",
    ]
    (RESULTS / "ray_workers.md").write_text("\n".join(text))
    print("\n".join(text))


if __name__ == "__main__":
    main()
