"""Finds out which shortcuts a model gets right: each is tried once on made-up tokens against the plain pass.

No list of architectures is kept. What cannot be seen on a few tokens (sliding windows, rotary
embeddings that change with the length, scaled logits) is read from the configuration.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from debias.inference.labels import chain_tree, label_tree
from debias.inference.models.causality import check_causal
from debias.inference.transformers.passes.forward import FloatArray, Forward
from debias.inference.transformers.passes.model_pass import Capabilities, decoder_of
from debias.inference.transformers.passes.packing import Row

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_TOLERANCE = {torch.float32: 2e-4, torch.float64: 2e-4}
_LOW_PRECISION_TOLERANCE = 0.5
_ERRORS = (
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


def find_capabilities(model: "PreTrainedModel") -> tuple[Capabilities, dict[str, str]]:
    """Find out which shortcuts give the plain pass's answers.

    Parameters
    ----------
    model : PreTrainedModel

    Returns
    -------
    capabilities : Capabilities
    reasons : dict
        For each shortcut that is not used, why.

    Raises
    ------
    ModelError
        The model is no causal language model.
    """
    check_causal(model)
    config = model.config.get_text_config()
    plain = Capabilities(window=_window(config), batches=not _length_dependent(config))
    reasons: dict[str, str] = {}
    odd_head = _odd_head(model, config)
    if odd_head:
        reasons["projects"] = odd_head
    if not plain.batches:
        reasons |= dict.fromkeys(("shares", "branches"), "rotary embeddings depend on the length")
    chains, trees = (_Trial(model, plain, rows) for rows in _trial_rows(_vocabulary(model, config)))
    capabilities = plain
    steps = (("projects", chains), ("shares", chains), ("branches", trees))
    for name, trial in (*steps, ("packs", trees), ("layers", trees)):
        missing = [other for other, _ in steps if other in reasons]
        if name not in dict(steps) and missing:
            reasons[name] = f"it needs the others: {', '.join(missing)}"
        if name not in reasons:
            more = replace(capabilities, **{name: True})
            reason = trial.fault(more)
            if reason:
                reasons[name] = reason
            else:
                capabilities = more
    return capabilities, reasons


class _Trial:
    """Made-up rows on which shortcuts are tried, and the plain pass's answers, which are computed once."""

    def __init__(self, model: "PreTrainedModel", plain: Capabilities, rows: Sequence[Row]) -> None:
        self.model, self.plain, self.rows = model, plain, rows

    @cached_property
    def expected(self) -> list[FloatArray]:
        """Answers of the plain pass."""
        return Forward(self.model, 1, self.plain).score(self.rows)

    def fault(self, capabilities: Capabilities) -> str:
        """Say what is wrong with the answers under ``capabilities``, or an empty string."""
        try:
            received = Forward(self.model, 10_000, capabilities).score(self.rows)
            gap = max(float(np.abs(a - b).max()) for a, b in zip(self.expected, received, strict=True))
        except _ERRORS as error:
            return f"{type(error).__name__}: {error}"
        right = gap <= _TOLERANCE.get(self.model.dtype, _LOW_PRECISION_TOLERANCE)
        return "" if right else f"log-probabilities differ by {gap:.2g} from the plain pass"


def _trial_rows(vocabulary: int) -> tuple[list[Row], list[Row]]:
    """Rows with a shared beginning and different lengths, and the same with a branching tree."""
    generator = np.random.default_rng(0)
    low = vocabulary // 4
    known = np.arange(low, max(vocabulary, low + 40)) % vocabulary
    tokens: list[int] = generator.choice(known, size=40, replace=False).tolist()
    contexts = [tokens[:10], [*tokens[:7], *tokens[20:28]]]
    a, b, c, d = tokens[30:34]
    tree = label_tree(((a, b, c), (a, c), (b, d, a), (d,)))
    plain = [Row(context, chain_tree((a, b))) for context in contexts]
    return plain, [Row(context, tree) for context in contexts]


def _vocabulary(model: "PreTrainedModel", config: "PretrainedConfig") -> int:
    """Return the number of tokens that the model knows."""
    embeddings = model.get_input_embeddings()
    known = embeddings.num_embeddings if isinstance(embeddings, torch.nn.Embedding) else 0
    return int(getattr(config, "vocab_size", 0) or known)


def _window(config: "PretrainedConfig") -> int:
    """Longest row on which no layer's window is felt."""
    sizes = [
        getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size", "window_size")
    ]
    if getattr(config, "use_sliding_window", True) is False:
        sizes[0] = None
    known = [int(size) for size in sizes if isinstance(size, int) and size > 0]
    return min(known, default=Capabilities().window)


def _length_dependent(config: "PretrainedConfig") -> bool:
    """Whether rotary embeddings change with the longest row of a batch."""
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kinds = [rope, *[v for v in rope.values() if isinstance(v, dict)]]
    return any(kind.get("rope_type", kind.get("type")) in ("dynamic", "longrope") for kind in kinds)


def _odd_head(model: "PreTrainedModel", config: "PretrainedConfig") -> str:
    """Why hidden states times a matrix may not be the logits, or an empty string."""
    if type(model.get_output_embeddings()) is not torch.nn.Linear:
        return "the output layer is not a plain matrix"
    scaled = [k for k, v in config.to_dict().items() if "logit" in k and v not in (None, False, 1, 1.0)]
    if scaled:
        return f"the configuration changes logits: {', '.join(scaled)}"
    return "the decoder is not known" if decoder_of(model) is model else ""
