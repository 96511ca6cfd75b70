"""Texts to labels in one scikit-learn pipeline."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from debias.errors import ParameterError
from debias.estimators.debiasers import EnsembleDebiaser
from debias.inference.collection.collection import collect
from debias.inference.pipeline import LabelProbabilities
from tests.support.question_task import LABELS, SHOWN, TASK, TEXTS
from tests.support.refusals import refused
from tests.support.tiny_models import tiny_engine


@pytest.fixture(scope="module")
def engine():
    return tiny_engine("qwen2")


@pytest.mark.parametrize("form", [list, tuple, np.array, pd.Series, lambda t: np.array(t, dtype=object)])
def test_texts_of_any_form_become_class_probabilities(engine, form):
    step = LabelProbabilities(engine, TASK, SHOWN)
    frame = step.fit_transform(form(TEXTS))
    expected = collect(engine, TASK, TEXTS, demonstrations=SHOWN, progress=False)
    pd.testing.assert_frame_equal(frame, expected.probabilities)
    assert list(step.get_feature_names_out()) == list(frame.columns) == list(TASK.class_names)


def test_the_index_of_a_series_is_kept(engine):
    texts = pd.Series(TEXTS, index=range(100, 110))
    assert list(LabelProbabilities(engine, TASK).fit_transform(texts).index) == list(range(100, 110))


def test_clones_share_the_engine_and_keep_the_parameters(engine):
    step = LabelProbabilities(engine, TASK, SHOWN, too_long="truncate")
    copy = clone(step)
    assert copy is not step and copy.engine is engine
    assert copy.get_params() == step.get_params()
    assert not hasattr(clone(step.fit(TEXTS)), "classes_")


@pytest.mark.parametrize("last", [EnsembleDebiaser(random_state=0), LogisticRegression()])
def test_a_pipeline_goes_from_texts_to_labels(engine, last):
    pipeline = clone(make_pipeline(LabelProbabilities(engine, TASK, SHOWN), last))
    predicted = pipeline.fit(TEXTS, LABELS).predict(TEXTS)
    table = collect(engine, TASK, TEXTS, LABELS, demonstrations=SHOWN, progress=False)
    alone = clone(last).fit(table.probabilities, table.labels)
    assert list(predicted) == list(alone.predict(table.probabilities))
    assert set(predicted) <= set(LABELS)


def test_what_is_refused(engine):
    with refused(ParameterError, parameter="engine", received="demo"):
        LabelProbabilities("demo", TASK).fit(TEXTS)
    for wrong, row, received in (("text", None, "text"), ([1], 0, 1), (None, None, None)):
        with refused(ParameterError, parameter="X", row=row, received=received):
            LabelProbabilities(engine, TASK).fit(wrong)
    with pytest.raises(NotFittedError):
        LabelProbabilities(engine, TASK).transform(TEXTS)
    with pytest.raises(NotFittedError):
        LabelProbabilities(engine, TASK).get_feature_names_out()
