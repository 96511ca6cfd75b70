"""First tokens of labels in a model's answer, and the digest of a tokenizer."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from debias.errors import LabelError

_BEFORE = "Answer:"
"""Ends as prompts end: tokenizers may write a word otherwise at the beginning of a text."""


def answer_words(classes: Sequence[Any], labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return what follows the prompt for each class.

    Parameters
    ----------
    classes : sequence of length n_classes
        Labels of a correction.
    labels : mapping of str to str
        By the names of the classes: all of them, or none, and it is a space and the name.

    Returns
    -------
    tuple of str

    Raises
    ------
    LabelError
        The mapping is for other classes.

    Examples
    --------
    >>> answer_words(["yes", "no"], {})
    (' yes', ' no')
    >>> answer_words([1, 0], {"0": " no", "1": " yes"})
    (' yes', ' no')
    """
    names = [str(label) for label in classes]
    if labels and set(labels) != set(names):
        raise LabelError(parameter="labels", allowed=f"a text for each of {names}", received=dict(labels))
    return tuple(labels[name] if labels else f" {name}" for name in names)


def first_tokens(tokenizer: Any, words: Sequence[str]) -> tuple[int, ...]:
    """Return the first token of every label after a prompt.

    Parameters
    ----------
    tokenizer : tokenizer of vLLM or transformers
    words : sequence of str
        Labels as they follow the prompt.

    Returns
    -------
    tuple of int

    Raises
    ------
    LabelError
        Two labels share it, so that it does not tell them apart, or a label has none.
    """
    found: dict[int, str] = {}
    for word in words:
        tokens = _tokens_of(tokenizer, word)
        if not tokens:
            raise LabelError(f"label {word!r} adds no token to a prompt", received=word)
        token = tokens[0]
        if token in found:
            raise LabelError(
                f"labels {found[token]!r} and {word!r} share their first token {token}, which therefore"
                " does not tell them apart",
                received=(found[token], word),
                fix="collect and fit with words that begin differently, or apply the correction to a table",
            )
        found[token] = word
    return tuple(found)


def words_of_several_tokens(tokenizer: Any, words: Sequence[str]) -> list[str]:
    """Return the labels whose probability is not that of their first token.

    Parameters
    ----------
    tokenizer : tokenizer of vLLM or transformers
    words : sequence of str
        Labels as they follow the prompt.

    Returns
    -------
    list of str
    """
    return [word for word in words if len(_tokens_of(tokenizer, word)) > 1]


def _tokens_of(tokenizer: Any, word: str) -> list[int]:
    """Return the tokens that a word adds to a prompt; none where it has none of its own."""
    before = _BEFORE if word[:1].isspace() else f"{_BEFORE}\n"
    alone = list(tokenizer.encode(before, add_special_tokens=False))
    joined = list(tokenizer.encode(before + word, add_special_tokens=False))
    whole = joined[: len(alone)] == alone and len(joined) > len(alone)
    return [int(token) for token in joined[len(alone) :]] if whole else []


def tokenizer_digest(tokenizer: Any) -> str:
    """Return the digest of a tokenizer, as a collection's fingerprint has it.

    Parameters
    ----------
    tokenizer : tokenizer of vLLM or transformers

    Returns
    -------
    str
    """
    alone = list(tokenizer.encode("a", add_special_tokens=False))
    opened = list(tokenizer.encode("a"))
    starts = range(len(opened) - len(alone) + 1)
    start = next((start for start in starts if opened[start : start + len(alone)] == alone), 0)
    words = sorted(tokenizer.get_vocab().items())
    return hashlib.sha256(repr((words, opened[:start])).encode()).hexdigest()[:16]
