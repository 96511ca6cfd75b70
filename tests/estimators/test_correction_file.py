"""Saved corrections: readable, whole or absent, the same again, and refused when not theirs."""

import copy
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias import EnsembleDebiaser, FuzzyDebiaser, Objective, WeightDebiaser, load, serving
from debias.corrections import Function, weights
from debias.corrections.bases.trees import Tree, TreeBase
from debias.corrections.correction_document import LARGEST_FILE, checksum_of
from debias.errors import CorrectionFileError
from tests.support.paths import ROOT
from tests.support.refusals import refused

NAMES = ["sun", "rain", "fög"]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 30)
    logits = rng.normal(size=(90, 3)) + 1.5 * np.eye(3)[y] + [0, 1, 2]
    X = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pd.DataFrame(X, columns=NAMES), np.array(NAMES)[y]


@pytest.fixture(scope="module")
def document(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "correction.json"
    EnsembleDebiaser(n_starts=2).fit(*rows).save(path)
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", [WeightDebiaser, FuzzyDebiaser, EnsembleDebiaser])
def test_the_same_again(kind, rows, tmp_path):
    X, y = rows
    debiaser = kind(n_starts=2, objective=Objective(cobias=2.0)).fit(X, y)
    debiaser.save(tmp_path / "correction.json")
    again = load(tmp_path / "correction.json")
    assert type(again) is kind
    np.testing.assert_array_equal(again.predict(X), debiaser.predict(X))
    np.testing.assert_array_equal(again.transform(X), debiaser.transform(X))
    np.testing.assert_array_equal(again.predict_proba(X), debiaser.predict_proba(X))
    pd.testing.assert_frame_equal(again.explain(), debiaser.explain())
    assert again.summary() == debiaser.summary()
    for name in ("choice_", "classes_", "objective_value_", "n_labels_", "data_fingerprint_", "improved_"):
        np.testing.assert_array_equal(getattr(again, name), getattr(debiaser, name))
    assert again.objective_.cobias == 2.0
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "correction.json").read_text()
    assert again.fit(X, y).choice_.tolist() == debiaser.choice_.tolist()


def test_integer_classes_stay_integers(rows, tmp_path):
    X, y = rows
    integers = np.array([NAMES.index(label) for label in y])
    debiaser = WeightDebiaser(n_starts=1).fit(X.to_numpy(), integers)
    debiaser.save(tmp_path / "c.json")
    predicted = load(tmp_path / "c.json").predict(X.to_numpy())
    assert predicted.dtype.kind == "i"
    np.testing.assert_array_equal(predicted, debiaser.predict(X.to_numpy()))


def test_fitted_with_classes_it_can_be_fitted_again(rows, tmp_path):
    X, y = rows
    debiaser = WeightDebiaser(n_starts=1, classes=NAMES).fit(X.to_numpy(), y)
    debiaser.save(tmp_path / "c.json")
    again = load(tmp_path / "c.json")
    assert again.fit(X.to_numpy(), y).choice_.tolist() == debiaser.choice_.tolist()


def test_a_person_can_read_it(document):
    assert document["format"] == "debias correction"
    assert [entry["label"] for entry in document["classes"]] == NAMES
    assert set(document["versions"]) == {"python", "debias-iterit", "numpy", "scikit-learn"}
    assert document["summary"].startswith(
        f"{sum(c['correction']['id'] != 17 for c in document['classes'])} of 3"
    )


def test_a_function_of_ones_own_needs_its_family(rows, tmp_path):
    X, y = rows
    family = [*weights(1), Function("square", np.square)]
    debiaser = EnsembleDebiaser(family=family, n_starts=2).fit(X, y)
    assert 1000 in debiaser.choice_
    debiaser.save(tmp_path / "c.json")
    with refused(CorrectionFileError, parameter="family", mentions="'square'"):
        load(tmp_path / "c.json")
    np.testing.assert_array_equal(load(tmp_path / "c.json", family=family).predict(X), debiaser.predict(X))


def test_nothing_is_left_when_writing_fails(rows, tmp_path, monkeypatch):
    debiaser = WeightDebiaser(n_starts=1).fit(*rows)
    path = tmp_path / "c.json"
    debiaser.save(path)
    before = path.read_text()
    debiaser.fitted_ = replace(debiaser.fitted_, objective_value=float("nan"))
    with pytest.raises(ValueError, match="JSON compliant|Out of range"):
        debiaser.save(path)
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["c.json"]


@pytest.mark.parametrize(
    ("content", "parameter"),
    [
        (b"", None),
        (b"{", None),
        (b"\xff\xfe\x00", None),
        (b"[" * 100_000, None),
        (b"[]", "format"),
        (b'"debias correction"', "format"),
        (b"null", "format"),
        (b'{"format": "something else"}', "format"),
        (b'{"format": "debias correction"}', "schema_version"),
        (b'{"format": "debias correction", "schema_version": 99}', "schema_version"),
        (b'{"format": "debias correction", "schema_version": 1}', "method"),
        (b"\x80\x04\x95", None),
    ],
)
def test_files_that_are_something_else(content, parameter, tmp_path):
    path = tmp_path / "c.json"
    path.write_bytes(content)
    with refused(CorrectionFileError, parameter=parameter, file=str(path)):
        load(path)


def test_missing_and_huge_files(tmp_path):
    with refused(CorrectionFileError, file=str(tmp_path / "none.json")):
        load(tmp_path / "none.json")
    with refused(CorrectionFileError, file=str(tmp_path)):
        load(tmp_path)
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with refused(CorrectionFileError, mentions=f"{LARGEST_FILE + 1:,}"):
        load(tmp_path / "huge.json")


def put(document, path, value):
    changed = copy.deepcopy(document) | {"checksum": None}
    at = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "parameter"),
    [
        (["method"], "Exploit", "method"),
        (["method"], 3, "method"),
        (["objective"], {"error": "x"}, None),
        (["objective"], {"__class__": 1}, None),
        (["objective"], [], None),
        (["objective_value"], True, "objective_value"),
        (["n_labels"], -1, "n_labels"),
        (["n_weights"], 1.5, "n_weights"),
        (["classes"], {}, "classes"),
        (["classes", 0, "label"], 3, "label"),
        (["classes", 0, "label"], "rain", "label"),
        (["classes", 0, "correction"], "x", "correction"),
        (["classes", 0, "correction", "kind"], "eval", "family"),
        (["classes", 0, "correction"], {"kind": "weight", "id": 1, "steps": 9, "of": 3}, "a weight"),
        (["classes", 0, "facts", "quartiles"], [1], None),
        (["classes", 0, "facts", "support"], "many", "support"),
        (["data_fingerprint"], None, "data_fingerprint"),
        (["interrupted"], "no", "interrupted"),
    ],
)
def test_fields_that_are_not_as_they_should_be(path, value, parameter, document, tmp_path):
    file = tmp_path / "c.json"
    file.write_text(json.dumps(put(document, path, value)))
    with refused(CorrectionFileError, parameter=parameter, file=str(file)):
        load(file)


WRITTEN = ROOT / "tests" / "data" / "corrections"
EXPECTED = json.loads((WRITTEN / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", EXPECTED["corrections"])
def test_corrections_written_before_load_and_predict_the_same(name, tmp_path):
    """Files of an earlier release: every method, bounds, few labels, a polish, a picked row, shapes."""
    debiaser = load(WRITTEN / f"{name}.json")
    X = np.array(EXPECTED["probabilities"])
    if hasattr(debiaser, "feature_names_in_"):
        X = pd.DataFrame(X, columns=debiaser.feature_names_in_)
    assert [str(label) for label in debiaser.predict(X)] == EXPECTED["corrections"][name]
    written = json.loads((WRITTEN / f"{name}.json").read_text(encoding="utf-8"))
    debiaser.save(tmp_path / "again.json")
    again = json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))
    if written["certificate"]:
        del written["certificate"]["seconds"]
        del again["certificate"]["limit"]
    changed = {key for key in again if again[key] != written.get(key, again[key])}
    assert changed <= {"summary", "versions", "schema_version", "checksum"}


@pytest.mark.parametrize("version", [1, 2])
def test_an_earlier_version_does_not_void_the_checksum(document, tmp_path, version):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(document | {"schema_version": version}), encoding="utf-8")
    with refused(CorrectionFileError, file=str(path)):
        load(path)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_a_flipped_bit_is_an_error(data, document, tmp_path_factory):
    content = bytearray(json.dumps(document, ensure_ascii=False).encode())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("flipped") / "c.json"
    path.write_bytes(content)
    try:
        load(path)
    except CorrectionFileError as error:
        assert error.file == str(path)
    else:
        assert json.loads(content) == document


def test_an_edited_file_is_read_when_it_says_so(document, tmp_path):
    edited = document | {"objective_value": 0.5}
    path = tmp_path / "c.json"
    path.write_text(json.dumps(edited, indent=1, sort_keys=True))
    with refused(CorrectionFileError, parameter="checksum", fix=str):
        load(path)
    path.write_text(json.dumps(edited | {"checksum": None}))
    assert load(path).objective_value_ == 0.5


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_a_damaged_file_loads_or_is_refused_but_nothing_else(data, document, tmp_path_factory):
    text = json.dumps(document | {"checksum": None})
    at = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 40))
    filling = data.draw(st.text(max_size=5))
    path = tmp_path_factory.mktemp("damaged") / "c.json"
    path.write_text(text[:at] + filling + text[at + length :], encoding="utf-8", errors="replace")
    try:
        debiaser = load(path)
    except CorrectionFileError:
        return
    assert debiaser.predict(
        np.full((1, 3), 1 / 3)
        if not hasattr(debiaser, "feature_names_in_")
        else pd.DataFrame(
            np.full((1, len(debiaser.feature_names_in_)), 1 / len(debiaser.feature_names_in_)),
            columns=debiaser.feature_names_in_,
        )
    ).shape == (1,)


def test_an_edited_file_that_is_written_again_still_says_so(document, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(document | {"objective_value": 0.5, "checksum": None}))
    for _ in range(2):
        debiaser = load(path)
        assert debiaser.fitted_.edited
        debiaser.save(path)
        written = json.loads(path.read_text())
        assert written["edited"] is True and written["checksum"] == checksum_of(written)
    path.write_text(json.dumps(document))
    assert not load(path).fitted_.edited
    load(path).save(path)
    assert "edited" not in json.loads(path.read_text())


def test_a_field_that_is_there_twice_is_refused(document, tmp_path):
    path = tmp_path / "c.json"
    text = json.dumps(document | {"checksum": None})
    path.write_text(text.replace('"correction": {', '"correction": {"id": 17, ', 1))
    for read in (load, serving.load):
        with refused(CorrectionFileError, file=str(path), mentions="'id'"):
            read(path)


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "weight", "id": 19, "steps": 1, "of": 30, "slope": 2.0},
        {
            "kind": "scaled",
            "id": 1,
            "factor": 0.5,
            "bias": 1,
            "correction": {"kind": "weight", "id": 19, "steps": 1, "of": 30},
        },
        {
            "kind": "scaled",
            "id": 1,
            "factor": 0.5,
            "correction": {"kind": "weight", "id": 19, "steps": 1, "of": 30, "w": 1},
        },
    ],
)
def test_a_number_that_a_correction_does_not_have_is_refused(entry, document, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(put(document, ["classes", 0, "correction"], entry)))
    for read in (load, serving.load):
        with refused(CorrectionFileError, parameter="correction", file=str(path)):
            read(path)


def test_what_is_written_is_small_enough_to_be_read(rows, tmp_path, monkeypatch):
    """Boosted trees of 150 classes take more than sixteen million bytes."""
    X, y = rows
    debiaser = WeightDebiaser(n_starts=1).fit(X, y)
    numbers = np.random.default_rng(0).normal(size=29)
    own = np.arange(29)
    left = np.where(own < 14, 2 * own + 1, own)
    right = np.where(own < 14, 2 * own + 2, own)
    tree = Tree(own % 3, numbers, left, right, numbers)

    def of_rounds(n_rounds):
        debiaser.fitted_ = replace(
            debiaser.fitted_, base=TreeBase(3, np.arange(3), np.zeros(3), ((tree,) * 3,) * n_rounds)
        )
        return debiaser

    of_rounds(4000).save(tmp_path / "c.json")
    assert (tmp_path / "c.json").stat().st_size > 2**24
    np.testing.assert_array_equal(load(tmp_path / "c.json").predict(X), debiaser.predict(X))
    monkeypatch.setattr("debias.estimators.fitted.correction_file.LARGEST_FILE", 2**20)
    with refused(CorrectionFileError, parameter="base", received="trees", file=str(tmp_path / "d.json")):
        of_rounds(400).save(tmp_path / "d.json")
    assert not (tmp_path / "d.json").exists()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("name", ["search_seconds", "unknown"])
def test_a_number_that_json_does_not_have_is_refused_in_an_edited_file(number, name, document, tmp_path):
    """Such a correction was loaded, and could neither be exported nor saved."""
    path = tmp_path / "c.json"
    text = json.dumps({**document, "checksum": None, name: "here"})
    path.write_text(text.replace('"here"', number))
    for read in (load, serving.load):
        with refused(CorrectionFileError, file=str(path), fix=str):
            read(path)
