"""Certificates of held-out rows: what they state, what they refuse, and how often they hold."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias import EnsembleDebiaser, FuzzyDebiaser, LogBiasDebiaser, ProbabilityTable, WeightDebiaser, load
from debias.errors import CorrectionFileError, OverlapError, ParameterError, TableError
from debias.estimators.baselines.calibrations import BatchCalibration
from debias.guarantees.accuracy_bounds import clopper_pearson, most_cobias
from debias.guarantees.certification import certify, certify_in_order, certify_many
from debias.guarantees.guarantee import Guarantee
from debias.guarantees.named_shares import shares_of
from debias.metrics.confusion import cobias_of_accuracies
from tests.support.refusals import refused
from tests.support.small_tables import skewed_rows, skewed_table

NAMES = ["sun", "rain", "snow"]


@pytest.fixture(scope="module")
def rows():
    X, y = skewed_rows(n_samples=900)
    return pd.DataFrame(X, columns=NAMES), np.array(NAMES)[y]


@pytest.fixture(scope="module")
def debiaser(rows):
    return EnsembleDebiaser(n_starts=2).fit(rows[0][:300], rows[1][:300])


@pytest.fixture(scope="module")
def held_out(rows):
    return ProbabilityTable(rows[0][300:], rows[1][300:])


def test_it_counts_the_rows_of_each_class_and_states_exact_bounds(debiaser, rows, held_out):
    guarantee = certify(debiaser, held_out, confidence=0.9)
    labels, predicted = rows[1][300:], debiaser.predict(rows[0][300:])
    for k, name in enumerate(NAMES):
        assert guarantee.classes[k] == name
        assert guarantee.n[k] == (labels == name).sum()
        assert guarantee.correct[k] == ((labels == name) & (predicted == name)).sum()
    low, high = clopper_pearson(guarantee.correct, guarantee.n, 0.1 / 6)
    frame = guarantee.to_frame()
    np.testing.assert_allclose(frame["low"], low, atol=1e-12)
    np.testing.assert_allclose(frame["high"], high, atol=1e-12)
    assert guarantee.worst_class_at_least == pytest.approx(low.min())
    assert guarantee.cobias_at_most == pytest.approx(most_cobias(low, high))
    assert certify(debiaser, (rows[0][300:], labels), confidence=0.9) == guarantee


def test_columns_are_matched_by_name_and_arrays_by_position(debiaser, rows, held_out):
    guarantee = certify(debiaser, held_out)
    assert certify(debiaser, ProbabilityTable(rows[0][300:][NAMES[::-1]], rows[1][300:])) == guarantee
    y = np.array([NAMES.index(label) for label in rows[1]])
    plain = EnsembleDebiaser(n_starts=2).fit(rows[0].to_numpy()[:300], y[:300])
    by_number = certify(plain, (rows[0].to_numpy()[300:], y[300:]))
    assert by_number.correct == guarantee.correct
    assert by_number.classes == ("0", "1", "2")


def test_the_accuracy_at_any_mix_is_a_mean_of_accuracies_within_their_bounds(debiaser, held_out):
    """Brute force: no corner of the box leads out of the interval, and two reach its ends."""
    guarantee = certify(debiaser, held_out)
    rng = np.random.default_rng(0)
    for mix in rng.dirichlet(np.ones(3), 20):
        low, high = guarantee.accuracy(mix)
        corners = np.array(np.meshgrid(*zip(guarantee.low, guarantee.high, strict=True))).reshape(3, -1)
        reached = mix @ corners
        assert low == pytest.approx(reached.min()) and high == pytest.approx(reached.max())
        assert low >= guarantee.worst_class_at_least - 1e-12
    assert guarantee.accuracy() == guarantee.accuracy(np.array(guarantee.n) / sum(guarantee.n))


def test_a_mix_that_was_given_is_said(debiaser, held_out):
    mix = {"snow": 0.1, "sun": 0.7, "rain": 0.2}
    guarantee = certify(debiaser, held_out, class_mix=mix)
    assert guarantee.class_mix == (0.7, 0.2, 0.1)
    assert sum("70.0 %" in sentence and "sun" in sentence for sentence in guarantee.sentences()) == 1


@pytest.mark.parametrize(
    "mix",
    [
        {"sun": 1.0},
        {"sun": 0.5, "rain": 0.5, "fog": 0.0},
        [0.5, 0.6, 0.1],
        [1.2, -0.1, -0.1],
        [0.5, 0.5],
        "abc",
        3,
    ],
)
def test_a_mix_is_shares_of_the_classes(mix):
    with refused(ParameterError, parameter="class_mix", allowed=str):
        shares_of(mix, tuple(NAMES))


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"confidence": 95.0}, "confidence"),
        ({"precision": 0.0}, "precision"),
        ({"precision": 5}, "precision"),
        ({"class_mix": [1.0]}, "class_mix"),
    ],
)
def test_parameters_that_are_not_allowed(options, parameter, debiaser, held_out):
    with refused(ParameterError, parameter=parameter, allowed=str):
        certify(debiaser, held_out, **options)


def test_rows_that_are_no_held_out_rows(debiaser, rows, held_out):
    with refused(ParameterError, parameter="held_out"):
        certify(debiaser, rows[0])
    with refused(TableError, parameter="labels"):
        certify(debiaser, ProbabilityTable(rows[0]))
    with refused(TableError, received="fog", row=2):
        certify(debiaser, (rows[0][:3], ["sun", "rain", "fog"]))
    with refused(TableError, mentions=["fog", "sun"]):
        certify(debiaser, ProbabilityTable(rows[0].rename(columns={"sun": "fog"})[:3], ["fog"] * 3))
    with refused(ParameterError, parameter="held_out", received=(3, 3)):
        certify(debiaser, (rows[0][:3], ["sun"] * 2))
    for X in (rows[0].to_dict("list"), [["a", "b", "c"]], [[0.5, 0.5], [1.0]]):
        with refused(TableError, parameter="held_out"):
            certify(debiaser, (X, ["sun"] * len(X)))
    huge = rows[0][300:].assign(rain=1e308)  # whose logarithms and sums overflow
    with refused(TableError, row=0, column="rain", received=1e308):
        certify(debiaser, (huge, rows[1][300:]))


def test_fitted_rows_are_refused_however_few_and_in_any_order(debiaser, rows):
    X, y = rows
    with refused(OverlapError, parameter="held_out"):
        certify(debiaser, (X[:300], y[:300]))
    with refused(OverlapError, received=[1]):
        order = [300, 7, *range(301, 900)]
        certify(debiaser, (X.iloc[order], y[order]))
    shuffled = np.random.default_rng(0).permutation(300)
    with refused(OverlapError, received=list(range(300))):
        certify(debiaser, (X[:300].iloc[shuffled], y[:300][shuffled]))


def test_a_loaded_correction_knows_its_rows_too(debiaser, rows, tmp_path, held_out):
    debiaser.save(tmp_path / "c.json")
    loaded = load(tmp_path / "c.json")
    with refused(OverlapError, received=list(range(10))):
        certify(loaded, ProbabilityTable(rows[0][10:20][NAMES[::-1]], rows[1][10:20]))
    assert certify(loaded, held_out) == certify(debiaser, held_out)


def test_an_old_file_does_not_know_and_says_so(debiaser, held_out):
    old = EnsembleDebiaser()._restore(replace(debiaser.fitted_, row_digests=None), named=True)
    guarantee = certify(old, held_out)
    assert guarantee.checked == "nothing"
    assert guarantee.sentences()[-1] != certify(debiaser, held_out).sentences()[-1]


def test_texts_and_ids_decide_where_the_fitted_table_is_given():
    table = skewed_table(400, texts=[f"text {row}" for row in range(400)])
    opt, test = table.split(0.5)
    debiaser = WeightDebiaser(n_starts=2).fit(opt.probabilities, opt.labels)
    assert certify(debiaser, test, opt=opt).checked == "table"
    same_text = ProbabilityTable(test.probabilities, test.labels, texts=[opt.texts[3], *test.texts[1:]])
    assert certify(debiaser, same_text).checked == "digests"  # the probabilities differ
    with refused(OverlapError, received=[3]):
        certify(debiaser, same_text, opt=opt)
    with refused(ParameterError, parameter="opt"):
        certify(debiaser, test.take(range(50)), opt=test.take(range(50, 200)))


def test_coarse_rows_that_share_nothing_may_coincide_and_are_not_refused():
    """Two decimals: most rows have the probabilities of some fitted row, as they have of each other."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=600)
    first = np.clip(rng.normal(0.6 - 0.2 * y, 0.15), 0, 1).round(2)
    X = np.stack([first, 1 - first], axis=1)
    debiaser = WeightDebiaser(n_starts=2).fit(X[:300], y[:300])
    assert certify(debiaser, (X[300:], y[300:])).checked == "digests"


def test_repeated_rows_are_said(rows, debiaser):
    table = ProbabilityTable(rows[0][300:303], rows[1][300:303], texts=["One", "two", "one "])
    guarantee = certify(debiaser, table)
    assert guarantee.n_repeated == 1
    assert guarantee.sentences()[-1] != replace(guarantee, n_repeated=0).sentences()[-1]


def test_a_class_without_rows_may_be_anything(debiaser, rows):
    keep = rows[1][300:] != "rain"
    guarantee = certify(debiaser, (rows[0][300:][keep], rows[1][300:][keep]))
    assert (guarantee.low[1], guarantee.high[1]) == (0, 1)
    assert guarantee.worst_class_at_least == 0
    assert np.isnan(guarantee.accuracies[1])
    assert "rain" in guarantee.sentences()[-1]


def test_enough_rows_need_no_more():
    few, many = (Guarantee(classes=("a", "b"), n=(n, n), correct=(n // 2, n // 2)) for n in (100, 5000))
    assert len(few.sentences()) == len(many.sentences()) + 1
    assert max(many.labels_needed) < 5000


def test_a_wider_requirement_is_met_by_fewer_candidates_in_their_order(rows, held_out):
    X, y = rows[0][:300], rows[1][:300]
    kinds = {"ensemble": EnsembleDebiaser, "weights": WeightDebiaser, "memberships": FuzzyDebiaser}
    candidates = {name: kind(n_starts=2).fit(X, y) for name, kind in kinds.items()}
    candidates["log-bias"] = LogBiasDebiaser(n_starts=2).fit(X, y)
    alone = {name: certify(one, held_out) for name, one in candidates.items()}
    together = certify_many(candidates, held_out)
    for name, guarantee in together.items():
        assert guarantee.tail == pytest.approx(alone[name].tail / 4)
        assert guarantee.worst_class_at_least < alone[name].worst_class_at_least
    assert certify_many(candidates, held_out, keep=True) == together
    assert {name: one.guarantee_ for name, one in candidates.items()} == together
    floor = min(one.worst_class_at_least for one in alone.values())
    assert certify_in_order(candidates, held_out, worst_class=floor) == list(candidates)
    first_to_fail = next(i for i, one in enumerate(alone.values()) if one.worst_class_at_least == floor)
    passed = certify_in_order(candidates, held_out, worst_class=floor + 1e-9)
    assert passed == list(candidates)[:first_to_fail]
    assert certify_in_order(candidates, held_out, cobias=0.0) == []
    with refused(ParameterError, parameter="candidates"):
        certify_many({}, held_out)
    baseline = BatchCalibration().fit(X, y)
    assert certify(baseline, held_out).n == alone["weights"].n
    with refused(ParameterError, parameter="keep"):
        certify(baseline, held_out, keep=True)


def test_it_is_kept_in_the_file_and_checked_when_read(debiaser, held_out, tmp_path):
    kept = EnsembleDebiaser()._restore(debiaser.fitted_, named=True)
    assert kept.guarantee_ is None
    guarantee = certify(kept, held_out, class_mix=[0.5, 0.25, 0.25], keep=True)
    assert kept.guarantee_ == guarantee and debiaser.guarantee_ is None
    path = tmp_path / "c.json"
    kept.save(path)
    again = load(path)
    assert again.guarantee_ == guarantee
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == path.read_text()
    document = json.loads(path.read_text()) | {"checksum": None}
    for field, value in {
        "cobias_at_most": 0.01,
        "low": [0.9, 0.9, 0.9],
        "correct": [10**9, 0, 0],
        "n": [0, 0, 0],
        "n_candidates": 0,
        "confidence": 2,
        "class_mix": [1.0],
        "classes": ["sun", "rain", "fog"],
        "checked": "all",
    }.items():
        changed = document | {"guarantee": document["guarantee"] | {field: value}}
        path.write_text(json.dumps(changed))
        with refused(CorrectionFileError, file=str(path), parameter=str):
            load(path)
    del document["guarantee"]["n"]
    path.write_text(json.dumps(document))
    with refused(CorrectionFileError, parameter="n"):
        load(path)


def test_another_choice_has_no_guarantee(rows, held_out):
    debiaser = WeightDebiaser(n_weights=5, n_starts=2).fit(rows[0][:300], rows[1][:300])
    certify(debiaser, held_out, keep=True)
    assert debiaser.guarantee_ is not None
    assert debiaser.pick(0).guarantee_ is None
    assert debiaser.fit(rows[0][:300], rows[1][:300]).guarantee_ is None


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_guarantee_is_the_same_after_its_json(data):
    n = data.draw(st.lists(st.integers(0, 3000), min_size=2, max_size=6).filter(any))
    correct = [data.draw(st.integers(0, rows)) for rows in n]
    names = tuple(f"class {k}" for k in range(len(n)))
    guarantee = Guarantee(
        classes=names,
        n=tuple(n),
        correct=tuple(correct),
        confidence=data.draw(st.floats(0.5, 0.999)),
        n_candidates=data.draw(st.integers(1, 50)),
    )
    assert Guarantee.from_dict(json.loads(json.dumps(guarantee.to_dict()))) == guarantee
    assert (guarantee.low <= guarantee.high).all()
    own = guarantee.accuracies[np.array(n) > 0]
    assert cobias_of_accuracies(own) <= guarantee.cobias_at_most + 1e-12 or not all(n)


def coverage(accuracies, n, n_draws, confidence, seed=0):
    """Return the share of draws of held-out rows in which any statement fails."""
    rng = np.random.default_rng(seed)
    accuracies = np.array(accuracies)
    classes = tuple(f"class {k}" for k in range(len(accuracies)))
    mix, true_cobias = np.array(n) / sum(n), float(cobias_of_accuracies(accuracies))
    failed = []
    for _ in range(n_draws):
        correct = tuple(rng.binomial(n, accuracies).tolist())
        found = Guarantee(classes=classes, n=tuple(n), correct=correct, confidence=confidence)
        low, high = found.accuracy()
        failed.append(
            (accuracies < found.low).any()
            or (accuracies > found.high).any()
            or true_cobias > found.cobias_at_most
            or not low <= mix @ accuracies <= high
            or accuracies.min() < found.worst_class_at_least
        )
    return float(np.mean(failed))


def test_it_holds_about_as_often_as_it_says():
    share = coverage([0.9, 0.5, 0.6, 0.1], [60, 25, 300, 40], 300, 0.8)
    assert 0.0 < share <= 0.2 + 2 * np.sqrt(0.2 * 0.8 / 300)


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 5, 14])
@pytest.mark.parametrize("n", [20, 200, 2500])
def test_it_holds_as_often_as_it_says_in_many_draws(n_classes, n):
    accuracies = np.random.default_rng(n_classes).uniform(size=n_classes)
    share = coverage(accuracies, [n] * n_classes, 2000, 0.95)
    assert share <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 2000)


def test_nothing_is_warned_of(debiaser, held_out):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        certify(debiaser, held_out).sentences()
