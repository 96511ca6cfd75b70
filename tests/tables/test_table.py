"""The probability table itself: what it accepts, refuses, hands out, divides and compares."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.errors import DebiasError, OverlapError, ParameterError, TableError
from debias.tables.overlap import check_disjoint, remove_overlap
from debias.tables.splitting import plain_text
from debias.tables.table import ProbabilityTable
from tests.support.refusals import refused

NAMES = ["no", "yes", "maybe"]
VALUES = [[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.0, 1.0, 0.0]]


def make_table(**options):
    """Return three rows with everything a table can have."""
    parts = {
        "labels": ["no", "maybe", "yes"],
        "classes": NAMES,
        "ids": ["a", "b", "c"],
        "label_mass": [0.9, 0.8, 0.7],
        "texts": ["one", "two", "three"],
        "metadata": {"model": "demo", "shots": 1},
    }
    return ProbabilityTable(VALUES, **(parts | options))


def test_parts_come_back_as_they_went_in():
    table = make_table()
    assert len(table) == 3
    assert table.classes == ("no", "yes", "maybe")
    pd.testing.assert_frame_equal(table.probabilities, pd.DataFrame(VALUES, columns=NAMES))
    assert table.to_numpy().dtype == np.float64
    assert table.labels.tolist() == ["no", "maybe", "yes"]
    assert table.labels.name == "label"
    assert table.label_indices.tolist() == [0, 2, 1]
    assert table.label_indices.dtype == np.int64
    assert table.ids.tolist() == ["a", "b", "c"]
    assert table.label_mass.tolist() == [0.9, 0.8, 0.7]
    assert table.texts.tolist() == ["one", "two", "three"]
    assert table.metadata == {"model": "demo", "shots": 1, "normalised": False}


def test_least_table_numbers_classes_and_rows():
    table = ProbabilityTable([[0.5, 0.5], [0.1, 0.2]])
    assert table.classes == ("0", "1")
    assert table.ids.tolist() == ["0", "1"]
    assert table.labels is None
    assert table.label_mass is None
    assert table.texts is None
    assert table.to_numpy().tolist() == [[0.5, 0.5], [0.1, 0.2]]  # not normalised unasked
    with refused(TableError, parameter="labels", fix=str):
        table.label_indices  # noqa: B018


def test_data_frame_names_the_classes_and_loses_its_index():
    frame = pd.DataFrame({"b": [0.25, 0.5], "a": [0.75, 0.5]}, index=[7, 3])
    table = ProbabilityTable(frame, pd.Series(["a", "b"], index=[3, 7]))
    assert table.classes == ("b", "a")
    assert table.label_indices.tolist() == [1, 0]  # by position, not by index
    assert table.probabilities.index.tolist() == [0, 1]
    chosen = ProbabilityTable(frame.assign(note=1.0), classes=["a", "b"])
    assert chosen.to_numpy().tolist() == [[0.75, 0.25], [0.5, 0.5]]


@pytest.mark.parametrize(
    "labels",
    [
        [2, 0, 1],
        np.array([2, 0, 1], dtype=np.int8),
        np.array(["maybe", "no", "yes"]),
        pd.Series(["maybe", "no", "yes"], dtype="category"),
        pd.Series(["maybe", "no", "yes"], dtype="string"),
        pd.Series([2, 0, 1], dtype="Int64"),
        [2.0, 0.0, 1.0],
        ("maybe", "no", "yes"),
    ],
    ids=lambda labels: type(labels).__name__ + str(getattr(labels, "dtype", "")),
)
def test_labels_by_name_or_by_position(labels):
    table = make_table(labels=labels)
    assert table.label_indices.tolist() == [2, 0, 1]
    assert table.labels.tolist() == ["maybe", "no", "yes"]


def test_boolean_labels_are_names():
    table = ProbabilityTable([[0.5, 0.5], [0.4, 0.6]], [True, False], classes=["True", "False"])
    assert table.label_indices.tolist() == [0, 1]


def test_everything_handed_out_is_a_copy():
    source = np.array(VALUES)
    metadata = {"seeds": [0, 1]}
    table = ProbabilityTable(
        source, classes=NAMES, metadata=metadata, label_mass=np.ones(3), texts=["a", "b", "c"]
    )
    before = copy.deepcopy(table)
    source[0, 0] = 9
    metadata["seeds"].append(2)
    frame, ids, texts, mass = table.probabilities, table.ids, table.texts, table.label_mass
    frame.iloc[0, 0] = 9
    table.to_numpy()[0, 0] = 9
    ids.iloc[0] = "changed"
    texts.iloc[0] = "changed"
    mass.iloc[0] = 9
    table.metadata["seeds"].append(3)
    assert table.equals(before)
    for name in ("probabilities", "labels", "ids", "metadata", "classes"):
        with pytest.raises(AttributeError):
            setattr(table, name, None)


def test_a_table_survives_copying_and_sending_to_a_worker():
    table = make_table()
    assert copy.deepcopy(table).equals(table)
    assert pickle.loads(pickle.dumps(table)).equals(table)


def bad(row, column, value):
    """Return the values with one of them replaced."""
    values = np.array(VALUES)
    values[row, column] = value
    return values


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        (bad(1, 2, np.nan), {"row": 1, "column": "maybe"}),
        (bad(2, 0, np.inf), {"row": 2, "column": "no"}),
        (bad(0, 1, -np.inf), {"row": 0, "column": "yes"}),
        (bad(0, 1, -1e-9), {"row": 0, "column": "yes"}),
        (bad(0, 0, 1.5), {"row": 0, "column": "no", "fix": str}),
        (bad(2, 1, 0.0), {"row": 2, "received": 0.0, "fix": str}),
        (np.empty((0, 3)), {"received": (0, 3)}),
        ([[0.5, 0.5, "x"]], {"mentions": "'x'"}),
        ([[0.5, 0.5], [1.0]], {"row": None}),
        (
            pd.DataFrame({"no": [0.5, None], "yes": [0.5, 0.5], "maybe": [0.0, 0.0]}),
            {"row": 1, "column": "no"},
        ),
        (pd.DataFrame({"no": ["x"], "yes": [0.5], "maybe": [0.5]}), {"row": 0, "column": "no"}),
    ],
)
def test_refused_probabilities_name_row_and_column(values, fields):
    with refused(TableError, **fields):
        ProbabilityTable(values, classes=NAMES)


@pytest.mark.parametrize(
    ("values", "classes", "fields"),
    [
        ([[1.0]], None, {"parameter": "classes", "received": ["0"]}),
        ([0.5, 0.5], None, {"parameter": "classes"}),
        ([[0.5, 0.5]], ["a", "b", "c"], {"parameter": "classes", "received": ["a", "b", "c"]}),
        ([[0.5, 0.5]], ["a", "a"], {"parameter": "classes", "received": "a"}),
        ([[0.5, 0.5]], ["a", " "], {"parameter": "classes", "column": 1}),
        ([[0.5, 0.5]], ["a", None], {"parameter": "classes", "column": 1}),
        ([[0.5, 0.5]], [1, "1"], {"parameter": "classes", "received": "1"}),
        ([[0.5, 0.5]], "ab", {"parameter": "classes", "received": "ab"}),
        (pd.DataFrame({"a": [0.5], "b": [0.5]}), ["a", "z"], {"parameter": "classes", "received": "z"}),
    ],
)
def test_refused_classes(values, classes, fields):
    with refused(TableError, **fields):
        ProbabilityTable(values, classes=classes)


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"labels": ["no", "never", "yes"]}, {"row": 1, "column": "label"}),
        ({"labels": ["no", None, "yes"]}, {"row": 1, "column": "label"}),
        ({"labels": [0, 1, 3]}, {"row": 2, "column": "label"}),
        ({"labels": [0, 1, -1]}, {"row": 2, "column": "label"}),
        ({"labels": [0.0, 0.5, 2.0]}, {"row": 1, "column": "label"}),
        ({"labels": ["no"]}, {"column": "label", "received": (1,)}),
        ({"labels": "no"}, {"column": "label", "received": "no"}),
        ({"labels": [1, 2, 2], "classes": ["1", "2", "3"]}, {"column": "label", "fix": str}),
        ({"ids": ["a", "b", "a"]}, {"row": 2, "column": "id", "received": "a"}),
        ({"ids": [1, 2, "1"]}, {"row": 2, "column": "id", "received": "1"}),
        ({"ids": ["a", None, "b"]}, {"row": 1, "column": "id"}),
        ({"ids": ["a"]}, {"column": "id", "received": (1,)}),
        ({"texts": ["a", 3, "b"]}, {"row": 1, "column": "text"}),
        ({"texts": ["a", "b", float("nan")]}, {"row": 2, "column": "text"}),
        ({"label_mass": [0.5, 0.5, float("inf")]}, {"row": 2, "column": "label_mass"}),
        ({"label_mass": [0.5, -0.5, 0.5]}, {"row": 1, "column": "label_mass"}),
        ({"label_mass": ["x", 0.5, 0.5]}, {"column": "label_mass"}),
        ({"label_mass": [0.5]}, {"column": "label_mass", "received": (1,)}),
        ({"metadata": ["model"]}, {"parameter": "metadata", "received": ["model"]}),
        ({"metadata": {1: "x"}}, {"parameter": "metadata", "received": 1}),
        ({"metadata": {"when": float("nan")}}, {"parameter": "metadata", "mentions": "when"}),
        ({"metadata": {"model": object()}}, {"parameter": "metadata", "mentions": "model"}),
    ],
)
def test_refused_parts_name_row_and_column(options, fields):
    with refused(TableError, **fields) as caught:
        make_table(**options)
    assert isinstance(caught.value, DebiasError)
    assert isinstance(caught.value, ValueError)


def test_numbers_as_class_names_are_meant_by_strings():
    table = make_table(classes=["1", "2", "3"], labels=["1", "2", "2"])
    assert table.label_indices.tolist() == [0, 1, 1]


def test_normalising_only_when_asked_and_said_so():
    kept = ProbabilityTable([[0.2, 0.2], [0.3, 0.5]])
    divided = ProbabilityTable([[0.2, 0.2], [0.3, 0.5]], normalise=True)
    assert kept.metadata["normalised"] is False
    assert divided.metadata["normalised"] is True
    np.testing.assert_allclose(divided.to_numpy(), [[0.5, 0.5], [0.375, 0.625]])
    assert divided.label_mass.tolist() == [0.4, 0.8]  # what all labels together got before
    assert kept.normalised().equals(divided)
    assert kept.metadata["normalised"] is False


def test_scores_beyond_one_are_no_label_mass():
    table = ProbabilityTable([[3.0, 1.0], [1e308, 1e308]], normalise=True)
    assert table.to_numpy().tolist() == [[0.75, 0.25], [0.5, 0.5]]
    assert table.label_mass is None
    with refused(TableError, row=0, column="1", received=-1.0):
        ProbabilityTable([[3.0, -1.0]], normalise=True)


def test_known_label_mass_is_not_overwritten_by_normalising():
    table = ProbabilityTable([[0.2, 0.2]], label_mass=[0.9], normalise=True)
    assert table.label_mass.tolist() == [0.9]


def test_six_decimals_are_not_taken_for_label_mass():
    assert ProbabilityTable([[0.333333, 0.666666]], normalise=True).label_mass is None


@given(st.lists(st.lists(st.floats(0, 1e6), min_size=4, max_size=4).filter(any), min_size=1, max_size=8))
def test_normalised_rows_are_distributions_in_the_same_order(rows):
    table = ProbabilityTable(rows, normalise=True)
    np.testing.assert_allclose(table.to_numpy().sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(table.normalised().to_numpy(), table.to_numpy(), rtol=1e-12)
    ordered = np.argsort(np.array(rows), axis=1, kind="stable")
    assert (np.diff(np.take_along_axis(table.to_numpy(), ordered, axis=1), axis=1) >= 0).all()


def test_take_by_slice_mask_and_position():
    table = make_table()
    assert table.take(slice(1, None)).ids.tolist() == ["b", "c"]
    assert table.take([True, False, True]).labels.tolist() == ["no", "yes"]
    assert table.take([-1, 0]).texts.tolist() == ["three", "one"]
    assert table.take(1).label_mass.tolist() == [0.8]
    assert table.take([2]).to_numpy().tolist() == [[0.0, 1.0, 0.0]]
    assert table.take([0]).metadata == table.metadata


@pytest.mark.parametrize(
    ("rows", "fields"),
    [
        ([3], {"mentions": "3 rows", "fix": str}),
        ([0, 0], {"column": "id", "received": "a"}),
        ([False, False, False], {"received": (0, 3)}),
        ([True, False], {"mentions": "3 rows", "fix": str}),
        ([0.5], {"fix": str}),
        ("no", {"fix": str}),
    ],
)
def test_rows_that_cannot_be_taken(rows, fields):
    with refused(TableError, **fields):
        make_table().take(rows)


def random_table(n_samples=200, seed=0, **options):
    """Return a table of three classes with shares .7, .2 and .1."""
    rng = np.random.default_rng(seed)
    n_second, n_third = n_samples // 5, n_samples // 10
    labels = np.repeat([0, 1, 2], [n_samples - n_second - n_third, n_second, n_third])
    return ProbabilityTable(rng.dirichlet(np.ones(3), n_samples), rng.permutation(labels), **options)


def test_split_is_stratified_complete_and_repeatable():
    table = random_table()
    opt, test = table.split(test_size=0.25, seed=3)
    assert np.bincount(opt.label_indices).tolist() == [105, 30, 15]
    assert np.bincount(test.label_indices).tolist() == [35, 10, 5]
    assert sorted([*opt.ids, *test.ids], key=int) == table.ids.tolist()
    assert opt.ids.astype(int).is_monotonic_increasing
    check_disjoint(opt, test)
    again = table.split(test_size=0.25, seed=3)
    assert opt.equals(again[0])
    assert test.equals(again[1])
    assert not opt.equals(table.split(test_size=0.25, seed=4)[0])


def test_split_by_count_and_without_labels():
    table = ProbabilityTable(random_table().to_numpy())
    opt, test = table.split(test_size=30)
    assert (len(opt), len(test)) == (170, 30)
    assert opt.labels is None


def test_class_with_one_row_goes_to_opt():
    table = ProbabilityTable([[0.5, 0.3, 0.2]] * 9, [0] * 4 + [1] * 4 + [2])
    for seed in range(5):
        opt, test = table.split(seed=seed)
        assert 2 in opt.label_indices
        assert 2 not in test.label_indices
        assert len(test) == 5  # half of nine, rounded up


@settings(max_examples=40)
@given(st.lists(st.sampled_from(["One", "one ", "two", "three", "Four", "five"]), min_size=12, max_size=40))
def test_rows_with_the_same_text_stay_on_one_side(texts):
    texts += ["a", "b", "c", "d"]
    table = ProbabilityTable([[0.5, 0.5]] * len(texts), texts=texts)
    opt, test = table.split()
    assert not {plain_text(t) for t in opt.texts} & {plain_text(t) for t in test.texts}
    assert len(opt) + len(test) == len(table)
    check_disjoint(opt, test)


@pytest.mark.parametrize("test_size", [0, 1.0, -0.1, True, "half", None, 199, 1, 0.999])
def test_split_sizes_that_leave_a_class_out_are_refused(test_size):
    with refused(ParameterError, parameter="test_size", received=test_size):
        random_table().split(test_size=test_size)


def test_a_table_of_single_rows_cannot_be_divided():
    with refused(ParameterError, parameter="test_size", fix=str):
        ProbabilityTable([[0.5, 0.5]] * 2, [0, 1]).split()


def test_the_same_table_on_both_sides_is_refused():
    table = random_table()
    with refused(OverlapError, received=list(range(200)), fix=str):
        check_disjoint(table, table)
    rebuilt = ProbabilityTable(table.to_numpy(), table.label_indices)
    with pytest.raises(OverlapError):
        check_disjoint(table, rebuilt)  # read twice from one file
    with refused(OverlapError, received=[1]):
        check_disjoint(table.take([5, 6]), rebuilt.take([6, 7]))


def test_row_numbers_of_two_files_say_nothing():
    check_disjoint(random_table(seed=0), random_table(seed=1))


def test_given_ids_are_compared_across_files():
    first = random_table(20, ids=[f"q{i}" for i in range(20)])
    second = random_table(20, seed=1, ids=[f"q{i}" for i in range(18, 38)])
    with refused(OverlapError, received=[18, 19], mentions="'q18'"):
        check_disjoint(first, second)
    check_disjoint(first, random_table(20, seed=1, ids=[f"r{i}" for i in range(20)]))


def test_given_ids_are_compared_after_taking_rows_that_look_counted():
    ids = ["x", "0", "1"]
    first = ProbabilityTable([[0.5, 0.5], [0.2, 0.8], [0.6, 0.4]], ids=ids).take([1, 2])
    second = ProbabilityTable([[0.1, 0.9], [0.3, 0.7], [0.9, 0.1]], ids=ids).take([0, 1])
    with refused(OverlapError, mentions="'0'"):
        check_disjoint(first, second)


def test_given_ids_are_refused_even_where_the_texts_differ():
    first = ProbabilityTable([[0.5, 0.5]], ids=["q7"], texts=["asked one way"])
    second = ProbabilityTable([[0.4, 0.6]], ids=["q7"], texts=["asked another way"])
    with refused(OverlapError, mentions="q7"):
        check_disjoint(first, second)


def test_numbers_as_ids_give_way_to_texts():
    first = ProbabilityTable([[0.5, 0.5]], ids=["7"], texts=["one question"])
    check_disjoint(first, ProbabilityTable([[0.4, 0.6]], ids=["7"], texts=["another"]))
    with pytest.raises(OverlapError):
        check_disjoint(first, ProbabilityTable([[0.4, 0.6]], ids=["8"], texts=["One  question\n"]))


def test_texts_are_compared_whatever_the_ids():
    first = random_table(4, texts=["How far is it?", "b", "c", "d"], ids=list("wxyz"))
    second = random_table(4, seed=1, texts=["e", "f", "how far\tis it? ", "g"], ids=list("stuv"))
    with refused(OverlapError, received=[0], mentions=("'w'", "How far is it")):
        check_disjoint(first, second)


def test_remove_overlap_makes_tables_disjoint():
    table = random_table()
    rest = remove_overlap(table, table.take(slice(0, 50)))
    assert rest.ids.tolist() == [str(i) for i in range(50, 200)]
    check_disjoint(rest, table.take(slice(0, 50)))
    with refused(TableError):
        remove_overlap(table.take([0]), table)


@given(
    st.sets(st.integers(0, 15), min_size=1),
    st.sets(st.integers(0, 15), min_size=1),
)
def test_overlap_of_parts_of_one_table_is_their_intersection(first, second):
    table = random_table(16)
    opt, test = table.take(sorted(first)), table.take(sorted(second))
    if first & second:
        with refused(OverlapError, mentions=(len(first & second), len(first))):
            check_disjoint(opt, test)
    else:
        check_disjoint(opt, test)


def test_fingerprint_depends_on_values_ids_and_texts_only():
    table = make_table()
    assert table.fingerprint == make_table(labels=None, metadata={}).fingerprint
    assert (
        len({table.fingerprint, make_table(ids=list("xyz")).fingerprint, make_table(texts=None).fingerprint})
        == 3
    )
    assert table.fingerprint != table.take([1, 0, 2]).fingerprint


@pytest.mark.parametrize(
    "options",
    [
        {"labels": None},
        {"ids": ["a", "b", "d"]},
        {"texts": None},
        {"label_mass": [0.9, 0.8, 0.71]},
        {"metadata": {}},
        {"classes": ["no", "maybe", "yes"]},
    ],
)
def test_tables_that_differ_in_one_part_are_not_equal(options):
    assert make_table().equals(make_table())
    assert not make_table().equals(make_table(**options))


def test_representation_shows_size_and_classes():
    assert repr(make_table()) == "ProbabilityTable(3 rows, classes=['no', 'yes', 'maybe'], labelled)"
    assert repr(make_table(labels=None)).endswith("unlabelled)")
