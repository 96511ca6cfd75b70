"""Scores with a whole model and an adapter, and holds the model only while it scores.

So a small model can be trained where the large one fits into memory beside it for inference, or not even
beside it: between rounds the large one is released.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from debias.inference.engine import Engine, FloatArray
from iterit.training.pruned.adapter_recovery import write_recovered
from iterit.training.pruned.pruned_manifest import Manifest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from debias.inference.transformers.transformers_engine import TransformersEngine


class AdaptedEngine(Engine):
    """An engine of transformers that takes adapters, loaded when it is first asked.

    Parameters
    ----------
    model : str
        A folder, or a name on a hub.
    dtype, device : str, default="auto"
        See :class:`~debias.inference.transformers.transformers_engine.TransformersEngine`.

    Examples
    --------
    >>> engine = AdaptedEngine("large-model")  # doctest: +SKIP
    >>> engine.use_adapter("recovered")  # doctest: +SKIP
    >>> score_complexity(records, engine)  # doctest: +SKIP
    """

    def __init__(self, model: str, dtype: str = "auto", device: str = "auto") -> None:
        self.name, self.dtype, self.device = model, dtype, device
        self._engine: TransformersEngine | None = None
        self._adapted: Any = None

    @property
    def loaded(self) -> "TransformersEngine":
        """The engine with the model as it is now."""
        from debias.inference.transformers.transformers_engine import TransformersEngine

        if self._engine is None:
            self._engine = TransformersEngine(self.name, dtype=self.dtype, device=self.device)
        return self._engine

    @property
    def is_loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._engine is not None

    def use_adapter(self, folder: str | Path) -> None:
        """Score with the adapter in a folder from now on, which is read at once."""
        from peft import PeftModel

        from debias.inference.transformers.transformers_engine import TransformersEngine

        engine = self.loaded
        plain = engine.model if self._adapted is None else self._adapted.unload()
        self._adapted = PeftModel.from_pretrained(plain, folder).eval()
        self._engine = TransformersEngine(self._adapted, engine.tokenizer)

    def release(self) -> None:
        """Free the memory of the model; the next question loads it again, without an adapter."""
        self._engine = self._adapted = None

    @property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The model's tokenizer."""
        return self.loaded.tokenizer

    @property
    def context_length(self) -> int:
        """Most tokens that a prompt and what follows it may have together."""
        return self.loaded.context_length

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What decides the answers, weights of the adapter included."""
        return self.loaded.fingerprint

    def operations_per_token(self) -> float:
        """Return about how many operations a token costs."""
        return self.loaded.operations_per_token()

    def continuation_logprobs(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[FloatArray]:
        """Log-probability of every token of each continuation, given its prompt."""
        return self.loaded.continuation_logprobs(prompts, continuations)

    def span_logprobs(
        self, sequences: Sequence[Sequence[int]], spans: Sequence[Sequence[tuple[int, int]]]
    ) -> list[FloatArray]:
        """Log-probability of the tokens in some spans of token sequences."""
        return self.loaded.span_logprobs(sequences, spans)


def recovering(
    manifest: Manifest, base: str, engine: object = None
) -> Callable[[Path], AbstractContextManager[Path]]:
    """Return what turns the folder of a small model's adapter into one of the whole model, for a while.

    Parameters
    ----------
    manifest : Manifest
    base : str
        The whole model.
    engine : object, optional
        Releases its model at the end, if it can.
    """

    @contextmanager
    def recovered(folder: Path) -> Iterator[Path]:
        with TemporaryDirectory(prefix="iterit-recovered-") as name:
            try:
                yield write_recovered(folder, name, manifest, base)
            finally:
                if isinstance(engine, AdaptedEngine):
                    engine.release()

    return recovered
