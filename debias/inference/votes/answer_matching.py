"""Decides which label an answer in free text is a vote for, if any.

Each rule allows a little more than the one before it: ``exact``, the whole answer is the label;
``first-line``, its first line that is not blank is; ``normalised``, that line is without differences of
case, Unicode form, spaces and marks at the ends; ``beginning``, that line begins with the label and no word
goes on there, which is nearest to the probability of a label after a prompt. A label that is the beginning of
its own class name, such as "Ab" of "Abbreviation", may go on. A form that two labels share is a vote for
neither.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from debias.inference.votes.vote_settings import MATCHINGS

UNMATCHED = "unmatched"
_NEGATIVE = re.compile(r"[-\N{MINUS SIGN}](?=\d)")
_FRACTION = re.compile(r"[.,]\d")
"""What goes on after a digit: decimals, or thousands."""


class Match(NamedTuple):
    """The class that an answer is a vote for, or None, and by which rule."""

    place: int | None
    rule: str


class AnswerMatcher:
    """Matches answers with labels.

    Parameters
    ----------
    forms : sequence of sequence of str, length K
        The words that stand for each class, such as its label and its name.
    matching : {"exact", "first-line", "normalised", "beginning"}, default="beginning"
        The last rule that is tried.

    Examples
    --------
    >>> matcher = AnswerMatcher([["yes"], ["no"], ["no idea"]])
    >>> [matcher.match(text).place for text in (" yes", "No.", "**no**", "no idea, sorry", "none")]
    [0, 1, 1, 2, None]
    >>> matcher.match("Yes, of course")
    Match(place=0, rule='beginning')
    >>> AnswerMatcher([["Ab", "Abbreviation"], ["Number"]]).match("Abbreviated")
    Match(place=0, rule='beginning')
    >>> AnswerMatcher([["yes"], ["no"]], "exact").match("Yes")
    Match(place=None, rule='unmatched')
    """

    def __init__(self, forms: Sequence[Iterable[str]], matching: str = "beginning") -> None:
        self._rules = MATCHINGS[: MATCHINGS.index(matching) + 1]
        own = [[form.strip() for form in group] for group in forms]
        self._exact = _owners(own)
        plain = [[normalised(form) for form in group] for group in own]
        self._normalised = _owners(plain)
        self._openings = {form for group in plain for form in group if _opens_one_of(form, group)}
        # invariant: longest first, so that the first beginning found is the longest
        self._by_length = sorted(self._normalised, key=lambda form: (-len(form), form))

    def match(self, answer: str) -> Match:
        """Return the class that an answer is a vote for.

        Parameters
        ----------
        answer : str

        Returns
        -------
        Match
        """
        whole = answer.strip()
        line = whole.splitlines()[0].strip() if whole else ""
        plain = normalised(line)
        for rule in self._rules:
            if rule == "exact":
                place = self._exact.get(whole)
            elif rule == "first-line":
                place = self._exact.get(line)
            elif rule == "normalised":
                place = self._normalised.get(plain)
            else:
                place = self._beginning(plain, squeezed(line))
            if place is not None:
                return Match(place, rule)
        return Match(None, UNMATCHED)

    def _beginning(self, plain: str, marked: str) -> int | None:
        """Return the class whose longest form a line begins with; marks are looked for among marks."""
        for form in self._by_length:
            line = marked if all(map(_is_mark, form)) else plain
            if line.startswith(form) and (form in self._openings or not _goes_on(form, line)):
                return self._normalised[form]
        return None


def normalised(text: str) -> str:
    """Return a text without differences of case, Unicode form, spaces, and marks at its ends.

    The sign of a negative number is no such mark.

    Examples
    --------
    >>> normalised(' **Not  at all**! '), normalised('ﬁne'), normalised('+'), normalised('(-1)')
    ('not at all', 'fine', '+', '-1')
    """
    plain = squeezed(text)
    first, last = 0, len(plain)
    while first < last and _is_mark(plain[first]) and not _NEGATIVE.match(plain, first):
        first += 1
    while last > first and _is_mark(plain[last - 1]):
        last -= 1
    return plain[first:last] or plain


def squeezed(text: str) -> str:
    """Return a text without differences of case, Unicode form and spaces.

    Examples
    --------
    >>> squeezed(" Not  BAD! ")
    'not bad!'
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def _is_mark(letter: str) -> bool:
    """Whether a character is punctuation, a symbol or a space."""
    return unicodedata.category(letter)[0] in "PSZ"


def _opens_one_of(form: str, group: Sequence[str]) -> bool:
    """Whether a form is the beginning of a word of another form of its class."""
    return any(form and other.startswith(form) and _goes_on(form, other) for other in group)


def _goes_on(form: str, line: str) -> bool:
    """Whether a word or a number goes on where a form ends that a line begins with."""
    if form[-1].isdigit() and _FRACTION.match(line, len(form)):
        return True
    return len(line) > len(form) and _is_one_word(form[-1], line[len(form)])


def _is_one_word(before: str, after: str) -> bool:
    """Whether two neighbours belong to one word; letters of scripts without spaces never do."""
    kinds = [unicodedata.category(letter) for letter in (before, after)]
    if kinds[1][0] == "M":  # an accent belongs to the letter before it
        return True
    return all(kind[0] in "LN" and kind != "Lo" for kind in kinds)


def _owners(forms: Sequence[Sequence[str]]) -> Mapping[str, int]:
    """Return the class of each form that one class alone has."""
    classes: dict[str, set[int]] = {}
    for place, group in enumerate(forms):
        for form in group:
            if form:
                classes.setdefault(form, set()).add(place)
    return {form: next(iter(places)) for form, places in classes.items() if len(places) == 1}
