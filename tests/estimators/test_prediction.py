"""A correction on a table: classes matched by name, whatever the order of the columns."""

import numpy as np
import pandas as pd

from debias.errors import TableError
from debias.estimators.debiasers import EnsembleDebiaser, WeightDebiaser
from debias.estimators.prediction import describe_other_mixes, matched_probabilities, predict_table
from debias.tables.table import ProbabilityTable
from tests.support.refusals import refused


def random_table(n=60, classes=("yes", "no", "maybe"), seed=0, labelled=True, **parts):
    rng = np.random.default_rng(seed)
    values = rng.dirichlet(np.ones(len(classes)), n)
    labels = [classes[rng.choice(len(classes), p=row)] for row in values] if labelled else None
    return ProbabilityTable(values, labels, classes=classes, **parts)


def test_the_order_of_columns_does_not_matter():
    table = random_table()
    debiaser = EnsembleDebiaser(n_starts=2).fit(table.probabilities, table.labels)
    turned = ProbabilityTable(table.probabilities[["maybe", "yes", "no"]], table.labels, ids=table.ids)
    pd.testing.assert_frame_equal(predict_table(debiaser, table), predict_table(debiaser, turned))


def test_columns_and_values():
    table = random_table(texts=[f"text {row}" for row in range(60)])
    debiaser = EnsembleDebiaser(n_starts=2).fit(table.probabilities, table.labels)
    frame = predict_table(debiaser, table)
    assert frame.columns.tolist() == [
        *("id", "text", "label", "uncorrected", "prediction"),
        *("p_yes", "p_no", "p_maybe"),
    ]
    assert frame["prediction"].tolist() == debiaser.predict(table.probabilities).tolist()
    assert frame["uncorrected"].tolist() == table.probabilities.idxmax(axis=1).tolist()
    np.testing.assert_allclose(frame[["p_yes", "p_no", "p_maybe"]].sum(axis=1), 1)


def test_a_correction_fitted_on_an_array_fits_a_table_of_numbered_classes():
    table = random_table(classes=("0", "1", "2"))
    debiaser = WeightDebiaser(n_starts=2).fit(table.to_numpy(), table.label_indices)
    expected = [str(label) for label in debiaser.predict(table.to_numpy())]
    assert predict_table(debiaser, table)["prediction"].tolist() == expected


def test_an_unlabelled_table_has_no_label_column():
    table = random_table()
    debiaser = WeightDebiaser(n_starts=2).fit(table.probabilities, table.labels)
    assert "label" not in predict_table(debiaser, random_table(labelled=False, seed=1))


def test_other_classes_are_refused_by_name():
    table = random_table()
    debiaser = WeightDebiaser(n_starts=2).fit(table.probabilities, table.labels)
    with refused(TableError, mentions=("'maybe'", "'perhaps'")):
        matched_probabilities(debiaser, random_table(classes=("yes", "no", "perhaps")))
    with refused(TableError, mentions="'maybe'") as caught:
        matched_probabilities(debiaser, random_table(classes=("yes", "no")))
    assert "only the table" not in str(caught.value)


def test_another_mix_is_said_of_labels_else_of_predictions():
    table = random_table(n=400)
    debiaser = WeightDebiaser(n_starts=1, search="descent").fit(table.probabilities, table.labels)
    assert describe_other_mixes(debiaser, random_table(n=300, seed=1)) == []
    mostly_yes = np.flatnonzero((table.labels == "yes") | (np.arange(400) % 10 == 0))
    (said,) = describe_other_mixes(debiaser, table.take(mostly_yes))
    share, before = (
        f"{100 * np.mean(one == 'yes'):.1f} %" for one in (table.labels[mostly_yes], table.labels)
    )
    assert (
        said.startswith("The labels have a different class mix") and f"yes {share} ({before} there)" in said
    )
    columns = list(table.classes)
    unlabelled = ProbabilityTable(table.probabilities.to_numpy()[mostly_yes], classes=columns)
    (said,) = describe_other_mixes(debiaser, unlabelled)
    assert said.startswith("The model's own predictions have a different class mix")
    leaning = (table.probabilities.to_numpy() + [0.5, 0, 0]) / 1.5
    (said,) = describe_other_mixes(debiaser, ProbabilityTable(leaning, table.labels, classes=columns))
    assert said.endswith("The labels have not: the texts or the model have changed.")
