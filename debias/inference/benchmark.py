"""Measures how fast an engine is on given prompts, and compares it with plain matrix products.

The share of the peak divides the arithmetic that the model's matrices ask for, counted for the
tokens that went through them, by what the same machine does on matrix products of the same
widths, measured in the same run. What is left is attention, normalisation, activations, reading
and writing between them, and Python.
"""

import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from debias.errors import ParameterError
from debias.inference.engine import Engine, check_texts
from debias.inference.transformers.token_counts import TokenCounts
from debias.settings import check_positive_integer

if TYPE_CHECKING:
    from debias.inference.transformers.transformers_engine import TransformersEngine

_PEAK_TOKENS = 4096
_PEAK_TURNS = 5


@dataclass(frozen=True)
class EngineSpeed:
    """Figures of one benchmark; seconds are those of a pass over all prompts.

    Parameters
    ----------
    n_prompts, n_labels : int
    seconds : float
        The median of all rounds.
    slowest, fastest : float
        Seconds of the slowest and of the fastest round.
    prompt_tokens : int or None
        Tokens of all prompts as they stand; None where the engine has no tokenizer.
    token_counts : TokenCounts or None
        What went through the model; None where the engine counts nothing.
    achieved, peak : float or None
        Arithmetic per second of the model's matrices and of plain products, in GFLOP/s.
    memory : float
        The greatest memory that the process had, in MB; on CUDA that of the device.
    """

    n_prompts: int
    n_labels: int
    seconds: float
    slowest: float
    fastest: float
    prompt_tokens: int | None
    token_counts: TokenCounts | None
    achieved: float | None
    peak: float | None
    memory: float

    @property
    def prompts_per_second(self) -> float:
        """Prompts a second."""
        return self.n_prompts / self.seconds

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens of prompts a second, those included that were computed once for all."""
        return None if self.prompt_tokens is None else self.prompt_tokens / self.seconds

    @property
    def padding(self) -> float | None:
        """Share of the tokens that went through the model and were padding."""
        if self.token_counts is None or not self.token_counts.tokens:
            return None
        return self.token_counts.padding / (self.token_counts.tokens + self.token_counts.padding)

    @property
    def share_of_peak(self) -> float | None:
        """Achieved arithmetic over that of plain matrix products."""
        return None if self.achieved is None or self.peak is None else self.achieved / self.peak

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain data."""
        derived = ("prompts_per_second", "tokens_per_second", "padding", "share_of_peak")
        return asdict(self) | {name: getattr(self, name) for name in derived}


def measure_engine(
    engine: Engine,
    prompts: Sequence[str],
    labels: Sequence[str],
    rounds: int = 3,
    on_round: Callable[[int], object] | None = None,
) -> EngineSpeed:
    """Time an engine on prompts, after one pass that is not timed.

    Parameters
    ----------
    engine : Engine
    prompts : sequence of str, length n
    labels : sequence of str, length K
    rounds : int, default=3
        Passes over all prompts that are timed.
    on_round : callable, optional
        Called with the number of rounds that are done.

    Returns
    -------
    EngineSpeed

    Raises
    ------
    ParameterError
        There are no prompts, or `rounds` is not a positive integer.

    Examples
    --------
    >>> import numpy as np
    >>> class Even(Engine):
    ...     context_length, fingerprint = 100, {"model": "even"}
    ...
    ...     def continuation_logprobs(self, prompts, continuations):
    ...         return [np.log([0.4]) for _ in continuations]
    >>> speed = measure_engine(Even(), ["a", "b"], [" x", " y"])
    >>> speed.n_prompts, speed.token_counts, speed.fastest <= speed.seconds
    (2, None, True)
    """
    prompts = check_texts(prompts, "prompts")
    if not prompts:
        raise ParameterError(parameter="prompts", allowed="one or more texts", received=prompts)
    check_positive_integer("rounds", rounds)
    engine.label_logprobs(prompts[:8], labels)
    before = _counts(engine)
    seconds = []
    for number in range(rounds):
        started = time.perf_counter()
        engine.label_logprobs(prompts, labels)
        seconds.append(time.perf_counter() - started)
        if on_round is not None:
            on_round(number + 1)
    after = _counts(engine)
    counts = None
    if before is not None and after is not None:
        done = after - before
        counts = TokenCounts(done.tokens // rounds, done.padding // rounds, done.reads // rounds)
    encoded = engine.encode(prompts)
    flops = None if counts is None else _flops(engine, counts)  # type: ignore[arg-type]
    return EngineSpeed(
        n_prompts=len(prompts),
        n_labels=len(labels),
        seconds=median(seconds),
        slowest=max(seconds),
        fastest=min(seconds),
        prompt_tokens=None if encoded is None else sum(map(len, encoded)),
        token_counts=counts,
        achieved=None if flops is None else flops / median(seconds) / 1e9,
        peak=None if counts is None else matrix_product_peak(engine),  # type: ignore[arg-type]
        memory=_memory(engine),
    )


def _counts(engine: Engine) -> TokenCounts | None:
    """Return what an engine has counted so far."""
    counts = getattr(engine, "token_counts", None)
    return counts if isinstance(counts, TokenCounts) else None


def _matrices(engine: "TransformersEngine") -> list[tuple[int, int]]:
    """Shapes of the matrices that every token goes through."""
    from torch.nn import Embedding

    from debias.inference.transformers.passes.model_pass import decoder_of

    modules = [one for one in decoder_of(engine.model).modules() if not isinstance(one, Embedding)]
    weights = [getattr(module, "weight", None) for module in modules]
    return [(len(one), len(one[0])) for one in weights if one is not None and one.ndim == 2]


def _flops(engine: "TransformersEngine", counts: TokenCounts) -> float:
    """Floating-point operations of the model's matrices."""
    by_token = sum(height * width for height, width in _matrices(engine))
    vocabulary = engine.model.get_output_embeddings().weight.numel()
    omitted = engine._forward.weights_at_reads * (counts.tokens - counts.reads)
    return 2.0 * (by_token * counts.tokens - omitted + vocabulary * counts.reads)


def matrix_product_peak(engine: "TransformersEngine") -> float:
    """Fastest plain matrix product of this model's widths on its device, in GFLOP/s.

    Parameters
    ----------
    engine : TransformersEngine

    Returns
    -------
    float
    """
    import torch

    model = engine.model
    best = 0.0
    for height, width in sorted(set(_matrices(engine))):
        weight = torch.randn(height, width).to(model.device, model.dtype)
        states = torch.randn(_PEAK_TOKENS, width).to(model.device, model.dtype)
        for _ in range(_PEAK_TURNS):
            started = time.perf_counter()
            torch.nn.functional.linear(states, weight)
            if model.device.type == "cuda":
                torch.cuda.synchronize(model.device)
            seconds = time.perf_counter() - started
            best = max(best, 2e-9 * _PEAK_TOKENS * height * width / seconds)
    return best


def _memory(engine: Engine) -> float:
    """Greatest memory so far, in MB."""
    model = getattr(engine, "model", None)
    if getattr(getattr(model, "device", None), "type", "") == "cuda":
        import torch

        return float(torch.cuda.max_memory_allocated(model.device)) / 1e6  # type: ignore[union-attr]
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
