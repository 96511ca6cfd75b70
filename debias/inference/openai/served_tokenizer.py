"""The tokenizer of a served model, at hand: what it makes of prompts and labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from debias.errors import LabelError, ModelError
from debias.inference.labels import Tokens, split_labels, split_pairs
from debias.inference.tokenization import Tokenization


class ServedTokenizer(Tokenization):
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
        super().__init__(_load(tokenizer) if isinstance(tokenizer, str | Path) else tokenizer)

    def split(self, prompt: str, labels: Sequence[str]) -> tuple[list[int], tuple[Tokens, ...]]:
        """Context of a prompt, never empty, and every label's tokens after it."""
        ((context, tokens),) = split_labels(self.encode_plain, [prompt], labels)
        return self.context(context), tokens

    def split_pair(self, prompt: str, continuation: str) -> tuple[list[int], Tokens]:
        """Context of a prompt, never empty, and the tokens of a continuation after it."""
        ((context, tokens),) = split_pairs(self.encode_plain, [prompt], [continuation])
        return self.context(context), tokens

    def label_tokens(self, label: str) -> Tokens:
        """Tokens of a label at the beginning of an answer."""
        tokens = tuple(self.encode_plain([label])[0])
        if not tokens:
            raise LabelError(f"label {label!r} has no token; use another word")
        return tokens

    def text(self, before: Sequence[int], tokens: Sequence[int]) -> str:
        """Return what tokens read as after others."""
        start = self.decode(before)
        whole = self.decode([*before, *tokens])
        # A letter that only these tokens complete has no text of its own.
        return whole[len(start) :] if whole.startswith(start) else "�"


def _load(name: str | Path) -> Any:
    """Load a tokenizer by name."""
    from debias.inference.models.loading import load_tokenizer

    try:
        return load_tokenizer(name)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"tokenizer {str(name)!r} cannot be loaded: {reason}; give a folder, 'demo', or a name on the"
            " Hugging Face hub that can be reached"
        ) from error
