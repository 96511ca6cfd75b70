"""A fit takes place wholly or not at all, and looking at a fitted debiaser does not change it."""

import copy

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from debias import (
    CalibratedDebiaser,
    Debiaser,
    EnsembleDebiaser,
    EnsembleDebiaserCV,
    LogBiasDebiaser,
    Objective,
    WeightDebiaser,
)
from debias.errors import ParameterError, TableError
from debias.estimators.baselines import BatchCalibration, VectorScaling
from debias.estimators.tuning.weights_only import against_ensemble
from tests.support.refusals import refused
from tests.support.small_tables import skewed_rows

VALUES, Y = skewed_rows(n_samples=120)
NAMES = np.array(["a", "b", "c"])
X, LABELS = pd.DataFrame(VALUES, columns=NAMES), NAMES[Y]
TURNED = X[NAMES[::-1]]
KINDS = {
    "weight": lambda: WeightDebiaser(n_weights=5, n_starts=1, shrink=False),
    "log-bias": lambda: LogBiasDebiaser(n_starts=1),
    "calibrated": lambda: CalibratedDebiaser(base="batch", n_starts=1),
    "debiaser": lambda: Debiaser(method="batch"),
    "cv": lambda: EnsembleDebiaserCV(settings=[Objective()], n_weights=3, n_starts=1, cv=2, search="descent"),
    "batch": BatchCalibration,
    "vector": VectorScaling,
}


def state(estimator):
    """Return what an estimator has learned, as far as predictions and refusals show it."""
    kept = {name: str(value) for name, value in vars(estimator).items() if name.endswith("_")}
    return kept, estimator.predict(X).tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "labels", [["?", *LABELS[1:]], [None] * 120], ids=["a label without a column", "no labels"]
)
def test_a_fit_that_is_refused_leaves_the_one_before(kind, labels):
    estimator = KINDS[kind]().fit(X, LABELS)
    before = state(estimator)
    with refused(TableError):
        estimator.fit(TURNED, labels)
    assert state(estimator) == before
    with pytest.raises(ValueError, match="feature names"):
        estimator.predict(TURNED)


@pytest.mark.parametrize("kind", ["weight", "log-bias", "calibrated", "debiaser", "cv"])
def test_a_fit_that_fails_after_its_rows_were_read_leaves_the_one_before(kind, monkeypatch):
    estimator = KINDS[kind]().fit(X, LABELS)
    before = state(estimator)
    with refused(ParameterError, parameter="sample_weight"):
        estimator.fit(TURNED, LABELS, sample_weight=np.full(120, -1.0))
    assert state(estimator) == before

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        learning = EnsembleDebiaser if kind == "cv" else type(estimator)
        patched.setattr(learning, "learn", interrupted)
        with pytest.raises(KeyboardInterrupt):
            estimator.fit(TURNED, LABELS)
    assert state(estimator) == before
    assert state(estimator.fit(X, LABELS))[1] == before[1]


@pytest.mark.parametrize("kind", KINDS)
def test_an_estimator_whose_only_fit_failed_is_not_fitted(kind):
    estimator = KINDS[kind]()
    with refused(TableError):
        estimator.fit(X, ["?", *LABELS[1:]])
    debiaser = WeightDebiaser(search="magic")
    with refused(ParameterError, parameter="search"):
        debiaser.fit(X, LABELS)
    for one in (estimator, debiaser):
        with pytest.raises(NotFittedError):
            one.predict(X)
        assert not hasattr(one, "classes_")


@pytest.mark.parametrize("look", [lambda debiaser, *rows: debiaser.expect(*rows), against_ensemble])
def test_rows_that_are_not_those_of_the_fit_change_nothing(look):
    debiaser = KINDS["weight"]().fit(X, LABELS)
    before = state(debiaser)
    for rows in ((TURNED, LABELS), (X[:100], LABELS[:100])):
        with refused(ParameterError, parameter="X and y"):
            look(debiaser, *rows)
        assert state(debiaser) == before
    arrays = KINDS["weight"]().fit(VALUES, LABELS)
    with refused(ParameterError, parameter="X and y"):
        look(arrays, VALUES, Y)  # the same classes by other names
    assert arrays.predict(VALUES).tolist() == before[1]


def test_a_picked_debiaser_is_one_of_its_own():
    debiaser = KINDS["weight"]().fit(X, LABELS).set_output(transform="pandas")
    picked = debiaser.pick(0)
    assert isinstance(picked.transform(X), pd.DataFrame)
    picked.set_output(transform="default")
    assert isinstance(debiaser.transform(X), pd.DataFrame)


def test_learned_attributes_of_a_class_can_be_looked_at():
    assert EnsembleDebiaser.choice_ is EnsembleDebiaser.choice_
    assert not hasattr(EnsembleDebiaser(), "choice_")
    assert hasattr(copy.copy(KINDS["weight"]().fit(X, LABELS)), "choice_")


@pytest.mark.parametrize("kind", ["weight", "log-bias", "calibrated", "debiaser", "cv"])
@pytest.mark.parametrize("random_state", [np.random.default_rng(0), -1, 2**32, 1.5, "0"])
def test_a_random_state_that_is_none_is_refused(kind, random_state):
    with refused(ParameterError, parameter="random_state", received=random_state, allowed=str):
        KINDS[kind]().set_params(random_state=random_state).fit(X, LABELS)


@pytest.mark.parametrize(
    ("debiaser", "parameter"),
    [
        (WeightDebiaser(polish="no"), "polish"),
        (EnsembleDebiaser(family=3), "family"),
        (EnsembleDebiaser(family=iter([])), "family"),
        (CalibratedDebiaser(family=None), "family"),
        (Debiaser(method=["weight"]), "method"),
        (Debiaser(monotone="no"), "monotone"),
        (EnsembleDebiaserCV(families=None), "families"),
        (EnsembleDebiaserCV(families=[["weights"]]), "families"),
        (EnsembleDebiaserCV(n_weights=3.5), "n_weights"),
        (EnsembleDebiaserCV(n_weights=True), "n_weights"),
        (EnsembleDebiaserCV(settings="x"), "settings"),
        (EnsembleDebiaserCV(cv=[([0, 1], [5000])]), "cv"),
        (EnsembleDebiaserCV(cv=[([0.5], [1.5])]), "cv"),
    ],
)
def test_parameters_of_another_kind_are_refused_by_name(debiaser, parameter):
    with refused(ParameterError, parameter=parameter, allowed=str if parameter != "cv" else None):
        debiaser.fit(X, LABELS)


def test_one_objective_is_a_list_of_one():
    one, several = (KINDS["cv"]().set_params(settings=given) for given in (Objective(), [Objective()]))
    assert one.fit(X, LABELS).choice_.tolist() == several.fit(X, LABELS).choice_.tolist()
