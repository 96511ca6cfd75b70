"""The metrics of the harnesses are those of debias.metrics."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from debias import metrics
from debias.serving.harnesses.class_evenness import class_accuracies, cobias_of_pairs, worst_class_of_pairs

PAIRS = st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("abcdef")), min_size=1, max_size=60)


@given(PAIRS)
@pytest.mark.filterwarnings("ignore:fewer than two classes")
def test_they_are_the_metrics_of_the_package(pairs):
    labels, predictions = zip(*pairs, strict=True)
    assert cobias_of_pairs(pairs) == pytest.approx(metrics.cobias(labels, predictions))
    assert worst_class_of_pairs(pairs) == pytest.approx(metrics.worst_class_accuracy(labels, predictions))


def test_one_class_has_no_gap_and_no_sample_no_worst_class():
    with pytest.warns(UserWarning, match="fewer than two"):
        assert cobias_of_pairs([("a", "a")]) == 0.0
    assert np.isnan(worst_class_of_pairs([]))
    assert class_accuracies([]).shape == (0,)
