"""Finds the tokens of labels among those that a server returned, and refuses labels that share their first.

A chat, and a server whose tokens are not known, returns the first token of an answer alone.
"""

import math
from collections.abc import Sequence

from debias.errors import LabelError, param
from debias.inference.openai.connection.server_answers import PART, Token, TopTokens
from debias.inference.tokenization import Tokenization

_LIKELY = math.log(0.25)
"""Log-probability above which a token that begins two labels decides between neither."""


def find_id(top: TopTokens, token: int) -> float | None:
    """Log-probability of a token by its id; None when it is not among those returned."""
    return next((one.logprob for one in top.tokens if one.id == token), None)


def find_text(top: TopTokens, text: str, keeps_spaces: bool = True) -> float | None:
    """Log-probability of the token that reads ``text``; None when it is not among those returned.

    Parameters
    ----------
    top : TopTokens
    text : str
    keeps_spaces : bool, default=True
        Whether the server shows the space that a token begins with; where it does not, the text is
        searched without it.

    Returns
    -------
    float or None

    Raises
    ------
    LabelError
        Two of the tokens read so, or the text ends within a letter.

    Examples
    --------
    >>> from debias.inference.openai.connection.server_answers import Token
    >>> top = TopTokens((Token(-0.7, " yes", b" yes"), Token(-0.8, "yes", b"yes")), asked=2)
    >>> find_text(top, " yes"), find_text(top, " no")
    (-0.7, None)
    """
    if PART in text:
        raise LabelError(
            f"a token of a label ends in the middle of a character ({text!r}), and the server does not name "
            "ids of tokens",
            received=text,
            fix="use other words as labels, or a server that echoes prompts",
        )
    piece = (text if keeps_spaces else text.removeprefix(" ")).encode()
    found = [one for one in top.tokens if one.piece == piece]
    if len(found) > 1:
        raise LabelError(
            f"the server returned {len(found)} tokens that read {text!r}, and they cannot be told apart",
            received=text,
            fix=f"pass {param('tokenizer')} and use a server that names the ids of tokens (vLLM does), or"
            f" pass {param('style', repr('echo'))}",
        )
    return found[0].logprob if found else None


def scored_text(top: TopTokens, text: str, keeps_spaces: bool = True) -> tuple[float, bool]:
    """Return the log-probability of the token that reads ``text``, or a bound, and whether it is one.

    Where spaces are omitted, two tokens may have become one of which one probability is left: it is then
    not known whose.

    Raises
    ------
    LabelError
        As for :func:`find_text`.

    Examples
    --------
    >>> from debias.inference.openai.connection.server_answers import Token
    >>> top = TopTokens((Token(math.log(0.5), "no", b"no"), Token(math.log(0.1), "yes", b"yes")), asked=3)
    >>> scored_text(top, " yes", keeps_spaces=False)[1], scored_text(top, "yes")[1]
    (True, False)
    """
    logprob = find_text(top, text, keeps_spaces)
    if logprob is None:
        return top.bound(), True
    if not keeps_spaces and len(top.tokens) < top.asked and all(one.piece is not None for one in top.tokens):
        piece = text.removeprefix(" ").encode()
        return top.most([one for one in top.tokens if one.piece == piece]), True
    return logprob, False


def check_first_words(labels: Sequence[str]) -> None:
    """Raise LabelError, naming the pair, where two labels begin with the same word.

    No token goes beyond the end of a word, so the first token of such labels is the same.

    Examples
    --------
    >>> check_first_words(["good", "bad"])
    >>> check_first_words(["good day", "bad day", "good night"])
    Traceback (most recent call last):
    debias.errors.LabelError: labels 'good day' and 'good night' begin with the same token, the only one ...
    """
    first: dict[str, str] = {}
    for label in labels:
        word = label.split()[0] if label.split() else label
        if word in first:
            raise _alike(first[word], label)
        first[word] = label


def _alike(label: str, other: str, token: str | None = None, parameter: str | None = None) -> LabelError:
    """Return the error for two labels whose first token is the same."""
    shown = "the same token" if token is None else f"the same token {token!r}"
    return LabelError(
        f"labels {label.strip()!r} and {other.strip()!r} begin with {shown}, the only one that this server "
        "returns, so they cannot be told apart",
        parameter=parameter,
        received=(label.strip(), other.strip()),
        fix=f"use labels whose first words differ, such as A and B, or a server that echoes prompts or "
        f"takes {param('tokenizer')}",
    )


def check_chat_labels(labels: Sequence[str], tokens: Tokenization | None, scoring: str) -> None:
    """Raise LabelError for labels that one token of a chat does not decide."""
    words = [label.strip() for label in labels]
    if len(set(words)) < len(words):
        raise LabelError(
            f"labels {words} are not distinct after stripping spaces",
            received=words,
            fix="rename one",
        )
    if tokens is None:
        if scoring == "first-token":
            raise LabelError(
                f"{param('scoring', repr('first-token'))} needs the first tokens of the labels",
                parameter="tokenizer",
                fix=f"pass {param('tokenizer')}",
            )
        check_first_words(words)
        return
    own = tuple(tokens.label_tokens(word) for word in words)
    long = [word for word, ids in zip(words, own, strict=True) if len(ids) > 1]
    if long and scoring == "label":
        raise LabelError(
            f"labels {long} have several tokens, but a chat returns only the first one",
            received=long,
            fix=f"pass {param('scoring', repr('first-token'))}, use labels of one token, or a server with "
            "completions",
        )
    first: dict[int, str] = {}
    for word, ids in zip(words, own, strict=True):
        if ids[0] in first:
            parameter = "scoring" if scoring == "first-token" else None
            raise _alike(first[ids[0]], word, tokens.decode([ids[0]]), parameter)
        first[ids[0]] = word


def found_words(top: TopTokens, words: Sequence[str], keeps_spaces: bool = True) -> list[tuple[float, bool]]:
    """Return log-probabilities of the tokens that are all of a word, or bounds whatever its tokens are.

    Raises
    ------
    LabelError
        A token that is likely begins two words, neither of which was returned whole; or it is one, and
        begins another.
    """
    exact = [find_text(top, word, keeps_spaces) for word in words]
    found = []
    owners: dict[bytes, str] = {}
    for word, logprob in zip(words, exact, strict=True):
        forms = (word, word.lstrip(" "))
        begun = [one for one in top.tokens if _may_begin(one, forms)]
        for one in begun:
            whole = one.piece in [form.encode() for form in forms]
            if (logprob is None or whole) and (one.logprob or 0.0) > _LIKELY and one.piece is not None:
                if one.piece in owners:
                    raise _alike(owners[one.piece], word, one.text or one.piece.decode(errors="replace"))
                owners[one.piece] = word
        if logprob is not None:
            found.append(scored_text(top, word, keeps_spaces))
            continue
        bounds = [top.bound(), *(one.logprob for one in begun if one.logprob is not None)]
        if any(one.piece is None for one in begun):  # several parts of letters may be shown as one
            bounds.append(top.most(begun))
        found.append((max(bounds), True))
    return found


def _may_begin(token: Token, words: Sequence[str]) -> bool:
    """Whether a token may be the beginning of a word; a part of a letter may be that of any but ASCII."""
    if token.piece is not None:
        return token.piece != b"" and any(word.encode().startswith(token.piece) for word in words)
    opening, part, _ = token.text.partition(PART)
    following = [word[len(opening) :][:1] for word in words if word.startswith(opening)]
    return part != "" and any(letter and not letter.isascii() for letter in following)
