"""Errors have fields, render themselves for Python and for a command line, and can be pickled."""

import pickle

import pytest

from debias import errors
from debias.errors import DebiasError, ParameterError, StorageError, TableError, param

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DebiasError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_keeps_its_fields_when_it_is_pickled(kind):
    error = kind(
        parameter="cv", allowed="2 or more", received=1, fix=f"give {param('cv', '5')}", file="a.csv", row=3
    )
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind and vars(again) == vars(error) and str(again) == str(error)
    assert str(error) == "a.csv: row 3: cv must be 2 or more, got 1; give cv=5."


def test_a_sentence_alone_is_enough():
    assert str(TableError("only one class has rows")) == "only one class has rows."
    assert str(StorageError("the disk is full.")) == "the disk is full."


def test_the_words_of_a_command_line():
    error = ParameterError(
        f"{param('labels')} has 3 values",
        fix=f"pass {param('too_long', repr('truncate'))} or {param('normalise', True)}",
    )
    assert str(error) == "labels has 3 values; pass too_long='truncate' or normalise=True."
    options = {"too_long": "--too-long", "normalise": "--normalise"}
    assert error.render(options) == "labels has 3 values; pass --too-long truncate or --normalise."


def test_names_of_parameters_in_data_are_left_alone():
    """A value that is called like a parameter is data: it is never taken for one."""
    error = TableError("the class 'seed' must be there", fix=f"give {param('classes')}")
    assert (
        error.render({"seed": "--seed", "classes": "--classes"})
        == "the class 'seed' must be there; give --classes."
    )


def test_the_place_is_added_once():
    error = TableError("the value is missing", row=2).at(file="t.csv", row=9)
    assert (error.row, error.file, str(error)) == (2, "t.csv", "t.csv: row 2: the value is missing.")


def test_long_values_are_cut():
    error = ParameterError(parameter="classes", allowed="a list", received="x" * 5000)
    assert len(str(error)) < 260
