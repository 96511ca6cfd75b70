"""Dividing the rows of a table into opt and test, and telling whether two sets share rows.

Two texts are the same when they differ in case and white space only. Works on plain arrays.
Without texts, equal probabilities prove nothing where they are coarse: different texts then have them, too,
with other labels. Copies of a row have its label.
"""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from debias.errors import OverlapWarning, ParameterError, param
from debias.tables.class_columns import IndexArray, TextArray
from debias.tables.table_parts import TableParts

_AGREEMENT = 0.99
"""In how many of the rows of equal probabilities the label must be the same if they are copies."""
_CHANCE = 1e-3
"""How probable that may be if labels are drawn from the rows with the same most probable class."""
_CERTAIN = 0.99
"""Rows with a larger probability may be equal, and have the same label, because the model is certain."""


def plain_text(text: str) -> str:
    r"""Return a text without what does not tell two texts apart: case and white space.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        Case-folded, with single spaces.

    Examples
    --------
    >>> plain_text(" What is\tan Atom ?\n")
    'what is an atom ?'
    """
    return " ".join(text.split()).casefold()


def groups_of_texts(texts: TextArray | None, n_samples: int) -> IndexArray:
    """Give each different text a number.

    Parameters
    ----------
    texts : ndarray of str of shape (n_samples,), or None
        The texts; without them every row is its own.
    n_samples : int
        Number of rows.

    Returns
    -------
    ndarray of int64 of shape (n_samples,)
        The number of each row's text, in order of first appearance.

    Examples
    --------
    >>> groups_of_texts(np.array(["One", "two", "one "], dtype=object), 3)
    array([0, 1, 0])
    """
    if texts is None:
        return np.arange(n_samples)
    plain = np.array([plain_text(text) for text in texts], dtype=object)
    return np.asarray(pd.factorize(plain)[0], dtype=np.int64)


def choose_test_groups(strata: IndexArray, test_size: float | int, seed: int) -> IndexArray:
    """Choose groups for the test set at random, the same share of every stratum.

    A stratum of one group is never chosen: it can be fitted but not tested.

    Parameters
    ----------
    strata : ndarray of int64 of shape (n_groups,)
        The class of each group.
    test_size : float or int
        Share (rounded up) or number of groups to choose.
    seed : int
        Seed of the choice.

    Returns
    -------
    ndarray of int64
        Chosen groups.

    Raises
    ------
    ParameterError
        `test_size` is no share or count that leaves a group of each class on both sides.

    Examples
    --------
    >>> chosen = choose_test_groups(np.array([0, 0, 0, 0, 1, 1, 2]), test_size=3, seed=0)
    >>> len(chosen), 6 in chosen
    (3, False)
    """
    n_groups = len(strata)
    n_test = _count(test_size, n_groups)
    eligible = np.flatnonzero(np.bincount(strata)[strata] > 1)
    least = len(np.unique(strata[eligible]))
    most = len(eligible) - least
    if least == 0:
        raise ParameterError(
            "no class has two different texts, one to fit on and one to test on",
            parameter="test_size",
            received=test_size,
            fix="collect more rows",
        )
    if not least <= n_test <= most:
        many = f"from {least:,} to {most:,}" if least < most else f"{least:,}"
        raise ParameterError(
            f"{param('test_size', repr(test_size))} puts {n_test:,} of {n_groups:,} different texts into "
            f"the test set; {many} are possible if each class with two texts is to be on both sides",
            parameter="test_size",
            received=test_size,
            fix=f"choose another {param('test_size')}, or collect more rows",
        )
    _, chosen = train_test_split(eligible, test_size=n_test, stratify=strata[eligible], random_state=seed)
    return np.asarray(chosen, dtype=np.int64)


def _count(test_size: Any, n_groups: int) -> int:
    """Return a share or a number as a number of groups."""
    if isinstance(test_size, (float, np.floating)) and 0 < test_size < 1:
        return int(np.ceil(test_size * n_groups))
    if isinstance(test_size, (int, np.integer)) and not isinstance(test_size, bool) and test_size > 0:
        return int(test_size)
    raise ParameterError(
        parameter="test_size", allowed="a share between 0 and 1 or a positive integer", received=test_size
    )


def shared_rows(opt: TableParts, test: TableParts) -> IndexArray:
    """Return the rows of `opt` that also stand in `test`.

    Texts are compared when both tables have them. Ids are compared when they name samples in
    both tables, or when both were taken from the same one; ids that merely count the rows of
    two different files say nothing. Nor does an id that is a plain number while the texts differ.

    Parameters
    ----------
    opt, test : TableParts
        Two checked tables.

    Returns
    -------
    ndarray of int64
        Rows of `opt`, ascending.

    Examples
    --------
    >>> parts = TableParts(np.eye(3), ("a", "b", "c"), ids=np.array(["0", "1", "2"], dtype=object))
    >>> shared_rows(parts.take(np.array([0, 1])), parts.take(np.array([1, 2])))
    array([1])
    """
    rows: set[int] = set()
    have_texts = opt.texts is not None and test.texts is not None
    if have_texts:
        tested = {plain_text(text) for text in test.texts}
        rows = {row for row, text in enumerate(opt.texts) if plain_text(text) in tested}
    if (opt.ids_given and test.ids_given) or _source(opt) == _source(test):
        named = set(test.ids)
        rows |= {
            row
            for row, name in enumerate(opt.ids)
            if name in named and not (have_texts and name.isdecimal())  # then the texts have decided
        }
    return np.array(sorted(rows), dtype=np.int64)


def copied_rows(opt: TableParts, test: TableParts) -> IndexArray:
    """Return the rows of `test` that seem to be copies of rows of `opt`; none where texts can tell.

    Parameters
    ----------
    opt, test : TableParts
        Two checked tables.

    Returns
    -------
    ndarray of int64
        Rows of `test`, ascending.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = np.array(["a", "b", "c"], dtype=object)[rng.integers(3, size=90)]
    >>> rows, ids = rng.dirichlet(np.ones(3), size=90), np.arange(90).astype(str).astype(object)
    >>> parts = TableParts(rows, ("a", "b", "c"), labels=labels, ids=ids)
    >>> copied_rows(parts.take(np.arange(80)), parts.take(np.arange(60, 90))).tolist() == list(range(20))
    True
    """
    from scipy.stats import binom

    told = opt.texts is not None and test.texts is not None
    if told or opt.labels is None or test.labels is None or set(opt.classes) != set(test.classes):
        return np.array([], dtype=np.int64)
    order = [opt.classes.index(name) for name in test.classes]
    values = np.concatenate([opt.probabilities[:, order], test.probabilities])
    labels = np.concatenate([opt.labels, test.labels])
    n_opt, group = len(opt.labels), pd.DataFrame(values).groupby(list(range(len(order)))).ngroup().to_numpy()
    label_of = dict(zip(group[:n_opt].tolist(), opt.labels, strict=True))
    certain = test.probabilities.max(axis=1) >= _CERTAIN
    rows = np.array(
        [row for row, one in enumerate(group[n_opt:].tolist()) if one in label_of and not certain[row]]
    )
    if not len(rows):
        return np.array([], dtype=np.int64)
    same = sum(label_of[group[n_opt + row]] == test.labels[row] for row in rows)
    predicted = values.argmax(axis=1)
    by_class = pd.Series(labels).groupby(predicted)
    agree = by_class.agg(lambda those: (those.value_counts(normalize=True) ** 2).sum())
    by_chance = float(agree.loc[predicted[n_opt + rows]].mean())
    surely = same >= _AGREEMENT * len(rows) and binom.sf(same - 1, len(rows), by_chance) < _CHANCE
    return rows if surely else rows[:0]


def warn_of_copies(opt: TableParts, test: TableParts, stacklevel: int = 2) -> None:
    """Warn where :func:`copied_rows` finds rows.

    Parameters
    ----------
    opt, test : TableParts
        Two checked tables.
    stacklevel : int, default=2
        As in :func:`warnings.warn`.

    Warns
    -----
    OverlapWarning
        Rows of `test` seem to be copies of rows of `opt`.
    """
    rows = copied_rows(opt, test)
    if len(rows):
        warnings.warn(
            f"{len(rows):,} of the {len(test.probabilities):,} test rows have the same probabilities and "
            f"label as an opt row (the first is test row {rows[0]}, id {test.ids[rows[0]]!r}). They seem to "
            "be copies, and figures from copies are too good: remove repeated rows before the table is "
            f"split, or name the column of texts in {param('text_column')}, which keeps equal texts on one "
            "side.",
            OverlapWarning,
            stacklevel=stacklevel + 1,
        )


def _source(parts: TableParts) -> str:
    """Return the fingerprint of the table that the rows were taken from: their own, unless taken."""
    return parts.source or parts.fingerprint()


def describe_rows(parts: TableParts, rows: IndexArray, most: int = 3) -> str:
    """Name the first few of some rows for a message.

    Parameters
    ----------
    parts : TableParts
        A checked table.
    rows : ndarray of int64
        Rows of it.
    most : int, default=3
        How many to name.

    Returns
    -------
    str
        Row numbers, ids and the beginnings of texts.

    Examples
    --------
    >>> parts = TableParts(np.eye(3), ("a", "b", "c"), ids=np.array(["x", "y", "z"], dtype=object))
    >>> describe_rows(parts, np.array([0, 2]), most=1)
    "row 0 (id 'x'), ..."
    """
    names = []
    for row in rows[:most]:
        text = "" if parts.texts is None else f", text {parts.texts[row][:60]!r}"
        names.append(f"row {row} (id {parts.ids[row]!r}{text})")
    return ", ".join(names) + (", ..." if len(rows) > most else "")
