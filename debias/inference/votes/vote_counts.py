"""Turns votes into probabilities, and counts how answers were matched.

Frequencies are smoothed as the mean of a Dirichlet distribution after the votes, Dir(a + counts), with
the same a for each class: a class without a vote keeps a little, so that a correction can still lift it.
Reference: Gelman et al., Bayesian Data Analysis (3rd edition), section 3.4.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from debias.inference.votes.answer_matching import UNMATCHED, AnswerMatcher
from debias.inference.votes.vote_settings import MATCHINGS

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_MOST_SHOWN, _MOST_KEPT, _MOST_LETTERS = 10, 100_000, 80


def smoothed(counts: npt.ArrayLike, smoothing: float) -> FloatArray:
    """Return smoothed frequencies.

    Parameters
    ----------
    counts : array-like of int, shape (n, K)
        Votes for each class.
    smoothing : float
        Votes that each class has before any is counted.

    Returns
    -------
    float64 array, shape (n, K)
        Rows sum to 1; without any vote all classes are equal.

    Examples
    --------
    >>> smoothed([[3, 1, 0], [0, 0, 0]], 0.5).round(3).tolist()
    [[0.636, 0.273, 0.091], [0.333, 0.333, 0.333]]
    """
    values = np.asarray(counts, dtype=np.float64) + smoothing
    return np.asarray(values / values.sum(axis=1, keepdims=True))


class VoteTally:
    """Matches answers with labels, row by row, and counts by which rule.

    Parameters
    ----------
    matcher : AnswerMatcher
    n_classes : int

    Examples
    --------
    >>> tally = VoteTally(AnswerMatcher([["yes"], ["no"]]), n_classes=2)
    >>> tally.count([[" yes", "Yes!", "no"], ["maybe", "maybe", " no"]]).tolist()
    [[2, 1], [0, 1]]
    >>> tally.facts()["answers"]
    {'exact': 3, 'first-line': 0, 'normalised': 1, 'beginning': 0, 'unmatched': 2}
    >>> tally.facts()["unmatched_texts"]
    {'maybe': 2}
    """

    def __init__(self, matcher: AnswerMatcher, n_classes: int) -> None:
        self._matcher, self._n_classes = matcher, n_classes
        self._rules: Counter[str] = Counter()
        self._unmatched: Counter[str] = Counter()
        self._n_rows_without = 0

    def count(self, answers: Sequence[Sequence[str]]) -> IntArray:
        """Count the votes of some rows.

        Parameters
        ----------
        answers : sequence of sequence of str, length n
            The answers of each row.

        Returns
        -------
        int64 array, shape (n, K)
        """
        counts = np.zeros((len(answers), self._n_classes), dtype=np.int64)
        for row, own in zip(counts, answers, strict=True):
            for answer, times in Counter(own).items():
                match = self._matcher.match(answer)
                self._rules[match.rule] += times
                if match.place is not None:
                    row[match.place] += times
                elif (shown := _shown(answer)) in self._unmatched or len(self._unmatched) < _MOST_KEPT:
                    self._unmatched[shown] += times
            self._n_rows_without += not row.any()
        return counts

    def facts(self) -> dict[str, object]:
        """Return how answers were matched, JSON-able.

        Returns
        -------
        dict
            ``answers`` by the rule that matched them, ``rows_without_a_vote``, and
            ``unmatched_texts``: the most frequent ones.
        """
        frequent = sorted(self._unmatched.items(), key=lambda one: (-one[1], one[0]))[:_MOST_SHOWN]
        return {
            "answers": {rule: self._rules[rule] for rule in (*MATCHINGS, UNMATCHED)},
            "rows_without_a_vote": self._n_rows_without,
            "unmatched_texts": dict(frequent),
        }


def _shown(answer: str) -> str:
    """Return the beginning of an answer's first line; what UTF-8 cannot write is replaced."""
    line = next((one.strip() for one in answer.splitlines() if one.strip()), "")
    return line[:_MOST_LETTERS].encode("utf-8", "replace").decode()
