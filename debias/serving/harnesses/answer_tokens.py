"""Reads the log-probabilities of labels out of the most probable first tokens of an answer.

A label that is not one whole token among them gets a bound, as from a server of
:class:`debias.OpenAIEngine` whose tokenizer is not known: no probability of it exceeds the bound.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from debias.errors import EngineError, LabelError, ParameterError

_LIKELY = math.log(0.25)
"""Log-probability above which a token that begins two labels decides between neither."""
_UNKNOWN = -9000.0
"""Servers write a smaller number for what they do not know, or for a probability of zero."""
_ROUNDING = 1e-4
_LEFT_AT_LEAST = 1e-5


class AnswerToken(NamedTuple):
    """One of the most probable tokens.

    Parameters
    ----------
    text : str
        As the server shows it.
    logprob : float
        Natural logarithm.
    encoded : bytes, optional
        Its bytes, where the server says them.
    """

    text: str
    logprob: float
    encoded: bytes | None = None

    @property
    def piece(self) -> bytes:
        """Its bytes, with a space in the place of the marks that tokenizers have for it."""
        if self.encoded is not None:
            return self.encoded
        text = " " + self.text[1:] if self.text[:1] in ("▁", "Ġ") else self.text
        return text.encode(errors="replace")


class LabelLogprobs(NamedTuple):
    """What the first token of an answer says about labels.

    Parameters
    ----------
    values : list of float
        A log-probability per label.
    bounds : list of bool
        Whether it is only a bound.
    """

    values: list[float]
    bounds: list[bool]


def label_logprobs(
    tokens: Sequence[AnswerToken], words: Sequence[str], top: int, drawn: str | None = None
) -> LabelLogprobs:
    """Return the log-probability of every label, or a bound.

    Parameters
    ----------
    tokens : sequence of AnswerToken
        The most probable ones.
    words : sequence of str
        What an answer begins with for each class.
    top : int
        How many tokens were asked for; servers may list the drawn one beyond that.
    drawn : str, optional
        The token that was drawn.

    Returns
    -------
    LabelLogprobs

    Raises
    ------
    EngineError
        The tokens have no log-probabilities, or some that cannot be right.
    LabelError
        Two of the tokens read as one label; a likely token begins two labels, which cannot be told
        apart.
    ParameterError
        `top` is no positive integer.

    Examples
    --------
    >>> tokens = [AnswerToken("Bug", -0.3), AnswerToken("Bill", -2.0)]
    >>> found = label_logprobs(tokens, ["Bug", "Billing"], top=2)
    >>> found.values, found.bounds
    ([-0.3, -2.0], [False, True])
    """
    check_top(top)
    known = sorted(_checked(tokens), key=lambda token: -token.logprob)
    pieces = [(token.piece, token) for token in known]
    bound = _bound(known, top, drawn)
    values, bounds = [], []
    owners: dict[bytes, str] = {}
    for word in words:
        wanted = word.encode()
        forms = (wanted, wanted.lstrip(b" "))
        whole = [token.logprob for piece, token in pieces if piece == wanted]
        if len(whole) > 1:
            raise LabelError(
                f"{len(whole)} tokens read {word!r}, and they cannot be told apart", received=word
            )
        begun = [
            one for one in pieces if one[0] and (forms[0].startswith(one[0]) or forms[1].startswith(one[0]))
        ]
        for piece, token in begun:
            if (not whole or piece in forms) and token.logprob > _LIKELY:
                other = owners.setdefault(piece, word)
                if other != word:
                    raise LabelError(
                        f"{other!r} and {word!r} begin with the token {token.text!r}, so they cannot be told "
                        "apart",
                        received=(other, word),
                        fix="use labels whose first tokens differ",
                    )
        values.append(whole[0] if whole else max([bound, *(token.logprob for _, token in begun)]))
        bounds.append(not whole)
    return LabelLogprobs(values, bounds)


def check_top(top: object) -> None:
    """Refuse a number of tokens that gives no bound for a label that is not among them.

    Raises
    ------
    ParameterError
        It is no positive integer.

    Examples
    --------
    >>> check_top(0)
    Traceback (most recent call last):
    debias.errors.ParameterError: top must be a positive integer, that of top_logprobs, got 0.
    """
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise ParameterError(
            parameter="top", allowed="a positive integer, that of top_logprobs", received=top
        )


def _checked(tokens: Sequence[AnswerToken]) -> list[AnswerToken]:
    """Return the tokens whose log-probabilities are known; refuse what cannot be one."""
    for token in tokens:
        if math.isnan(token.logprob) or token.logprob > _ROUNDING:
            raise EngineError(
                f"the token {token.text!r} has the log-probability {token.logprob!r}", received=token.logprob
            )
    known = [token._replace(logprob=min(token.logprob, 0.0)) for token in tokens if token.logprob >= _UNKNOWN]
    if not known:
        raise EngineError("no token of the answer has a log-probability", received=[*tokens])
    if sum(math.exp(token.logprob) for token in known) > 1.0 + 1e-2:
        raise EngineError("the probabilities of the tokens add up to more than one", received=[*known])
    return known


def _bound(known: Sequence[AnswerToken], top: int, drawn: str | None) -> float:
    """Return a log-probability that no other token exceeds: that of the last one, or of all that is left."""
    first = list(known[:top])
    if len(first) > 1 and drawn is not None and first[-1].piece == AnswerToken(drawn, 0.0).piece:
        first.pop()
    left = 1.0 - sum(math.exp(token.logprob) for token in known)
    return min(first[-1].logprob, math.log(max(left, 0.0) + _LEFT_AT_LEAST))
