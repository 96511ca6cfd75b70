"""Watching a real fit: verdicts of shifts that are known, what each check needs, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from debias import CalibratedDebiaser, Debiaser, ProbabilityTable, WeightDebiaser, load, watch
from debias.errors import CorrectionFileError, ParameterError, RecordsError, TableError
from debias.guarantees.certification import certify
from debias.guarantees.watching.origin_facts import changed_facts, origin_facts, read_facts
from debias.guarantees.watching.reference import MOST_BY_CLASS, Reference
from debias.guarantees.watching.watcher import remember
from debias.tables.labels.late_labels import late_labels
from tests.support.refusals import refused
from tests.support.watched_rows import NAMES, drawn_rows, drawn_table

ENGINE = {"engine": "transformers", "weights": "a05d", "tokenizer": "77b2", "dtype": "float32"}
METADATA = {"model": "demo", "template": "Text: {text}\nClass:", "collection": {"engine": ENGINE}}


@pytest.fixture(scope="module")
def opt():
    return drawn_table(0, 500, mass=0.8, metadata=METADATA)


@pytest.fixture(scope="module")
def bare(opt):
    """Fitted, but nothing certified, and the table not remembered."""
    return WeightDebiaser(n_weights=10, n_starts=2).fit(opt.probabilities, opt.labels)


@pytest.fixture(scope="module")
def debiaser(bare, opt):
    known = WeightDebiaser()._restore(bare.fitted_, named=True)
    remember(known, opt)
    certify(known, drawn_table(1, 500), keep=True)
    return known


def names_of(watched):
    return {check.name for check in watched.checks if check.found}


@pytest.mark.parametrize("labelled", [False, True])
def test_it_holds_where_nothing_has_changed(debiaser, labelled):
    watched = watch(debiaser, drawn_table(2, 800, labelled=labelled, mass=0.8, metadata=METADATA))
    assert (watched.verdict, watched.exit_code) == ("holds", 0)
    assert watched.n_labelled == (800 if labelled else 0)
    assert (watched.accuracy is not None) == labelled
    assert not watched.changed and watched.held_out


@pytest.mark.parametrize("labelled", [False, True])
def test_another_mix_alone_leaves_class_accuracies_as_they_are(debiaser, labelled):
    mix = (0.8, 0.1, 0.1)
    watched = watch(debiaser, drawn_table(3, 1500, mix=mix, labelled=labelled, mass=0.8, metadata=METADATA))
    assert (watched.verdict, watched.exit_code) == ("mix shifted", 4)
    for one, share in zip(watched.classes, mix, strict=True):
        assert one.share == pytest.approx(share, abs=0.12)
        assert one.share_low <= share <= one.share_high
    assert ("shares of labels" in names_of(watched)) == labelled
    assert any("sun" in sentence for sentence in watched.sentences())


@pytest.mark.parametrize(
    "how", [{"scale": 0.4}, {"bias": (1.5, 0.0, -1.5)}, {"scale": 3.0}], ids=["model", "prompt", "sure"]
)
def test_another_model_or_prompt_is_no_mix_of_the_classes(debiaser, how):
    watched = watch(debiaser, drawn_table(4, 1500, labelled=False, mass=0.8, metadata=METADATA, **how))
    assert (watched.verdict, watched.exit_code) == ("expired", 5)
    assert names_of(watched) & {"probabilities of no class mix", "predictions of no class mix"}


def test_labels_tell_that_classes_are_predicted_worse(debiaser):
    P, y = drawn_rows(5, 600)
    wrong = np.where(np.random.default_rng(0).random(600) < 0.4, (y + 1) % 3, y)
    table = ProbabilityTable(pd.DataFrame(P, columns=NAMES), [NAMES[k] for k in wrong])
    watched = watch(debiaser, table)
    assert watched.verdict == "expired"
    assert {"class accuracy fell", "class accuracy below its guarantee"} <= names_of(watched)
    assert all(one.accuracy_high < one.guaranteed for one in watched.classes)
    assert watch(debiaser, ProbabilityTable(table.probabilities)).verdict == "holds"  # nothing else changed


def test_some_rows_may_have_labels(debiaser):
    table = drawn_table(6, 400)
    labels = [label if row % 4 == 0 else None for row, label in enumerate(table.labels)]
    watched = watch(debiaser, ProbabilityTable(table.probabilities), labels)
    assert watched.n_labelled == 100 and sum(one.n for one in watched.classes) == 100
    assert watch(debiaser, table, [None] * 400).n_labelled == 0
    assert watch(debiaser, table).n_labelled == 400
    with refused(ParameterError, parameter="labels"):
        watch(debiaser, table, ["sun"])
    with refused(TableError, received="fog", row=1):
        watch(debiaser, table, ["sun", "fog", *labels[2:]])


def test_without_a_guarantee_the_model_itself_is_compared(bare):
    watched = watch(bare, drawn_table(7, 800))
    assert watched.verdict == "holds" and not watched.held_out
    assert "class accuracy of the model fell" in {check.name for check in watched.checks}
    assert "label mass fell" not in {check.name for check in watched.checks}
    assert watch(bare, drawn_table(7, 800, scale=0.3)).verdict == "expired"


def test_a_fall_of_the_label_mass_is_found(debiaser):
    watched = watch(debiaser, drawn_table(8, 600, mass=0.5, labelled=False, metadata=METADATA))
    assert "label mass fell" in names_of(watched) and watched.verdict == "expired"
    risen = watch(debiaser, drawn_table(8, 600, mass=0.95, labelled=False, metadata=METADATA))
    assert "label mass fell" not in names_of(risen)


@pytest.mark.parametrize(
    ("change", "name", "ends"),
    [
        ({"template": "{text} is"}, "template", True),
        ({"model": "other", "collection": {"engine": ENGINE | {"weights": "ffff"}}}, "weights", True),
        ({"collection": {"engine": ENGINE | {"tokenizer": "0000"}}}, "tokenizer", True),
        ({"collection": {"engine": ENGINE | {"dtype": "bfloat16"}}}, "dtype", False),
    ],
)
def test_another_origin_ends_it_whatever_the_figures_say(debiaser, change, name, ends):
    watched = watch(debiaser, drawn_table(2, 800, mass=0.8, labelled=False, metadata=METADATA | change))
    changed = {one.name: one for one in watched.changed}
    assert changed[name].ends == ends
    assert watched.verdict == ("expired" if ends else "holds")
    assert not names_of(watched)


def test_the_same_weights_under_another_name_are_the_same_model():
    fitted = origin_facts(METADATA)
    moved = origin_facts(METADATA | {"model": "/models/demo"})
    assert not changed_facts(fitted, moved)
    vllm = {"engine": "vllm", "weights": "other digest", "tokenizer": "77b2"}
    assert [
        one.name for one in changed_facts(fitted, origin_facts(METADATA | {"collection": {"engine": vllm}}))
    ] == ["engine"]
    assert not changed_facts(fitted, {}) and not changed_facts({}, fitted)
    assert origin_facts({"collection": 3, "engine": "x", "model": None}) == {}


def test_a_shift_below_the_least_is_never_found(debiaser):
    table = drawn_table(9, 3000, mix=(0.5, 0.25, 0.25), labelled=False)
    assert watch(debiaser, table).verdict == "mix shifted"
    assert watch(debiaser, table, least_shift=0.3).verdict == "holds"
    for value in (-0.1, 1, "a"):
        with refused(ParameterError, parameter="least_shift", received=value):
            watch(debiaser, table, least_shift=value)
    with refused(ParameterError, parameter="confidence"):
        watch(debiaser, table, confidence=95)


def test_a_higher_confidence_finds_no_more(debiaser):
    for seed in range(3):
        table = drawn_table(seed, 200, mix=(0.5, 0.3, 0.2), labelled=False)
        some, fewer = (names_of(watch(debiaser, table, confidence=level)) for level in (0.9, 0.9999))
        assert fewer <= some


def test_no_confidence_is_rounded_to_certainty(debiaser):
    sentences = watch(debiaser, drawn_table(0, 100), confidence=0.9999).sentences()
    assert any("at most 0.01 % of such runs" in sentence for sentence in sentences)
    guarantee = replace(debiaser.fitted_.guarantee, confidence=0.9999999)
    assert "with 99.99999 % confidence" in guarantee.sentences()[0]


def test_rows_may_be_an_array_or_columns_in_another_order(bare):
    P, _ = drawn_rows(10, 300)
    frame = pd.DataFrame(P, columns=NAMES)
    assert watch(bare, frame).checks == watch(bare, ProbabilityTable(frame[NAMES[::-1]])).checks
    with refused(TableError):
        watch(bare, ProbabilityTable([[0.5, 0.5]], classes=["sun", "fog"]))


def test_every_fit_remembers_its_rows_as_they_came(opt):
    y = opt.label_indices
    expected = Reference.of(opt.to_numpy(), y).to_dict()
    for kind in (Debiaser(method="uncorrected"), CalibratedDebiaser(n_starts=1), WeightDebiaser(n_starts=1)):
        fitted = kind.fit(opt.probabilities, opt.labels)
        assert fitted.fitted_.reference.to_dict() == expected
    weighted = WeightDebiaser(n_starts=1).fit(
        opt.probabilities, opt.labels, np.where(np.arange(500) % 2, 1, 3)
    )
    assert weighted.fitted_.reference.to_dict() == expected
    few = WeightDebiaser(n_starts=1).fit(opt.probabilities[:60], opt.labels[:60])
    assert few.fitted_.reference.n_rows == 60


def test_it_is_in_the_file_and_every_number_is_checked(debiaser, tmp_path):
    path = tmp_path / "c.json"
    debiaser.save(path)
    again = load(path)
    assert again.fitted_.reference.to_dict() == debiaser.fitted_.reference.to_dict()
    table = drawn_table(11, 300, metadata=METADATA)
    assert watch(again, table).to_dict() == watch(debiaser, table).to_dict()
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == path.read_text()
    document = json.loads(path.read_text()) | {"checksum": None}
    assert document["schema_version"] == 5
    reference = document["reference"]
    first = reference["probabilities"][0]
    for changed in (
        {"predicted": [[1, 2], [3, 4]]},
        {"predicted": [[0, 0, 0]] * 3},
        {"predicted": [[-1, 0, 0]] * 3},
        {"probabilities": reference["probabilities"][:2]},
        {"probabilities": [first | {"edges": first["edges"][::-1]}, *reference["probabilities"][1:]]},
        {"probabilities": [first | {"edges": [1.5]}, *reference["probabilities"][1:]]},
        {"probabilities": [first | {"counts": [[1.5]] * 3}, *reference["probabilities"][1:]]},
        {"probabilities": [3, *reference["probabilities"][1:]]},
        {"label_mass": {"edges": [0.5], "counts": [[1, 2]] * 3}},
        {"origin": {"model": 3}},
        {"origin": {"model": "x" * 1000}},
    ):
        path.write_text(json.dumps(document | {"reference": reference | changed}))
        with refused(CorrectionFileError, file=str(path), parameter=str):
            load(path)
    for changed in (3, [], {}):
        path.write_text(json.dumps(document | {"reference": changed}))
        with refused(CorrectionFileError, file=str(path)):
            load(path)
    guarantee = document["guarantee"]
    for confusion in ([[1, 0], [0, 1]], "a", [[1, 2, 3]] * 3, [[1.0, 0, 0]] * 3):
        path.write_text(json.dumps(document | {"guarantee": guarantee | {"confusion": confusion}}))
        with refused(CorrectionFileError, parameter="confusion"):
            load(path)
    del guarantee["confusion"]
    path.write_text(json.dumps(document | {"guarantee": guarantee}))
    assert load(path).guarantee_.confusion is None
    assert not watch(load(path), table).held_out


def test_a_file_of_an_earlier_release_cannot_be_watched(debiaser):
    old = WeightDebiaser()._restore(replace(debiaser.fitted_, reference=None), named=True)
    with refused(ParameterError, parameter="correction", fix=str):
        watch(old, drawn_table(0, 10))
    with refused(ParameterError, parameter="correction"):
        watch(object(), drawn_table(0, 10))


def test_only_its_own_table_is_remembered(bare, opt):
    with refused(ParameterError, parameter="table"):
        remember(bare, drawn_table(1, 500))
    with refused(TableError, parameter="labels"):
        remember(bare, ProbabilityTable(opt.probabilities))


def test_what_limits_the_judgement_is_said(debiaser, opt):
    rows, few = watch(debiaser, opt), watch(debiaser, drawn_table(12, 8))
    assert len(rows.notes) > len(few.notes) - 2
    assert any("500" in note for note in rows.notes)  # all of these were fitted on
    assert any("8" in note for note in few.notes)
    repeated = drawn_table(13, 100).take(list(range(50)))
    twice = ProbabilityTable(pd.concat([repeated.probabilities] * 2, ignore_index=True))
    assert any("50" in note for note in watch(debiaser, twice).notes)


def test_many_classes_are_compared_as_a_whole():
    n_classes = MOST_BY_CLASS + 1
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(n_classes), size=400)
    reference = Reference.of(P, rng.integers(n_classes, size=400))
    assert not reference.by_class and reference.predicted.shape == (1, n_classes)
    again = Reference.from_dict(json.loads(json.dumps(reference.to_dict())), n_classes)
    assert again.to_dict() == reference.to_dict()


def test_labels_that_come_later_are_matched_by_id(tmp_path):
    table = ProbabilityTable([[0.7, 0.3], [0.4, 0.6], [0.5, 0.5]], classes=["no", "yes"], ids=["a", "b", "c"])
    path = tmp_path / "labels.csv"
    path.write_text("id,label\nc,no\na,yes\nz,yes\n")
    assert late_labels(table, path) == ["yes", None, "no"]
    path.write_text("id,label\na,yes\na,no\n")
    with refused(TableError, file=str(path), row=1, received="no"):
        late_labels(table, path)
    path.write_text("id,class\na,yes\n")
    with refused(TableError, file=str(path), row=0):
        late_labels(table, path)
    path.write_text("id,label\nz,yes\n")
    with refused(TableError, file=str(path), parameter="labels_from"):
        late_labels(table, path)
    with refused(RecordsError):
        late_labels(table, tmp_path / "none.csv")


@pytest.mark.parametrize("kind", [list, np.array, pd.Series, lambda y: pd.Series(y, dtype="Int64")])
def test_numbers_may_be_labels_of_some_rows(kind):
    """Beside a missing one they are floats."""
    P, y = drawn_rows(0, 200)
    debiaser = WeightDebiaser(n_weights=10, n_starts=1).fit(P, y)
    new, labels = drawn_rows(1, 100)
    some = kind([int(label) if row % 2 else None for row, label in enumerate(labels)])
    watched = watch(debiaser, new, some)
    assert watched.n_labelled == 50
    assert watched.accuracy == pytest.approx((debiaser.predict(new) == labels)[1::2].mean())
    with refused(TableError, row=3, received="7"):
        watch(debiaser, new, kind([None, 1, None, 7, *[None] * 96]))
    with refused(TableError, row=2):
        watch(debiaser, new, [None, 1, "two", *[None] * 97])


def test_a_label_mass_above_one_is_in_the_file(tmp_path):
    """Where one label begins another, its probability counts twice."""
    P, y = drawn_rows(0, 300)
    P[:20] = [[1 + k * 4e-8, 0, 0] for k in range(20)]  # as a softmax in float32 may be
    masses = np.linspace(0.5, 1.5, 300)
    table = ProbabilityTable(pd.DataFrame(P, columns=NAMES), [NAMES[k] for k in y], label_mass=masses)
    debiaser = WeightDebiaser(n_weights=10, n_starts=1).fit(table.probabilities, table.labels)
    remember(debiaser, table)
    debiaser.save(tmp_path / "c.json")
    again = load(tmp_path / "c.json")
    assert again.fitted_.reference.to_dict() == debiaser.fitted_.reference.to_dict()
    assert "label mass fell" in {check.name for check in watch(again, table).checks}
    document = json.loads((tmp_path / "c.json").read_text()) | {"checksum": None}
    document["reference"]["label_mass"]["edges"][-1] = float("inf")
    (tmp_path / "c.json").write_text(json.dumps(document))
    with refused(CorrectionFileError, file=str(tmp_path / "c.json")):
        load(tmp_path / "c.json")


def test_rounded_rows_are_said_to_be(debiaser):
    P, _ = drawn_rows(15, 300)
    whole, rounded = (watch(debiaser, pd.DataFrame(X, columns=NAMES)) for X in (P, P.round(6)))
    assert len(rounded.notes) == len(whole.notes) + 1


def test_long_names_of_facts_are_kept_short():
    facts = origin_facts({"collection": {"engine": {"x" * 500: "y"}}})
    assert read_facts(facts) == facts
