"""A probability table: the class probabilities of a prompted model, one row per sample.

Collected once and saved; everything after it runs without a model. A table never changes:
what it hands out are copies. Knows no model and no method.
"""

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.console.notebooks.card import card
from debias.console.number_formats import counted, percent
from debias.errors import TableError, param
from debias.tables.checks import check_parts, check_probabilities, names_and_values
from debias.tables.class_columns import FloatArray, IndexArray
from debias.tables.formats.cells.plain_text import on_its_line
from debias.tables.formats.file_formats import has_a_line_a_row, read_parts, write_parts
from debias.tables.labels.second_labels import warn_of_second_labels
from debias.tables.splitting import choose_test_groups, groups_of_texts, warn_of_copies
from debias.tables.table_parts import TableParts

_FACTS = ("model", "task", "template", "shots", "seed")
"""Metadata that a notebook shows."""


class ProbabilityTable:
    """Class probabilities of labelled or unlabelled samples; immutable.

    Parameters
    ----------
    probabilities : DataFrame or array-like of shape (n_samples, n_classes)
        Class probabilities. The columns of a DataFrame name the classes; its index is not kept:
        all parts belong together by position.
    labels : array-like of shape (n_samples,), optional
        Class names, or integers 0 .. n_classes - 1 that stand for columns.
    classes : sequence of str, optional
        Class names in column order; default: the columns of the DataFrame, else "0", "1", ...
    ids : array-like of shape (n_samples,), optional
        What names a sample, all different; default "0", "1", ..., which merely count the rows.
    label_mass : array-like of shape (n_samples,), optional
        Probability that all labels together got before normalisation.
    texts : array-like of str of shape (n_samples,), optional
        The classified texts.
    metadata : dict, optional
        JSON-able facts about the origin: model, task, template, shots, seed, versions.
    normalise : bool, default=False
        Divide each row by its sum. Without it rows are kept as they are. Either way
        ``metadata["normalised"]`` says whether the rows were divided. When they were, and their
        sums lay below 1, these sums become the label mass unless it is given.

    Raises
    ------
    TableError
        A part is not valid, or a column of a DataFrame seems to be no class; the message names row and
        column.

    Warns
    -----
    SecondLabelWarning
        A text has two labels.

    Examples
    --------
    >>> table = ProbabilityTable([[0.7, 0.3], [0.4, 0.6]], ["no", "yes"], classes=["no", "yes"])
    >>> table
    ProbabilityTable(2 rows, classes=['no', 'yes'], labelled)
    >>> table.probabilities
        no  yes
    0  0.7  0.3
    1  0.4  0.6
    >>> ProbabilityTable([[0.7, float("nan")]])
    Traceback (most recent call last):
    debias.errors.TableError: row 0, column '1': a probability must be from 0 to 1, got nan (NaN or inf); omit
    the row, or collect it again.
    """

    _parts: TableParts

    def __init__(
        self,
        probabilities: pd.DataFrame | npt.ArrayLike,
        labels: Any = None,
        *,
        classes: Any = None,
        ids: Any = None,
        label_mass: Any = None,
        texts: Any = None,
        metadata: dict[str, Any] | None = None,
        normalise: bool = False,
    ) -> None:
        names, values, as_found = names_and_values(probabilities, classes, labels)
        metadata = {} if metadata is None else metadata
        self._parts = check_parts(
            TableParts(values, names, labels, ids, texts, label_mass, metadata), normalise, as_found
        )
        self._warn_of_second_labels()

    @classmethod
    def of_checked(cls, parts: TableParts) -> "ProbabilityTable":
        """Make a table of parts that :func:`~debias.tables.checks.check_parts` has returned.

        Parameters
        ----------
        parts : TableParts

        Returns
        -------
        ProbabilityTable
        """
        table = cls.__new__(cls)
        table._parts = parts
        return table

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in column order."""
        return tuple(self._parts.classes)

    @property
    def probabilities(self) -> pd.DataFrame:
        """Class probabilities of shape (n_samples, n_classes), columns named after the classes."""
        return pd.DataFrame(self.to_numpy(), columns=list(self.classes))

    @property
    def labels(self) -> pd.Series | None:
        """Class names of shape (n_samples,), or None when unlabelled."""
        return _series(self._parts.labels, "label")

    @property
    def label_indices(self) -> IndexArray:
        """Column indices of the labels, shape (n_samples,); TableError when unlabelled."""
        if self._parts.labels is None:
            raise TableError(
                "the table has no labels",
                parameter="labels",
                fix=f"name the column that contains them ({param('label_column', 'NAME')} where a table is "
                "read), or give one for each row",
            )
        return np.asarray(pd.Index(self.classes).get_indexer(self._parts.labels), dtype=np.int64)

    @property
    def ids(self) -> pd.Series:
        """What names each sample, shape (n_samples,)."""
        return pd.Series(self._parts.ids.copy(), name="id", dtype="str")

    @property
    def label_mass(self) -> pd.Series | None:
        """Probability that all labels together got before normalisation, or None if unknown."""
        return _series(self._parts.label_mass, "label_mass")

    @property
    def texts(self) -> pd.Series | None:
        """The classified texts of shape (n_samples,), or None."""
        return _series(self._parts.texts, "text")

    @property
    def metadata(self) -> dict[str, Any]:
        """JSON-able facts about the origin; ``"normalised"`` is always there. A deep copy."""
        return copy.deepcopy(self._parts.metadata)

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of probabilities, ids and texts."""
        return self._parts.fingerprint()

    def __len__(self) -> int:
        return len(self._parts.probabilities)

    def __repr__(self) -> str:
        labelled = "unlabelled" if self._parts.labels is None else "labelled"
        return f"ProbabilityTable({len(self)} rows, classes={list(self.classes)}, {labelled})"

    def _repr_html_(self) -> str:
        """Return a card for notebooks: rows of each class, and where the table is from."""
        labels, values = self._parts.labels, self._parts.probabilities
        predicted = np.bincount(values.argmax(axis=1), minlength=len(self.classes))
        rows = [
            [
                name,
                "–" if labels is None else f"{int((labels == name).sum()):,}",
                f"{predicted[k]:,}",
                percent(float(values[:, k].mean())),
            ]
            for k, name in enumerate(self.classes)
        ]
        facts = [(name, self._parts.metadata[name]) for name in _FACTS if name in self._parts.metadata]
        said = "unlabelled" if labels is None else "labelled"
        title = (
            f"ProbabilityTable: {counted(len(self), 'row')}, {counted(len(self.classes), 'class')}, {said}"
        )
        header = ["class", "labelled rows", "predicted", "mean probability"]
        return card(title, facts, header=header, rows=rows)

    def equals(self, other: "ProbabilityTable") -> bool:
        """Whether both tables hold exactly the same, every float bit by bit.

        Parameters
        ----------
        other : ProbabilityTable
            The table to compare with.

        Returns
        -------
        bool
            True when classes, rows and metadata are equal.

        Examples
        --------
        >>> table = ProbabilityTable([[0.7, 0.3], [0.4, 0.6]])
        >>> table.equals(table.take([0, 1])), table.equals(table.take([1, 0]))
        (True, False)
        """
        return self._parts.equals(other._parts)

    def to_numpy(self) -> FloatArray:
        """Class probabilities as a float64 array of shape (n_samples, n_classes), a copy."""
        return self._parts.probabilities.copy()

    def take(self, rows: Any) -> "ProbabilityTable":
        """Return the table of some rows.

        Parameters
        ----------
        rows : slice, boolean mask or integer positions
            At least one row, none of them twice.

        Returns
        -------
        ProbabilityTable
            These rows in the order asked for, with their ids.

        Raises
        ------
        TableError
            No row, a row twice, or a row that is not there.

        Examples
        --------
        >>> ProbabilityTable([[0.7, 0.3], [0.4, 0.6], [0.5, 0.5]]).take([2, 0]).ids.tolist()
        ['2', '0']
        """
        try:
            index = np.arange(len(self))[rows if isinstance(rows, slice) else np.asarray(rows)]
        except IndexError as error:
            raise TableError(
                f"rows {rows!r} cannot be taken from a table of {len(self)} rows ({error})",
                fix="pass a slice, a boolean mask, or one or more positions",
            ) from error
        return self.of_checked(check_parts(self._parts.take(np.atleast_1d(index))))

    def normalised(self) -> "ProbabilityTable":
        """Return the table with each row divided by its sum.

        Returns
        -------
        ProbabilityTable
            A table whose rows sum to 1 and whose metadata says so.

        Examples
        --------
        >>> table = ProbabilityTable([[0.1, 0.1], [0.0, 0.4]]).normalised()
        >>> table.to_numpy().tolist(), table.label_mass.tolist(), table.metadata
        ([[0.5, 0.5], [0.0, 1.0]], [0.2, 0.4], {'normalised': True})
        """
        return self.of_checked(check_parts(self._parts.take(np.arange(len(self))), normalise=True))

    def check_sums(self) -> None:
        """Raise TableError, with the row, unless every row sums to 1 as it must for a fit."""
        check_probabilities(self.to_numpy(), self.classes, sum_to_one=True)

    def split(
        self, test_size: float | int = 0.5, seed: int = 0
    ) -> tuple["ProbabilityTable", "ProbabilityTable"]:
        """Divide the rows at random into an opt set and a test set, the same way for each class.

        Rows with the same text (but for case and white space) stay together, so repeated texts
        make the shares inexact. A class with a single text goes to the opt set: it can be fitted
        but not tested. Rows keep their order.

        Parameters
        ----------
        test_size : float or int, default=0.5
            Share (rounded up), or number, of different texts to test on; of rows, where there
            are no texts.
        seed : int, default=0
            Seed of the division.

        Returns
        -------
        opt, test : ProbabilityTable
            Two tables without a common row.

        Raises
        ------
        ParameterError
            `test_size` leaves too few rows on one side for every class to be there.

        Examples
        --------
        >>> table = ProbabilityTable([[0.7, 0.3]] * 8, [0] * 6 + [1] * 2)
        >>> opt, test = table.split(test_size=0.5, seed=0)
        >>> opt.labels.value_counts().to_dict(), test.labels.value_counts().to_dict()
        ({'0': 3, '1': 1}, {'0': 3, '1': 1})
        """
        group = groups_of_texts(self._parts.texts, len(self))
        groups, first = np.unique(group, return_index=True)
        strata = np.zeros(len(groups), dtype=np.int64)
        if self._parts.labels is not None:
            strata = self.label_indices[first]
        in_test = np.isin(group, choose_test_groups(strata, test_size, seed))
        opt, test = self.take(~in_test), self.take(in_test)
        warn_of_copies(opt._parts, test._parts)
        return opt, test

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str],
        format: str | None = None,
        *,
        normalise: bool = False,
        sum_to_one: bool = False,
        **options: Any,
    ) -> "ProbabilityTable":
        """Read a table from a file.

        Parameters
        ----------
        path : path-like
            The file.
        format : {"parquet", "csv", "text", "json", "answers", "lm-eval"}, optional
            Default: inferred from the suffix, else from the content.
        normalise : bool, default=False
            Divide each row by its sum.
        sum_to_one : bool, default=False
            Refuse rows that do not sum to 1, as a fit does, with their lines in the file.
        **options
            Passed to the reader of the format, such as ``classes=``, ``labels=`` or ``encoding=``, see
            :mod:`debias.tables.formats`.

        Returns
        -------
        ProbabilityTable
            The table.

        Raises
        ------
        TableError
            The file is missing, empty, damaged, or holds something that is not valid; names the
            file, row and column.
        ParameterError
            The format or an option is not known.
        """
        try:
            table = cls.of_checked(check_parts(read_parts(path, format, **options), normalise))
            if sum_to_one:
                table.check_sums()
        except TableError as error:
            placed = error.at(file=os.fspath(path))
            raise (on_its_line(placed) if has_a_line_a_row(Path(path), format) else placed) from error
        table._warn_of_second_labels(os.fspath(path))
        return table

    def _warn_of_second_labels(self, source: object = None) -> None:
        """Warn of texts that have two labels."""
        if self._parts.texts is not None and self._parts.labels is not None:
            warn_of_second_labels(self._parts.texts, self._parts.labels, source, stacklevel=3)

    def write(self, path: str | os.PathLike[str], format: str | None = None, **options: Any) -> None:
        """Write the table to a file, whole or not at all.

        Parameters
        ----------
        path : path-like
            The file; an older one is replaced.
        format : {"parquet", "csv", "text"}, optional
            Default: inferred from the suffix. Only Parquet keeps everything.
        **options
            Passed to the writer of the format, see :mod:`debias.tables.formats`.

        Raises
        ------
        TableError
            The file cannot be written.
        ParameterError
            The format or an option is not known.
        """
        write_parts(path, self._parts, format, **options)


def _series(values: Any, name: str) -> pd.Series | None:
    """Return a copy of one value per row as a Series, or None where there are none."""
    if values is None:
        return None
    return pd.Series(values.copy(), name=name, dtype="str" if values.dtype == object else None)
