"""Holds a table over all of Unicode for each way to cut a text into words: which characters make words.

Each table is made by applying its regular expression to every character, so that the compiled
scanner and the expression agree for any Unicode version.
"""

import re
import sys
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.errors import ParameterError

BETWEEN, JOINING, EXTENDING, ALONE = 0, 1, 2, 3
"""A gap; part of a word with its neighbours; goes with what is before it; a word of its own."""

SCRIPTS_WITHOUT_SPACES = ("Han", "Hiragana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan")
JOINING_CHARACTERS = r"[\p{L}\p{N}\p{Pc}]"
EXTENDING_CHARACTERS = r"[\p{M}\u200c\u200d]"
ALONE_CHARACTERS = "[" + "".join(rf"\p{{Script={name}}}" for name in SCRIPTS_WITHOUT_SPACES) + "]"


class WordKind(NamedTuple):
    """One way to cut a text into words.

    Attributes
    ----------
    prepare : callable
        Applied to a text first: lower case, for example.
    kinds : ndarray of shape (0x110000,), uint8
        Kind of every character: BETWEEN, JOINING, EXTENDING or ALONE.
    shortest : int
        Words with fewer characters are omitted.
    """

    prepare: Callable[[str], str]
    kinds: npt.NDArray[np.uint8]
    shortest: int


def word_kind(name: str) -> WordKind:
    r"""Return a way to cut texts into words by its name.

    Parameters
    ----------
    name : {"scikit-learn", "unicode"}
        "scikit-learn": lower case, runs of two or more characters of ``\w``, as in
        CountVectorizer (``(?u)\b\w\w+\b``). "unicode": NFKC and case folding, words of any
        length, marks stay with their letters (Hindi, Arabic, accents), and in scripts without
        spaces between words (Chinese, Thai, ...) each character is a word of its own.

    Raises
    ------
    ParameterError
        The name is unknown.

    Examples
    --------
    >>> kind = word_kind("scikit-learn")
    >>> kind.shortest, kind.kinds[ord("a")], kind.kinds[ord(" ")]
    (2, np.uint8(1), np.uint8(0))
    >>> word_kind("unicode").kinds[ord("\u6c34")]  # the Chinese word for water
    np.uint8(3)
    """
    if name == "scikit-learn":
        return WordKind(str.lower, _scikit_learn_kinds(), 2)
    if name == "unicode":
        return WordKind(_fold, _unicode_kinds(), 1)
    raise ParameterError(parameter="tokens", received=name, allowed="'scikit-learn' or 'unicode'")


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _every_character() -> str:
    return "".join(map(chr, range(sys.maxunicode + 1)))


@lru_cache(maxsize=1)
def _scikit_learn_kinds() -> npt.NDArray[np.uint8]:
    kinds = np.full(sys.maxunicode + 1, BETWEEN, dtype=np.uint8)
    for run in re.finditer(r"\w+", _every_character()):
        kinds[run.start() : run.end()] = JOINING
    return kinds


@lru_cache(maxsize=1)
def _unicode_kinds() -> npt.NDArray[np.uint8]:
    import regex

    everything = _every_character()
    kinds = np.full(len(everything), BETWEEN, dtype=np.uint8)
    for pattern, kind in (
        (JOINING_CHARACTERS, JOINING),
        (ALONE_CHARACTERS, ALONE),
        (EXTENDING_CHARACTERS, EXTENDING),
    ):
        for run in regex.finditer(pattern + "+", everything):
            kinds[run.start() : run.end()] = kind
    punctuation = regex.finditer(r"[\p{P}\p{S}\p{Z}\p{C}--\p{Pc}--\u200c\u200d]+", everything, regex.V1)
    for run in punctuation:  # a script has punctuation too: it separates words
        kinds[run.start() : run.end()] = BETWEEN
    return kinds
