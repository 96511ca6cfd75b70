"""Compares the runtimes of a correction: rows with equal labels, and the time of one row and of a batch.

    python experiments/serving_runtimes.py

Rows and corrections are the conformance cases of the tests. Times are medians of interleaved measurements in
one process, on one thread, beside ``predict_proba`` of scikit-learn's logistic regression on the same rows.
Refused corrections of a logit bias are counted apart. Needs the extras onnx and mlflow, and node. Writes
experiments/results/serving_runtimes.md and .csv.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, rounded, settings_of

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import debias  # noqa: E402
from debias.errors import ParameterError  # noqa: E402
from debias.serving import load  # noqa: E402
from debias.serving.exports import logit_bias, plain_table, save_mlflow, to_onnx  # noqa: E402
from debias.serving.harnesses import CorrectionFilter  # noqa: E402
from debias.serving.vllm.answer_logits import AnswerCorrection  # noqa: E402
from tests.support.conformance import Case, cases  # noqa: E402

READER = ROOT / "tests" / "serving" / "exports" / "table_reader.mjs"
Decide = Callable[[np.ndarray], Any]
REFERENCE = "LogisticRegression.predict_proba"


def numpy_runtime(case: Case, folder: Path) -> Decide:
    """Serve with NumPy."""
    return load(case.file(folder)).predict


def estimator(case: Case, folder: Path) -> Decide:
    """Predict with the scikit-learn estimator."""
    return debias.load(case.file(folder)).predict


def onnx_runtime(case: Case, folder: Path) -> Decide:
    """Run the ONNX model on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = to_onnx(load(case.file(folder))).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda rows: session.run(["label"], {"probabilities": rows})[0]


def mlflow_runtime(case: Case, folder: Path) -> Decide:
    """Predict with the MLflow model, frames included."""
    import mlflow

    target = folder / f"mlflow-{case.name}"
    save_mlflow(case.file(folder), target)
    model, names = mlflow.pyfunc.load_model(str(target)), [str(label) for label in case.classes]
    return lambda rows: model.predict(pd.DataFrame(rows, columns=names))["label"].to_numpy()


def biases(case: Case, folder: Path) -> Decide:
    """Add biases to log-probabilities, as a server does to logits."""
    tokens = [[k] for k in range(len(case.classes))]
    added = np.array(list(logit_bias(load(case.file(folder)), tokens).biases.values()))
    labels = np.array(case.classes)

    def decide(rows: np.ndarray) -> Any:
        with np.errstate(divide="ignore"):
            return labels[(np.log(rows) + added).argmax(axis=1)]

    return decide


def javascript(case: Case, folder: Path) -> Decide:
    """Read the table in node."""
    table, binary = folder / "table.json", folder / "rows.bin"
    table.write_text(json.dumps(plain_table(load(case.file(folder)))), encoding="utf-8")

    def decide(rows: np.ndarray) -> Any:
        binary.write_bytes(rows.astype("<f8").tobytes())
        command = [str(shutil.which("node")), str(READER), str(table), str(binary)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return np.array(case.classes)[json.loads(done.stdout)[0]]

    return decide


def logarithms(rows: np.ndarray) -> np.ndarray:
    """Return what a runtime sees that is given logarithms."""
    with np.errstate(divide="ignore"):
        return np.log(rows)


def harness_filter(case: Case, folder: Path) -> Decide:
    """Correct log-likelihoods as the filter of lm-evaluation-harness does, one list for all documents."""
    filter_ = CorrectionFilter(load(case.file(folder)), [str(label) for label in case.classes])
    labels, n_classes = np.array(case.classes), len(case.classes)

    def decide(rows: np.ndarray) -> Any:
        responses = [[(value, False)] for value in logarithms(rows).ravel().tolist()]
        documents = [
            document for row in range(len(rows)) for document in [{"row": row}] for _ in range(n_classes)
        ]
        values = [value for value, _ in filter_.apply(responses, documents)]
        return labels[np.reshape(values, rows.shape).argmax(axis=1)]

    return decide


def vllm_core(case: Case, folder: Path) -> Decide:
    """Correct logits of label tokens as both processors of vLLM do; a token of probability 0 is masked."""
    correction = AnswerCorrection(load(case.file(folder)), list(range(len(case.classes))))
    labels = np.array(case.classes)
    return lambda rows: labels[correction.logits(logarithms(rows)).argmax(axis=1)]


RUNTIMES = {
    "NumPy (debias.serving)": numpy_runtime,
    "estimator (debias.load)": estimator,
    "ONNX (onnxruntime)": onnx_runtime,
    "MLflow (pyfunc)": mlflow_runtime,
    "table in JavaScript (node)": javascript,
    "logit bias": biases,
    "lm-evaluation-harness (filter)": harness_filter,
    "vLLM (what both processors share)": vllm_core,
}
TIMED = (numpy_runtime, estimator, onnx_runtime, mlflow_runtime)
"""Runtimes whose time is measured: the others have a process or a server around them."""


def compare(make: Callable[[Case, Path], Decide], folder: Path) -> dict[str, int]:
    """Count the rows of all cases with the label of the definition."""
    found = {"corrections": 0, "refused": 0, "rows": 0, "equal": 0, "tied": 0, "masked": 0}
    for case in cases():
        try:
            labels = make(case, folder)(case.rows)
        except ParameterError:
            found["refused"] += 1
            continue
        equal = labels == case.labels
        values = np.sort(load(case.file(folder)).values(case.rows), axis=1)
        is_tied = values[:, -2] >= values[:, -1] * (1 - 1e-12)
        found["corrections"] += 1
        found["rows"] += len(equal)
        found["equal"] += int(equal.sum())
        found["tied"] += int((~equal & is_tied).sum())
        masked = np.take_along_axis(case.rows, case.expected[:, None], axis=1)[:, 0] == 0
        found["masked"] += int((~equal & ~is_tied & masked).sum())
    return found


def logistic(case: Case) -> Decide:
    """Fit scikit-learn's logistic regression on the same rows."""
    from sklearn.linear_model import LogisticRegression

    labels = np.arange(len(case.rows)) % len(case.classes)
    return LogisticRegression().fit(case.rows, labels).predict_proba


def timed(run: Callable[[], object], least: float) -> float:
    """Return the CPU seconds of one call, from as many as fill a measurement: others may use the machine."""
    calls, seconds = 0, 0.0
    started = time.process_time()
    while seconds < least:
        run()
        calls += 1
        seconds = time.process_time() - started
    return seconds / calls


def measure(
    runs: dict[str, Decide], rows: np.ndarray, settings: dict[str, Any]
) -> Iterator[tuple[str, float]]:
    """Time all runtimes in turns; yield medians."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(settings["repeats"]):
        for name, run in runs.items():
            seconds[name].append(timed(lambda run=run: run(rows), settings["least_seconds"]))
    yield from ((name, median(values)) for name, values in seconds.items())


def times_of(case: Case, folder: Path, settings: dict[str, Any]) -> pd.DataFrame:
    """Time one row and a batch of a case by every runtime in this process."""
    batch = np.resize(case.rows, (settings["rows"], case.rows.shape[1]))
    made = {name: make for name, make in RUNTIMES.items() if make in TIMED}
    runs = {runtime: make(case, folder) for runtime, make in made.items()} | {REFERENCE: logistic(case)}
    one, many = dict(measure(runs, batch[:1], settings)), dict(measure(runs, batch, settings))
    rows = [
        {
            "case": case.name,
            "runtime": runtime,
            "one row, µs": one[runtime] * 1e6,
            f"{len(batch):,} rows, µs": many[runtime] * 1e6,
            "times faster, one row": one[REFERENCE] / one[runtime],
            "times faster, batch": many[REFERENCE] / many[runtime],
        }
        for runtime in runs
    ]
    return pd.DataFrame(rows)


def main() -> None:
    """Compare, time, write."""
    settings = settings_of(__file__)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        counted = []
        for runtime, make in RUNTIMES.items():
            folder = Path(tempfile.mkdtemp(dir=name))
            counted.append({"runtime": runtime} | compare(make, folder))
        timed_ones = [
            times_of(case, Path(tempfile.mkdtemp(dir=name)), settings)
            for case in cases()
            if case.name in settings["cases"]
        ]
    equal, times = pd.DataFrame(counted), pd.concat(timed_ones)
    times.to_csv(RESULTS / "serving_runtimes.csv", index=False)
    on = machine("numpy", "scikit-learn", "onnxruntime", "mlflow-skinny")
    n_rows = sum(len(one.rows) for one in cases())
    text = f"""# One correction, every runtime

`python experiments/serving_runtimes.py` on {on}.

## Equal labels

The {n_rows:,} conformance rows, of 2 to 150 classes and {len(cases())} corrections, with the labels of a
literal evaluation in plain Python. *Refused* are corrections that are no logit bias. *Tied* rows are unequal,
and have two corrected values that are equal but for a last digit: what is given logarithms takes either of
them. *Masked* rows are unequal where the definition decides on a class of probability 0: a server never
names a token that it has masked.

{markdown(equal)}

## Time

Medians of {settings["repeats"]} interleaved measurements of CPU time on one thread, beside scikit-learn's
logistic regression on the same rows. The number in a name is that of classes. MLflow's times
include making a frame.

{markdown(rounded(times, {"one row, µs": 1, "times faster, one row": 1, "times faster, batch": 1}))}
"""
    (RESULTS / "serving_runtimes.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
