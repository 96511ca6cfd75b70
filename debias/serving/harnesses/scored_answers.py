"""Decides one answer of a model by a correction, from its first token and the classes it stands for."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from debias.errors import LabelError, ParameterError
from debias.serving.harnesses.answer_tokens import AnswerToken, label_logprobs
from debias.serving.harnesses.label_scores import among_labels, columns_of


class ScoredAnswer(NamedTuple):
    """The decision of one answer.

    Parameters
    ----------
    predicted : str or None
        A class; None where none of the labels is among the tokens.
    uncorrected : str or None
        The class of the most probable label.
    probabilities : dict of str to float
        By class, of the labels among themselves.
    bounded : list of str
        Classes whose probability is only a bound.
    """

    predicted: str | None
    uncorrected: str | None
    probabilities: dict[str, float]
    bounded: list[str]


def words_of_classes(classes: Sequence[object], words: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what an answer begins with for each class.

    Parameters
    ----------
    classes : sequence
        The classes of a correction.
    words : mapping of str to str, optional
        From classes to the words that stand for them; a class has its name by default.

    Returns
    -------
    dict of str to str
        By class, in the order of the columns.

    Raises
    ------
    LabelError
        Two classes begin with one word, so that the first token does not tell them apart.
    ParameterError
        A word is given for a class that the correction does not have.

    Examples
    --------
    >>> words_of_classes(["Bug", "Billing"], {"Bug": "A", "Billing": "B"})
    {'Bug': 'A', 'Billing': 'B'}
    >>> words_of_classes(["good day", "good night"])
    Traceback (most recent call last):
        ...
    debias.errors.LabelError: ...
    """
    names = [str(name) for name in classes]
    given = dict(words or {})
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise ParameterError(
            parameter="words", allowed=f"words for the classes {names}", received=", ".join(unknown)
        )
    chosen = {name: given.get(name, name) for name in names}
    first: dict[str, str] = {}
    for name, word in chosen.items():
        opening = (word.split() or [""])[0]
        if not opening:
            raise ParameterError(parameter="words", allowed="a word for each class", received=word)
        other = first.setdefault(opening, name)
        if other != name:
            raise LabelError(
                f"the classes {other!r} and {name!r} are answered with the same first word",
                parameter="words",
                received=(chosen[other], word),
                fix="ask for other words, such as A and B, and say which in words",
            )
    return chosen


def decide_answer(
    correction: Any, tokens: Sequence[AnswerToken], words: Mapping[str, str], top: int, drawn: str | None
) -> ScoredAnswer:
    """Decide an answer.

    Parameters
    ----------
    correction : ServedCorrection
    tokens : sequence of AnswerToken
        The most probable first tokens.
    words : mapping of str to str
        By class, in any order: classes are matched by name.
    top : int
        How many tokens were asked for.
    drawn : str or None
        The token that was drawn.

    Returns
    -------
    ScoredAnswer

    Raises
    ------
    EngineError, LabelError
        As :func:`label_logprobs` has them.
    ParameterError
        The classes are others than those of the correction.
    """
    names = [str(name) for name in correction.classes]
    order = columns_of(names, list(words))
    found = label_logprobs(tokens, list(words.values()), top, drawn)
    logs, is_bound = np.empty(len(names)), np.empty(len(names), dtype=bool)
    logs[order], is_bound[order] = found.values, found.bounds
    bounded = [name for name, bound in zip(names, is_bound, strict=True) if bound]
    if is_bound.all():
        return ScoredAnswer(None, None, {}, bounded)
    probabilities = among_labels(logs[None])
    decided = int(correction.decide(probabilities)[0])
    shares = dict(zip(names, probabilities[0].tolist(), strict=True))
    return ScoredAnswer(names[decided], names[int(np.argmax(probabilities[0]))], shares, bounded)
