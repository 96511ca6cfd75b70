"""The tokenizer of a served model, at hand: what it makes of prompts and labels."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from debias.errors import LabelError, ModelError, ParameterError
from debias.inference.labels import Tokens, split_labels, split_pairs


class ServedTokenizer:
    """Token ids as the served model reads them, special tokens before a text included.

    Parameters
    ----------
    tokenizer : str, Path or tokenizer of transformers
        A name on the Hugging Face hub, a folder, "demo", or a tokenizer.

    Raises
    ------
    ModelError
        When it cannot be loaded.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = _load(tokenizer) if isinstance(tokenizer, str | Path) else tokenizer
        with_special = list(self._tokenizer("a")["input_ids"])
        alone = self._encode(["a"])[0]
        starts = [
            start
            for start in range(len(with_special) - len(alone) + 1)
            if with_special[start : start + len(alone)] == alone
        ]
        if not starts:
            raise ParameterError(
                f"tokenizer {type(self._tokenizer).__name__} changes a text when it adds special tokens"
            )
        self._leading = with_special[: starts[0]]

    @property
    def digest(self) -> str:
        """Digest of the vocabulary and the special tokens."""
        words = sorted(self._tokenizer.get_vocab().items())
        return hashlib.sha256(repr((words, self._leading)).encode()).hexdigest()[:16]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, those before it included."""
        return [self._leading + tokens for tokens in self._encode(texts)]

    def split(self, prompt: str, labels: Sequence[str]) -> tuple[list[int], tuple[Tokens, ...]]:
        """Context of a prompt, never empty, and every label's tokens after it."""
        ((context, tokens),) = split_labels(self._encode, [prompt], labels)
        return self._opened(context), tokens

    def split_pair(self, prompt: str, continuation: str) -> tuple[list[int], Tokens]:
        """Context of a prompt, never empty, and the tokens of a continuation after it."""
        ((context, tokens),) = split_pairs(self._encode, [prompt], [continuation])
        return self._opened(context), tokens

    def label_tokens(self, label: str) -> Tokens:
        """Tokens of a label at the beginning of an answer."""
        tokens = tuple(self._encode([label])[0])
        if not tokens:
            raise LabelError(f"label {label!r} has no token; use another word")
        return tokens

    def text(self, before: Sequence[int], tokens: Sequence[int]) -> str:
        """Return what tokens read as after others."""
        start = str(self._tokenizer.decode(list(before)))
        whole = str(self._tokenizer.decode([*before, *tokens]))
        # A letter that only these tokens complete has no text of its own.
        return whole[len(start) :] if whole.startswith(start) else "�"

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text alone."""
        if not texts:
            return []
        ids = self._tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return [list(tokens) for tokens in ids]

    def _opened(self, context: list[int]) -> list[int]:
        """Put what every text begins with before a context."""
        context = self._leading + context
        if context:
            return context
        opening = self._tokenizer.bos_token_id
        opening = self._tokenizer.eos_token_id if opening is None else opening
        if opening is None:
            raise ParameterError(
                "a prompt is empty, and the tokenizer has no token to begin with; give a prompt"
            )
        return [int(opening)]


def _load(name: str | Path) -> Any:
    """Load a tokenizer by name."""
    from debias.inference.loading import load_tokenizer

    try:
        return load_tokenizer(name)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"tokenizer {str(name)!r} cannot be loaded: {reason}; give a folder, 'demo', or a name on the"
            " Hugging Face hub that can be reached"
        ) from error
