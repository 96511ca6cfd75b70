"""Text to token ids as a model expects them: with its opening tokens, and never empty."""

import hashlib
from array import array
from collections.abc import Sequence
from functools import cached_property
from threading import Lock
from typing import Any

from debias.errors import ParameterError

_TOKENS_KEPT = 2_000_000


class Tokenization:
    """A tokenizer of the transformers library, and the tokens it puts before every text.

    Texts of late are remembered, some eight megabytes of tokens, since prompts are first measured
    and then asked about.

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
        When the tokenizer changes a text as it adds special tokens.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.leading = _leading_tokens(tokenizer)
        self._known: dict[str, array[int]] = {}
        self._n_known = 0
        self._lock = Lock()

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
        ids = self.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        return [list(tokens) for tokens in ids]

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
        return str(self.tokenizer.decode(list(tokens)))

    def context(self, tokens: Sequence[int]) -> list[int]:
        """Put the opening tokens before those of a prompt; an empty prompt gets one of its own.

        Raises
        ------
        ParameterError
            When the prompt is empty and the tokenizer has no token to begin with.
        """
        whole = self.leading + list(tokens)
        if whole:
            return whole
        opening = self.tokenizer.bos_token_id
        opening = self.tokenizer.eos_token_id if opening is None else opening
        if opening is None:
            raise ParameterError(
                "a prompt is empty, and the tokenizer has no token to begin with; give a prompt"
            )
        return [int(opening)]

    @cached_property
    def digest(self) -> str:
        """Digest of the vocabulary and the opening tokens."""
        words = sorted(self.tokenizer.get_vocab().items())
        return hashlib.sha256(repr((words, self.leading)).encode()).hexdigest()[:16]


def _leading_tokens(tokenizer: Any) -> list[int]:
    """Return the special tokens that the tokenizer puts before a text."""
    with_special = list(tokenizer("a")["input_ids"])
    alone = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    for start in range(len(with_special) - len(alone) + 1):
        if with_special[start : start + len(alone)] == alone:
            return with_special[:start]
    raise ParameterError(
        f"the tokenizer {type(tokenizer).__name__} changes a text when it adds special tokens"
    )
