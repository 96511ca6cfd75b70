"""Tells the names of classes from text that columns have around them, such as prob_billing, billing_score.

A character that is neither a letter nor a digit divides the two, so no part of a word is cut off.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from os.path import commonprefix

OWN_PREFIX = "p_"
"""What stands before each class in the files that this package writes."""


def without_affix(names: list[str], labels: Iterable[object] | None) -> list[str]:
    """Return class names without what all columns share, where the labels do not have it.

    Integers could be positions as well, so only the ``p_`` of files of this package is taken off for them.

    Examples
    --------
    >>> without_affix(["prob_no", "prob_yes"], ["yes", "no"]), without_affix(["p_no", "p_yes"], ["p_no"])
    (['no', 'yes'], ['p_no', 'p_yes'])
    """
    known = set() if labels is None else set(labels)
    if not known or known & set(names):
        return names
    numbers = all(str(label).strip().lstrip("-").isdecimal() for label in known)
    shared = [(OWN_PREFIX, "")] if numbers else _shared_affixes(names)
    found = [cut(names, *affix) for affix in shared]
    fitting = [short for short in found if short is not None and known <= set(short)]
    return fitting[0] if len(fitting) == 1 else names


def with_affix(classes: Sequence[str], header: Sequence[str]) -> list[str]:
    """Return the columns of classes: those called so, or those with the same text around each.

    Where several texts would do, ``p_`` is taken, and otherwise none.

    Examples
    --------
    >>> with_affix(["no", "yes"], ["label", "no_score", "yes_score"])
    ['no_score', 'yes_score']
    >>> with_affix(["no", "yes"], ["p_no", "yes"])
    ['no', 'yes']
    """
    columns = set(header)
    if not classes or columns & set(classes):
        return list(classes)
    first, fitting = classes[0], []
    for name in sorted(columns):
        for place in range(len(name) - len(first) + 1):
            prefix, suffix = name[:place], name[place + len(first) :]
            if name.startswith(first, place) and _is_affix(prefix, suffix):
                long = [f"{prefix}{one}{suffix}" for one in classes]
                fitting += [long] if columns.issuperset(long) else []
    own = [f"{OWN_PREFIX}{name}" for name in classes]
    if own in fitting:
        return own
    return fitting[0] if len(fitting) == 1 else list(classes)


def affix_of(names: Sequence[str]) -> tuple[str, str]:
    """Return the longest texts before and after that names share.

    Examples
    --------
    >>> affix_of(["prob_no", "prob_yes"]), affix_of(["no", "not"])
    (('prob_', ''), ('', ''))
    """
    found = [affix for affix in _shared_affixes(names) if cut(names, *affix) is not None]
    return max(found, key=lambda affix: len("".join(affix)), default=("", ""))


def _shared_affixes(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return all pairs of texts that each name begins and ends with."""
    before = commonprefix(list(names))
    after = commonprefix([name[::-1] for name in names])[::-1]
    prefixes = [before[:end] for end in range(len(before) + 1)]
    suffixes = [after[start:] for start in range(len(after) + 1)]
    return [affix for affix in product(prefixes, suffixes) if any(affix) and _is_affix(*affix)]


def _is_affix(prefix: str, suffix: str) -> bool:
    """Tell whether no part of a word is in a prefix and suffix."""
    return not prefix[-1:].isalnum() and not suffix[:1].isalnum()


def cut(names: Sequence[str], prefix: str, suffix: str) -> list[str] | None:
    """Return names without a prefix and suffix; None where one has not both, or nothing between them.

    Examples
    --------
    >>> cut(["prob_no", "prob_yes"], "prob_", ""), cut(["prob_", "prob_yes"], "prob_", "")
    (['no', 'yes'], None)
    """
    around = len(prefix) + len(suffix)
    if all(len(one) > around and one.startswith(prefix) and one.endswith(suffix) for one in names):
        return [name[len(prefix) : len(name) - len(suffix)] for name in names]
    return None
