"""Letters in place of label words: the options of a prompt, one line each, as in multiple-choice questions.

Every label is then one token with a first token of its own, however long the words are.
"""

from collections.abc import Sequence
from string import ascii_uppercase

from debias.errors import TaskError


def option_letters(n_classes: int) -> tuple[str, ...]:
    """Return one capital letter per class.

    Parameters
    ----------
    n_classes : int

    Returns
    -------
    tuple of str

    Raises
    ------
    TaskError
        There are more classes than letters.

    Examples
    --------
    >>> option_letters(3)
    ('A', 'B', 'C')
    >>> option_letters(77)
    Traceback (most recent call last):
    debias.errors.TaskError: labels must be at most 26 for letter options, got 77.
    """
    if n_classes > len(ascii_uppercase):
        raise TaskError(
            parameter="labels",
            allowed=f"at most {len(ascii_uppercase)} for letter options",
            received=n_classes,
        )
    return tuple(ascii_uppercase[:n_classes])


def option_lines(words: Sequence[str], n_classes: int) -> str:
    r"""Return the lines that say which letter stands for what.

    Parameters
    ----------
    words : sequence of str
        One per class, in class order.
    n_classes : int

    Returns
    -------
    str

    Raises
    ------
    TaskError
        There is not one word per class, or more classes than letters.

    Examples
    --------
    >>> option_lines(["sun", "rain"], 2)
    'A. sun\nB. rain'
    """
    if isinstance(words, str) or len(words) != n_classes:
        raise TaskError(parameter="words", allowed=f"{n_classes} words, one per class", received=words)
    pairs = zip(option_letters(n_classes), words, strict=True)
    return "\n".join(f"{letter}. {word}" for letter, word in pairs)
