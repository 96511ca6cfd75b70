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

from debias.settings import check_choice

BETWEEN, JOINING, EXTENDING, ALONE = 0, 1, 2, 3
"""A gap; part of a word with its neighbours; goes with what is before it; a word of its own."""

CHARACTERS_PER_WORD = {
    "Han": 1.4, "Yi": 1.4, "Hiragana": 2.0, "Thai": 2.4, "Lao": 2.4, "Khmer": 2.4, "Myanmar": 2.4,
    "Tai_Le": 2.4, "New_Tai_Lue": 2.4, "Tai_Tham": 2.4, "Tai_Viet": 2.4, "Javanese": 2.4, "Balinese": 2.4,
}  # fmt: skip
"""Scripts without spaces between words: how many characters say as much as a word of English, about."""

_INVISIBLE = re.compile("[\u00ad\u2060\ufeff]")  # soft hyphen, word joiner, byte order mark: within words
JOINING_CHARACTERS = r"[\p{L}\p{N}\p{Pc}]"
EXTENDING_CHARACTERS = r"[\p{M}\u200c\u200d]"
ALONE_CHARACTERS = "[" + "".join(rf"\p{{Script={name}}}" for name in CHARACTERS_PER_WORD) + "]"


class WordKind(NamedTuple):
    """One way to cut a text into words.

    Attributes
    ----------
    prepare : callable
        Applied to a text first: lower case, for example.
    kinds : ndarray of shape (0x110000,), uint8
        Kind of every character: BETWEEN, JOINING, EXTENDING or ALONE.
    shortest : int
        Words with fewer characters are omitted, except those of a character that is ALONE.
    words : ndarray of shape (0x110000,), float64, optional
        How many words of English a word that begins with a character says as much as; 1 if omitted.
    stand_in : callable, optional
        The words of a text that has none; nothing if omitted.
    """

    prepare: Callable[[str], str]
    kinds: npt.NDArray[np.uint8]
    shortest: int
    words: npt.NDArray[np.float64] | None = None
    stand_in: Callable[[str], list[str]] | None = None


WAYS = ("unicode", "published", "every")


def word_kind(name: str) -> WordKind:
    r"""Return a way to cut texts into words by its name.

    Parameters
    ----------
    name : {"unicode", "published", "every"}
        - "published": lower case, runs of two or more characters of ``\w``, as in scikit-learn's
          CountVectorizer (``(?u)\b\w\w+\b``) and so in the published code.
        - "unicode": the same words where words are written with spaces, in NFKC and case-folded, but
          marks stay with their letters (Hindi, Arabic, accents), soft hyphens are omitted, and in scripts
          without spaces between words (Chinese, Japanese, Thai, ...) each character is a word. A text
          without any word, such as "B", "5" or an emoji, is cut into its characters.
        - "every": as "unicode", and words of one letter or digit are words everywhere.

    Raises
    ------
    ParameterError
        The name is unknown.

    Examples
    --------
    >>> kind = word_kind("published")
    >>> kind.shortest, kind.kinds[ord("a")], kind.kinds[ord(" ")]
    (2, np.uint8(1), np.uint8(0))
    >>> word_kind("unicode").kinds[ord("\u6c34")]  # the Chinese word for water
    np.uint8(3)
    """
    check_choice("tokens", name, WAYS)
    if name == "published":
        return WordKind(str.lower, _published_kinds(), 2)
    if name == "unicode":
        return WordKind(_fold, _unicode_kinds(), 2, _words_per_character(), characters)
    return WordKind(_fold, _unicode_kinds(), 1)


def characters(text: str) -> list[str]:
    """Return the characters of a text as a reader sees them, without punctuation if there are others.

    Examples
    --------
    >>> characters("A."), characters("1 + 1"), characters("?!"), characters(" ")
    (['A'], ['1', '+', '1'], ['?', '!'], [])
    """
    import regex

    seen = regex.findall(r"(?![\p{Z}\p{C}])\X", text)
    return [one for one in seen if not regex.match(r"\p{P}", one)] or seen


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()


def _every_character() -> str:
    return "".join(map(chr, range(sys.maxunicode + 1)))


@lru_cache(maxsize=1)
def _published_kinds() -> npt.NDArray[np.uint8]:
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


@lru_cache(maxsize=1)
def _words_per_character() -> npt.NDArray[np.float64]:
    import regex

    words = np.ones(sys.maxunicode + 1)
    everything = _every_character()
    for script, n_characters in CHARACTERS_PER_WORD.items():
        for run in regex.finditer(rf"\p{{Script={script}}}+", everything):
            words[run.start() : run.end()] = 1.0 / n_characters
    return words
