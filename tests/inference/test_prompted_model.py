"""The model of a table is asked as the table was collected, or it is refused; a bound is no probability."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from debias.errors import EngineError, ParameterError
from debias.inference.collection.collection import collect
from debias.inference.engine import LabelScores
from debias.inference.prompted_model import PromptedModel
from tests.support.plain_engine import LABELS, TASK, TEXTS, PlainEngine
from tests.support.refusals import refused
from tests.support.sampling_engines import SamplingEngine


class Scoring(PlainEngine):
    """Says by which tokens it scores labels, as engines of models do."""

    def __init__(self, scoring="label", **options):
        super().__init__(**options)
        self.scoring = scoring

    @property
    def fingerprint(self):
        return {**super().fingerprint, "scoring": self.scoring}


class Bounded(PlainEngine):
    """Knows no more than a bound of the second label."""

    def label_scores(self, prompts, labels, on_answer=None):
        exact = super().label_scores(prompts, labels).logprobs
        return LabelScores(exact, np.arange(len(labels)) == np.ones((len(prompts), 1)))


def test_texts_are_asked_after_the_prompt_of_the_table():
    table = collect(Scoring(), TASK, TEXTS, LABELS, progress=False)
    model = PromptedModel.of_table(Scoring(), replace(TASK, name="renamed"), table)
    engine = Scoring()
    exact = engine.label_logprobs([TASK.prompt(text) for text in ("", "N/A")], TASK.continuations)
    received = model.answers(["", "N/A"])
    assert list(received.columns) == list(TASK.class_names)
    np.testing.assert_allclose(received, softmax(exact, axis=1), atol=1e-6)


@pytest.mark.parametrize(
    "changed",
    [
        {"prefix": "How is the mood?"},
        {"question_prefix": "Review: "},
        {"answer_prefix": "Mood:\n"},
        {"labels": ("poor", "fine", "great"), "class_names": ("bad", "fine", "great")},
        {"class_names": ("fine", "bad", "great"), "labels": ("fine", "bad", "great")},
    ],
)
def test_another_task_than_that_of_the_table_is_refused(changed):
    table = collect(Scoring(), TASK, TEXTS, LABELS, progress=False)
    with refused(ParameterError, parameter="task", received=TASK.name, mentions=next(iter(changed))):
        PromptedModel.of_table(Scoring(), replace(TASK, **changed), table)


def test_other_scores_than_those_of_the_table_are_refused():
    table = collect(Scoring(), TASK, TEXTS, LABELS, progress=False)
    with refused(ParameterError, parameter="scoring", received="first-token", mentions="'label'"):
        PromptedModel.of_table(Scoring("first-token"), TASK, table)


def test_votes_are_not_mixed_with_probabilities():
    table = collect(SamplingEngine(name="plain"), TASK, TEXTS[:6], LABELS[:6], votes=4, progress=False)
    with refused(ParameterError, parameter="task"):
        PromptedModel.of_table(PlainEngine(), TASK, table)


def test_a_bound_is_not_taken_for_a_probability():
    model = PromptedModel(Bounded(), TASK)
    with refused(EngineError, parameter="engine", received="fine", mentions="N/A"):
        model.answers(["N/A"])
