"""A served correction: equal to the estimator that wrote it, with NumPy alone, whatever the rows come in."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from debias import CalibratedDebiaser, EnsembleDebiaser, LogBiasDebiaser, WeightDebiaser
from debias import load as load_debiaser
from debias.corrections.correction import Function
from debias.corrections.families import Family
from debias.errors import CorrectionFileError, TableError
from debias.serving import apply, load
from tests.support.refusals import refused
from tests.support.small_tables import skewed_rows

P, y = skewed_rows(0, 300, 4)
NAMES = ["sun", "rain", "fog", "snow"]
DEBIASERS = {
    "weight": WeightDebiaser(),
    "ensemble": EnsembleDebiaser(search="descent"),
    "wide": EnsembleDebiaser(family="wide", search="descent"),
    "polished": EnsembleDebiaser(search="descent", polish=True),
    "log-bias": LogBiasDebiaser(),
    "affine": CalibratedDebiaser(),
    "trees": CalibratedDebiaser(base="trees", family="none"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("corrections")


@pytest.fixture(scope="module", params=DEBIASERS)
def pair(request, folder):
    """Return a debiaser that was fitted on a frame whose columns are not sorted, and its file."""
    X = pd.DataFrame(P, columns=NAMES)
    debiaser = DEBIASERS[request.param].fit(X, np.array(NAMES)[y])
    path = folder / f"{request.param}.json"
    debiaser.save(path)
    return debiaser, path


def test_it_predicts_what_the_estimator_predicts(pair):
    debiaser, path = pair
    served, X = load(path), pd.DataFrame(P, columns=NAMES)
    assert served.classes == tuple(NAMES)
    assert np.array_equal(served.predict(P), debiaser.predict(X))
    assert np.array_equal(served.values(P), np.asarray(debiaser.transform(X)))
    assert np.array_equal(served.shares(P)[:, debiaser.columns_], debiaser.predict_proba(X))
    assert np.array_equal(apply(path, X[["fog", "snow", "sun", "rain"]]), debiaser.predict(X))
    assert np.array_equal(apply(served, dict(X.items())), debiaser.predict(X))
    assert [served.predict(row[None])[0] for row in P[:40]] == debiaser.predict(X)[:40].tolist()


def test_threads_may_share_it(pair):
    _, path = pair
    served = load(path)
    expected = served.predict(P)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: load(path).predict(P) if _ % 2 else served.predict(P), range(24)))
    assert all(np.array_equal(answer, expected) for answer in answers)


def test_integer_labels_come_back_as_integers(tmp_path):
    WeightDebiaser().fit(P, y).save(tmp_path / "c.json")
    served = load(tmp_path / "c.json")
    assert served.predict(P).dtype.kind == "i"
    assert np.array_equal(served.predict(pd.DataFrame(P)), served.predict(P))
    strings = pd.DataFrame(P, columns=["0", "1", "2", "3"])
    assert np.array_equal(served.predict(strings[["3", "0", "1", "2"]]), served.predict(P))


@pytest.mark.parametrize(
    ("rows", "fields"),
    [
        ([[0.5, 0.5]], {"parameter": "probabilities", "received": (1, 2)}),
        ([0.25] * 4, {"parameter": "probabilities", "received": (4,)}),
        ([[0.7, 0.2, 0.1, 0.1]], {"row": 0}),
        ([[0.25] * 4, [np.nan, 0.5, 0.25, 0.25]], {"row": 1, "column": "sun"}),
        ([[0.25] * 4, [0.5, -0.5, 0.5, 0.5]], {"row": 1, "column": "rain", "received": -0.5}),
        ([["a", "b", "c", "d"]], {}),
        ({"sun": [1.0], "rain": [0.0]}, {"parameter": "the columns", "received": ["sun", "rain"]}),
        (pd.DataFrame([[0.25] * 4], columns=["sun", "rain", "fog", "hail"]), {"parameter": "the columns"}),
        (np.empty((0, 4)), {}),
        (dict(zip(NAMES, ([0.25, 0.25], [0.25], [0.25], [0.25]), strict=True)), {}),
        (dict.fromkeys(NAMES, [0.25 + 1j]), {}),
        (np.full((1, 4), 0.25 + 1j), {}),
        (np.array([[1, 0, 0, 0]], dtype="timedelta64[s]"), {}),
        ([[10**400, 0, 0, 0]], {}),
        (np.ma.masked_array([[0.25] * 4], mask=[[0, 0, 1, 0]]), {"row": 0, "column": "fog"}),
        (
            pd.DataFrame([[0.25] * 5], columns=[*NAMES, "sun"]),
            {"parameter": "the columns", "received": [*NAMES, "sun"]},
        ),
    ],
)
def test_rows_that_are_no_distributions_are_refused(folder, pair, rows, fields):
    with refused(TableError, **fields):
        load(pair[1]).predict(rows)


def test_columns_are_those_of_any_kind_of_frame(pair):
    _, path = pair
    served, turned = load(path), pd.DataFrame(P, columns=NAMES)[NAMES[::-1]]
    table = pa.Table.from_pandas(turned)
    for rows in (turned, turned.astype(object), table, table.to_batches()[0], turned.to_dict("list")):
        assert np.array_equal(served.predict(rows), served.predict(P))


@pytest.fixture
def named(tmp_path):
    """Return what writes a correction whose two labels are others than those of its fit."""
    WeightDebiaser().fit(P[:, :2] / P[:, :2].sum(axis=1, keepdims=True), y % 2).save(tmp_path / "c.json")
    document = json.loads((tmp_path / "c.json").read_text()) | {"checksum": None}

    def write(labels):
        for entry, label in zip(document["classes"], labels, strict=True):
            entry["label"] = label
        (tmp_path / "c.json").write_text(json.dumps(document))
        return tmp_path / "c.json"

    return write


@pytest.mark.parametrize(
    "labels",
    [["", " "], ['say "no"', "a\nb"], ["a\u202eb", "\ud800"], ["a\0b", "a"], [2**63 - 1, -(2**63)]],
)
def test_labels_come_back_as_the_file_has_them(named, labels):
    path = named(labels)
    for found in (load(path).predict(np.eye(2)).tolist(), load_debiaser(path).predict(np.eye(2)).tolist()):
        assert found == labels and set(map(type, found)) == {type(labels[0])}


@pytest.mark.parametrize("labels", [["sun", "sun\0"], [1, 2**63], [2**80, -1]])
def test_labels_that_numpy_would_change_are_refused(named, labels):
    path = named(labels)
    for read in (load, load_debiaser):
        with refused(CorrectionFileError, parameter="label", file=str(path)):
            read(path)


def test_files_are_refused_as_the_estimators_refuse_them(tmp_path):
    own = Family.of([*WeightDebiaser()._family(), Function("square", np.square)])
    debiaser = EnsembleDebiaser(family=own, search="descent").fit(P, y)
    debiaser.save(tmp_path / "c.json")
    document = json.loads((tmp_path / "c.json").read_text())
    (tmp_path / "cut.json").write_text((tmp_path / "c.json").read_text()[:-30])
    changed = document | {"classes": document["classes"][::-1]}
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    missing = {name: value for name, value in document.items() if name != "classes"} | {"checksum": None}
    (tmp_path / "missing.json").write_text(json.dumps(missing))
    document["classes"][0]["correction"] = {"kind": "function", "id": 1000, "label": "square"}
    (tmp_path / "own.json").write_text(json.dumps(document | {"checksum": None}))
    for name in ("absent", "cut", "changed", "missing", "own"):
        path = tmp_path / f"{name}.json"
        with refused(CorrectionFileError, file=str(path)) as error:
            load(path)
        with refused(CorrectionFileError, file=str(path)) as other:
            load_debiaser(path)
        assert name == "own" or str(error.value) == str(other.value)


def test_it_needs_nothing_but_numpy():
    code = (
        "import sys, numpy\nbefore = set(sys.modules)\nimport debias.serving\n"
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - set(sys.stdlib_module_names) == {"debias", "numpy"}


def test_columns_that_are_only_numbered_are_read_as_the_estimator_reads_them(tmp_path):
    """Classes are numbers in another order: two readings, of which none is taken in silence."""
    order = [2, 0, 3, 1]
    debiaser = WeightDebiaser(classes=order).fit(P, np.array(order)[y])
    debiaser.save(tmp_path / "c.json")
    served, again = load(tmp_path / "c.json"), load_debiaser(tmp_path / "c.json")
    expected = debiaser.predict(P)
    named = pd.DataFrame(P, columns=pd.Index(order))
    for predict in (served.predict, again.predict):
        assert np.array_equal(predict(P), expected)
        assert np.array_equal(predict(named), expected)
        with refused(TableError, parameter="the columns", received=[0, 1, 2, 3], mentions=order):
            predict(pd.DataFrame(P))
    turned = named[sorted(order)]
    turned.columns = pd.Index(sorted(order), dtype=object)  # names of their own
    assert np.array_equal(served.predict(turned), expected)
    assert np.array_equal(served.predict(turned.set_axis(list("0123"), axis=1)), expected)
    assert np.array_equal(served.predict(dict(turned.items())), expected)


def test_a_frame_with_numbers_for_names_is_not_taken_for_one_without(tmp_path):
    order = [1, 0, 2, 3]
    debiaser = WeightDebiaser().fit(pd.DataFrame(P, columns=order), np.array(order)[y])
    with refused(TableError, parameter="the columns", received=[0, 1, 2, 3]):
        debiaser.predict(pd.DataFrame(P))
    texts = WeightDebiaser().fit(pd.DataFrame(P, columns=[*map(str, order)]), np.array([*map(str, order)])[y])
    texts.save(tmp_path / "c.json")
    for predict in (
        texts.predict,
        load(tmp_path / "c.json").predict,
        load_debiaser(tmp_path / "c.json").predict,
    ):
        with refused(TableError, parameter="the columns", received=[0, 1, 2, 3]):
            predict(pd.DataFrame(P))


def test_truth_values_are_classes_of_a_frame_without_names(tmp_path):
    X = P[:, :2] / P[:, :2].sum(axis=1, keepdims=True)
    debiaser = WeightDebiaser().fit(X, y % 2 == 1)
    debiaser.save(tmp_path / "c.json")
    served = load(tmp_path / "c.json")
    for rows in (X, pd.DataFrame(X), pd.DataFrame(X, columns=[False, True])):
        assert np.array_equal(served.predict(rows), debiaser.predict(X))
    turned = pd.DataFrame(X, columns=[False, True]).iloc[:, ::-1]
    assert np.array_equal(served.predict(turned), debiaser.predict(X))


def test_a_correction_that_was_read_is_fitted_again_on_the_same_columns(tmp_path):
    order = [2, 0, 3, 1]
    debiaser = WeightDebiaser(classes=order).fit(P, np.array(order)[y])
    debiaser.save(tmp_path / "c.json")
    again = load_debiaser(tmp_path / "c.json").fit(P, np.array(order)[y])
    assert again.choice_.tolist() == debiaser.choice_.tolist()
    assert np.array_equal(again.predict(P), debiaser.predict(P))


def test_a_tensor_with_a_gradient_is_refused_with_what_its_library_says(pair):
    torch = pytest.importorskip("torch")
    served = load(pair[1])
    with refused(TableError, mentions="detach"):
        served.predict(torch.tensor(P, requires_grad=True))
    assert np.array_equal(served.predict(torch.tensor(P)), served.predict(P))
