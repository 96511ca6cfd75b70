"""Turns texts into token ids as a model expects them: with its opening tokens, and never empty."""

import hashlib
from array import array
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Self

from debias.errors import LabelError, ParameterError
from debias.inference.labels import Tokens, split_labels, split_pairs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_TOKENS_KEPT = 2_000_000


class Tokenization:
    """A tokenizer of the transformers library, and the tokens it puts before every text.

    Recent texts are remembered, some eight megabytes of tokens, since prompts are first measured
    and then asked about. Several threads may use one object.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase

    Attributes
    ----------
    leading : list of int
        Tokens that open every text, such as ``<s>``; often none.

    Raises
    ------
    ParameterError
        The tokenizer changes a text as it adds special tokens.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self.tokenizer = tokenizer
        self.leading = _leading_tokens(tokenizer)
        self._known: dict[str, array[int]] = {}
        self._n_known = 0
        self._lock = Lock()

    @classmethod
    def of(cls, tokenizer: "str | Path | PreTrainedTokenizerBase") -> Self:
        """Return the tokenization of a tokenizer, or of the name of its model.

        Raises
        ------
        ModelError
            It cannot be loaded.
        """
        if isinstance(tokenizer, str | Path):
            from debias.inference.models.loading import load_tokenizer

            return cls(load_tokenizer(tokenizer))
        return cls(tokenizer)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, the opening tokens included."""
        return [self.leading + tokens for tokens in self.encode_plain(texts)]

    def encode_plain(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text alone."""
        with self._lock:  # a tokenizer does one thing at a time
            return self._encoded(texts)

    def _encoded(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts, from memory where they are known."""
        known = self._known
        new = [text for text in dict.fromkeys(texts) if text not in known]
        found = dict(zip(new, self._tokenised(new), strict=True)) if new else {}
        answer = [list(found[text]) if text in found else known[text].tolist() for text in texts]
        self._remember(found)
        return answer

    def _tokenised(self, texts: list[str]) -> list[list[int]]:
        """Token ids of texts that are not known yet."""
        found = self.tokenizer(texts, add_special_tokens=False, verbose=False)
        return [list(tokens) for tokens in found["input_ids"]]

    def _remember(self, found: dict[str, list[int]]) -> None:
        """Keep the tokens of new texts, and forget all others when it gets too many."""
        size = sum(map(len, found.values()))
        if self._n_known + size > _TOKENS_KEPT:
            self._known, self._n_known = {}, 0
        if size <= _TOKENS_KEPT:
            self._known |= {text: array("i", tokens) for text, tokens in found.items()}
            self._n_known += size

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of token ids."""
        with self._lock:
            return str(self.tokenizer.decode(list(tokens)))

    def decode_plain(self, tokens: Sequence[int]) -> str:
        """Text of token ids without special tokens, spaces as they are."""
        with self._lock:
            found = self.tokenizer.decode(
                list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        return str(found)

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end a text."""
        end = self.tokenizer.eos_token_id
        return frozenset() if end is None else frozenset([int(end)])

    def decode_after(self, before: Sequence[int], tokens: Sequence[int]) -> str:
        """Text of token ids as it reads after others."""
        start = self.decode(before)
        whole = self.decode([*before, *tokens])
        # A letter that only these tokens complete has no text of its own.
        return whole[len(start) :] if whole.startswith(start) else "\N{REPLACEMENT CHARACTER}"

    def split_labels(
        self, prompts: Sequence[str], labels: Sequence[str]
    ) -> list[tuple[list[int], tuple[Tokens, ...]]]:
        """Context of each prompt, opened and never empty, and every label's tokens after it."""
        found = split_labels(self.encode_plain, prompts, labels)
        return [(self.context(context), tokens) for context, tokens in found]

    def split_pairs(
        self, prompts: Sequence[str], continuations: Sequence[str]
    ) -> list[tuple[list[int], Tokens]]:
        """Context of each prompt, opened and never empty, and the tokens of its own continuation."""
        found = split_pairs(self.encode_plain, prompts, continuations)
        return [(self.context(context), tokens) for context, tokens in found]

    def label_tokens(self, label: str) -> Tokens:
        """Tokens of a label at the beginning of a text."""
        tokens = tuple(self.encode_plain([label])[0])
        if not tokens:
            raise LabelError(f"label {label!r} has no token", received=label, fix="use another word")
        return tokens

    def context(self, tokens: Sequence[int]) -> list[int]:
        """Put the opening tokens before those of a prompt; an empty prompt gets one of its own.

        Raises
        ------
        ParameterError
            The prompt is empty, and the tokenizer has no token to begin with.
        """
        whole = self.leading + list(tokens)
        if whole:
            return whole
        for opening in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if opening is not None:
                return [int(opening)]
        raise ParameterError(
            "a prompt is empty, and the tokenizer has no token to begin with",
            parameter="prompts",
            received="",
            fix="omit it",
        )

    @cached_property
    def digest(self) -> str:
        """Digest of the vocabulary and the opening tokens."""
        words = sorted(self.tokenizer.get_vocab().items())
        return hashlib.sha256(repr((words, self.leading)).encode()).hexdigest()[:16]


def _leading_tokens(tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Return the special tokens that the tokenizer puts before a text."""
    with_special = list(tokenizer("a")["input_ids"])
    alone = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    for start in range(len(with_special) - len(alone) + 1):
        if with_special[start : start + len(alone)] == alone:
            return with_special[:start]
    raise ParameterError(
        f"the tokenizer {type(tokenizer).__name__} changes a text when it adds special tokens",
        parameter="tokenizer",
    )
