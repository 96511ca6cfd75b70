"""``debias show``: the card of a correction, of every kind of file, for people and for programs."""

import json
from pathlib import Path

import numpy as np
import pytest

from debias.errors import CorrectionFileError
from debias.estimators.fitted.correction_card import card_of
from debias.estimators.tuning.methods import load
from tests.support.commands import refusal, run, works
from tests.support.paths import ROOT
from tests.support.small_tables import skewed_table

OLD = sorted(p for p in (ROOT / "tests/data/corrections").glob("*.json") if p.stem != "expected")
META = {
    "model": "org/small",
    "template": "Text: {text}",
    "collection": {"engine": {"engine": "transformers", "weights": "a05d17f4", "tokenizer": "77b2"}},
    "engine": {"revision": "0123abcd"},
}


def flat(text):
    return " ".join(text.split())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    opt, test = skewed_table(300, metadata=META, texts=[f"text {row}" for row in range(300)]).split(0.5)
    opt.write("opt.parquet")
    test.write("test.parquet")
    works("fit", "opt.parquet", "--n-starts", 2, "--method", "weight")
    return tmp_path


def test_the_card_has_what_is_known(folder):
    before, data = flat(works("show", "correction.json").stdout), None
    fitted = load("correction.json").fitted_
    for said in ("org/small", "revision 0123abcd", "weights a05d17f4", "template Text: {text}", "77b2"):
        assert said in before
    assert fitted.data_fingerprint[:16] in before and "debias watch" in before
    assert fitted.certificate.proved in before
    assert "nothing yet" in before
    works("certify", "correction.json", "test.parquet", "--opt", "opt.parquet")
    after = flat(works("show", "correction.json").stdout)
    guarantee = load("correction.json").guarantee_
    for sentence in guarantee.sentences():
        assert flat(sentence).rstrip(".") in after
    data = json.loads(works("show", "correction.json", "--json").stdout)
    assert data["origin"]["model"] == "org/small" and data["guarantee"]["n"] == list(guarantee.n)
    assert [one["rows"] for one in data["classes"]] == [facts.support for facts in fitted.facts]
    lows = [one["guaranteed_at_least"] for one in data["classes"]]
    np.testing.assert_allclose(lows, guarantee.low)
    assert data["n_labels"] == fitted.n_labels and data["certificate"]["status"] == fitted.certificate.status


def test_a_picked_row_says_that_a_person_picked_it(folder):
    works("frontier", "opt.parquet", "--method", "weight", "--pick", 0)
    out = flat(works("show", "picked.json").stdout)
    assert "row 0 of the frontier, picked by hand" in out and "Proved for the fitted rows: nothing" in out
    assert json.loads(works("show", "picked.json", "--json").stdout)["picked_row"] == 0


def test_a_base_is_named(folder):
    said = flat(works("fit", "opt.parquet", "--method", "calibrated", "--out", "calibrated.json").stdout)
    assert "Proved: nothing: the search 'log-bias descent' proves nothing." in said
    assert "after " in flat(works("show", "calibrated.json").stdout)
    assert json.loads(works("show", "calibrated.json", "--json").stdout)["base"] != "identity"


@pytest.mark.parametrize("method", ["batch", "uncorrected"])
def test_where_nothing_was_searched_for_no_search_is_blamed(folder, method):
    works("fit", "opt.parquet", "--method", method, "--out", "plain.json")
    out = flat(works("show", "plain.json").stdout)
    assert "no correction was searched for" in out and "search auto" not in out
    assert ("only the base is used" in out) is (method == "batch")


def test_an_edited_file_says_that_its_figures_are_of_the_correction_before(folder):
    assert "was edited" not in works("show", "correction.json").stdout
    assert json.loads(works("show", "correction.json", "--json").stdout)["edited"] is False
    document = json.loads((folder / "correction.json").read_text()) | {"checksum": None}
    (folder / "correction.json").write_text(json.dumps(document))
    assert "was edited" in works("show", "correction.json").stdout
    assert json.loads(works("show", "correction.json", "--json").stdout)["edited"] is True
    works("certify", "correction.json", "test.parquet")
    assert "was edited" in works("show", "correction.json").stdout
    assert json.loads(works("show", "correction.json", "--json").stdout)["edited"] is True
    assert "was edited" in flat(run("watch", "test.parquet").stdout)


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_files_of_earlier_releases_have_a_card(path):
    card = card_of(load(path).fitted_)
    assert json.loads(json.dumps(card.data, allow_nan=False))["n_labels"] > 0
    assert len(card.classes) == len(card.data["classes"])
    fitted = load(path).fitted_
    if not fitted.feasible:
        assert any("bounds" in reason for reason in card.refit)


def test_hostile_names_steer_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["a\x1b[31m", "b\u202e"]
    table = skewed_table(80)
    from debias import WeightDebiaser

    X = table.probabilities.set_axis(names, axis=1)
    WeightDebiaser(n_weights=3).fit(X, [names[k] for k in table.label_indices]).save("c.json")
    for options in ([], ["--json"]):
        out = works("show", "c.json", *options).stdout
        assert not {"\x1b", "\u202e"} & set(out)


def test_what_is_no_correction_is_refused(tmp_path):
    path = tmp_path / "no.json"
    path.write_text("{}")
    error, line = refusal("show", path)
    assert isinstance(error, CorrectionFileError)
    assert "\n" not in line.strip()
    error, _ = refusal("show", Path("absent.json"))
    assert isinstance(error, CorrectionFileError)
