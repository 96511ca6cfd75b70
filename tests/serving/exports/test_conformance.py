"""Every runtime gives the 10,000 conformance rows the labels of the definition, and refuses the same rows."""

import json
import shutil
import subprocess

import numpy as np
import pytest

import debias
from debias.errors import ParameterError, TableError
from debias.serving import apply, load
from debias.serving.exports import logit_bias, plain_table, save_mlflow, to_onnx
from debias.serving.exports.logit_bias import biases_of
from tests.support.conformance import CASES, REFUSED, cases, judge
from tests.support.definition import evaluate
from tests.support.paths import ROOT

NODE = shutil.which("node")
READER = ROOT / "tests" / "serving" / "exports" / "table_reader.mjs"
LOGIT_BIASES = {
    "identity-3",
    "weights-2",
    "weights-6",
    "weights-150",
    "log-bias-6",
    "batch-3",
    "batch-weights-14",
}


@pytest.fixture(params=CASES)
def case(request):
    return next(one for one in cases() if one.name == request.param)


@pytest.fixture
def refusing(tmp_path):
    """A correction of two classes, to which refused rows are given."""
    return next(one for one in cases() if one.name == "weights-2").file(tmp_path)


def test_there_are_ten_thousand_rows_of_two_to_many_classes():
    assert sum(len(case.rows) for case in cases()) == 10_000
    sizes = {case.rows.shape[1] for case in cases()}
    assert min(sizes) == 2 and max(sizes) == 150


@pytest.mark.parametrize("name", ["weights-2", "ensemble-5", "wide-6", "shapes-4", "affine-6", "trees-5"])
def test_the_file_holds_the_labels_of_the_definition(name):
    (case,) = (one for one in cases() if one.name == name)
    assert judge(name)["expected"] == case.expected.tolist()


def test_the_rows_are_of_all_kinds():
    """Ties of corrected values, zeros, denormals, certainties, and rows that no corrected value decides."""
    found = dict.fromkeys(["tie", "zero", "denormal", "certain", "above one", "fallback"], 0)
    for case in cases():
        if len(case.classes) > 14:
            continue
        for row in case.rows.tolist():
            _, decisive = evaluate(case.document, row)
            found["tie"] += decisive.count(max(decisive)) > 1
            found["zero"] += 0.0 in row
            found["denormal"] += any(0 < p < 2.3e-308 for p in row)
            found["certain"] += 1.0 in row
            found["above one"] += max(row) > 1
            found["fallback"] += decisive == row and case.name.startswith("memberships")
    assert all(count > 50 for count in found.values()), found


def test_numpy_gives_the_labels_in_a_batch_and_one_by_one(case, tmp_path):
    served = load(case.file(tmp_path))
    assert (served.decide(case.rows) == case.expected).all()
    assert (apply(served, case.rows) == case.labels).all()
    alone = [served.decide(row[None])[0] for row in case.rows[::7]]
    assert (alone == case.expected[::7]).all()


def test_estimators_give_the_labels(case, tmp_path):
    assert (debias.load(case.file(tmp_path)).predict(case.rows) == case.labels).all()


def test_onnx_gives_the_labels_and_the_values(case, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    served = load(case.file(tmp_path))
    model = to_onnx(served)
    assert {node.domain for node in model.graph.node} == {""}
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    index, label, values = session.run(["index", "label", "values"], {"probabilities": case.rows})
    assert (index == case.expected).all()
    assert label.tolist() == case.labels.tolist()
    np.testing.assert_allclose(values, served.values(case.rows), rtol=1e-12, atol=1e-300)
    alone = [session.run(["index"], {"probabilities": row[None]})[0][0] for row in case.rows[::29]]
    assert (alone == case.expected[::29]).all()
    kept = session.get_modelmeta().custom_metadata_map
    assert json.loads(kept["classes"]) == case.classes and len(kept["checksum"]) == 64


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_javascript_gives_the_labels_and_refuses_the_same_rows(tmp_path, refusing):
    pairs = [(load(case.file(tmp_path)), case.rows, case.expected.tolist()) for case in cases()]
    pairs.append((load(refusing), np.array(list(REFUSED.values())), [None] * len(REFUSED)))
    arguments = []
    for number, (served, rows, _) in enumerate(pairs):
        table, binary = tmp_path / f"{number}.table", tmp_path / f"{number}.bin"
        table.write_text(json.dumps(plain_table(served), allow_nan=False), encoding="utf-8")
        binary.write_bytes(rows.astype("<f8").tobytes())
        arguments += [str(table), str(binary)]
    done = subprocess.run([NODE, str(READER), *arguments], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [expected for *_, expected in pairs]


def test_a_logit_bias_gives_the_labels_and_other_corrections_are_refused(case, tmp_path):
    served = load(case.file(tmp_path))
    tokens = [[1000 + k] for k in range(len(case.classes))]
    if case.name not in LOGIT_BIASES:
        with pytest.raises(ParameterError) as caught:
            logit_bias(served, tokens)
        assert caught.value.parameter == "correction" and "apply" in caught.value.fix
        return
    biases = np.array(list(logit_bias(served, tokens).biases.values()))
    with np.errstate(divide="ignore"):
        found = (np.log(case.rows) + biases).argmax(axis=1)
    values = served.values(case.rows)
    best = values.max(axis=1)
    rows = np.arange(len(best))
    np.testing.assert_allclose(values[rows, found], best, rtol=1e-12)  # equal, or tied in exact arithmetic
    ordered = np.sort(values, axis=1)
    is_clear = ordered[:, -2] < ordered[:, -1] * (1 - 1e-12)
    assert is_clear.mean() > 0.5
    assert (found == case.expected)[is_clear].all()


def test_mlflow_gives_the_labels(tmp_path, monkeypatch):
    pytest.importorskip("mlflow.pyfunc", reason="needs mlflow-skinny")
    import mlflow
    import pandas as pd

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for case in cases():
        if case.name not in ("weights-6", "ensemble-5", "integers-4", "affine-6", "trees-5"):
            continue
        folder = tmp_path / f"{case.name}-model"
        save_mlflow(case.file(tmp_path), folder)
        frame = pd.DataFrame(case.rows, columns=[str(label) for label in case.classes])
        model = mlflow.pyfunc.load_model(str(folder))
        found = model.predict(frame[frame.columns[::-1]])  # columns are matched by name
        assert (found["label"].to_numpy() == case.labels).all()
        some = model.predict(frame[::-2])["label"]  # a column of the same rows is matched by the index
        assert (some.sort_index().to_numpy() == case.labels[some.index.sort_values()]).all()
        assert [one.name for one in model.metadata.signature.inputs] == [str(label) for label in case.classes]
        assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]
    assert not list((tmp_path / "here").iterdir())  # no record of runs, which MLflow before 3.8 leaves


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED)
def test_python_runtimes_refuse_the_same_rows(row, refusing):
    rows = np.array([[0.5, 0.5], row])
    for runtime in (load(refusing).predict, debias.load(refusing).predict):
        with pytest.raises(TableError) as caught:
            runtime(rows)
        assert caught.value.row == 1


def test_onnx_marks_the_same_rows(refusing):
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    session = runtime.InferenceSession(to_onnx(load(refusing)).SerializeToString())
    rows = np.array([[0.5, 0.5], *REFUSED.values()])
    index, label = session.run(["index", "label"], {"probabilities": rows})
    assert index[0] >= 0 and (index[1:] == -1).all()
    assert label[0] and not any(label[1:])


@pytest.mark.parametrize("name", ["trees-5", "affine-6", "shapes-4", "integers-4"])
def test_onnx_marks_rows_of_nothing_but_nan(name, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    (case,) = (one for one in cases() if one.name == name)
    session = runtime.InferenceSession(to_onnx(load(case.file(tmp_path))).SerializeToString())
    rows = np.vstack([np.full(case.rows.shape[1], value) for value in (np.nan, np.inf, -np.inf)])
    index, label, _ = session.run(None, {"probabilities": np.vstack([rows, case.rows[:5]])})
    assert index.tolist() == [-1, -1, -1, *case.expected[:5]]
    assert label[3:].tolist() == case.labels[:5].tolist()


def test_the_biases_of_pure_weights_are_their_logarithms(tmp_path):
    (case,) = (one for one in cases() if one.name == "weights-6")
    entries = [one["correction"] for one in case.document["classes"]]
    expected = np.log([entry["steps"] / entry["of"] for entry in entries])
    np.testing.assert_allclose(biases_of(load(case.file(tmp_path))), expected)
