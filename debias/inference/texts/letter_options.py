"""Letters in place of label words: the options of a prompt, one line each, as in multiple-choice questions.

Every label is then one token with a first token of its own, however long the words are.
"""

from collections.abc import Sequence
from string import ascii_uppercase

from debias.errors import TaskError


def letter_options(words: Sequence[str], n_classes: int, prefix: str = "") -> tuple[tuple[str, ...], str]:
    r"""Return one capital letter per class, and a prefix that says below it what they stand for.

    Parameters
    ----------
    words : sequence of str
        One per class, in class order.
    n_classes : int
    prefix : str, default=""
        Instruction at the top of the prompt.

    Returns
    -------
    letters : tuple of str
    prefix : str

    Raises
    ------
    TaskError
        There is not one word per class, or there are more classes than letters.

    Examples
    --------
    >>> letter_options(["sun", "rain"], 2, "What will it be?")
    (('A', 'B'), 'What will it be?\nA. sun\nB. rain')
    >>> letter_options(["sun", "rain"], 3)
    Traceback (most recent call last):
    debias.errors.TaskError: words must be 3 words, one per class, got ['sun', 'rain'].
    """
    if n_classes > len(ascii_uppercase):
        raise TaskError(
            parameter="labels",
            allowed=f"at most {len(ascii_uppercase)} for letter options",
            received=n_classes,
        )
    if isinstance(words, str) or len(words) != n_classes:
        raise TaskError(parameter="words", allowed=f"{n_classes} words, one per class", received=words)
    letters = tuple(ascii_uppercase[:n_classes])
    lines = [f"{letter}. {word}" for letter, word in zip(letters, words, strict=True)]
    return letters, "\n".join([prefix, *lines] if prefix else lines)
