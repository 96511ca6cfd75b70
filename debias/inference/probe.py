"""Which shortcuts a model gets right: each is tried once on made-up tokens against the plain pass.

No list of architectures is kept. What cannot be seen on a few tokens (sliding windows, rotary
embeddings that change with the length, scaled logits) is read from the configuration.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from debias.inference.forward import Abilities, Forward, Row, decoder_of
from debias.inference.labels import chain_tree, label_tree

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


def probe(model: Any) -> tuple[Abilities, dict[str, str]]:
    """Find out which shortcuts give the plain pass's answers.

    Parameters
    ----------
    model : PreTrainedModel

    Returns
    -------
    abilities : Abilities
    reasons : dict
        For each shortcut that is left out, why.
    """
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    reasons: dict[str, str] = {}
    plain = Abilities(window=_window(config), batches=not _length_dependent(config))
    tolerance = _TOLERANCE.get(model.dtype, _LOW_PRECISION_TOLERANCE)
    rows, branched = _trial_rows(_vocabulary(model, config))

    def works(name: str, trial: Sequence[Row], abilities: Abilities) -> bool:
        try:
            expected = Forward(model, 1, plain).score(trial)
            received = Forward(model, 10_000, abilities).score(trial)
        except _ERRORS as error:
            reasons[name] = f"{type(error).__name__}: {error}"
            return False
        gap = max(float(np.abs(a - b).max()) for a, b in zip(expected, received, strict=True))
        if not gap <= tolerance:
            reasons[name] = f"log-probabilities differ by {gap:.2g} from the plain pass"
        return bool(gap <= tolerance)

    abilities = plain
    if not _fixed(reasons, "projects", lambda: _odd_head(model, config)) and works(
        "projects", rows, replace(abilities, projects=True)
    ):
        abilities = replace(abilities, projects=True)
    if not _fixed(
        reasons, "shares", lambda: "" if plain.batches else "rotary embeddings depend on the length"
    ):
        if works("shares", rows, replace(abilities, shares=True)):
            abilities = replace(abilities, shares=True)
        if works("branches", branched, replace(abilities, branches=True)):
            abilities = replace(abilities, branches=True)
    return abilities, reasons


def _fixed(reasons: dict[str, str], name: str, reason: Callable[[], str]) -> bool:
    """Note why a shortcut is left out without a trial, where there is a reason."""
    text = reason()
    if text:
        reasons[name] = text
    return bool(text)


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


def _vocabulary(model: Any, config: Any) -> int:
    """Return the number of tokens that the model knows."""
    return int(getattr(config, "vocab_size", 0) or model.get_input_embeddings().num_embeddings)


def _window(config: Any) -> int:
    """Longest row on which no layer's window is felt."""
    sizes = [
        getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size", "window_size")
    ]
    if getattr(config, "use_sliding_window", True) is False:
        sizes[0] = None
    known = [int(size) for size in sizes if isinstance(size, int) and size > 0]
    return min(known, default=Abilities().window)


def _length_dependent(config: Any) -> bool:
    """Whether rotary embeddings change with the longest row of a batch."""
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kinds = [rope, *[v for v in rope.values() if isinstance(v, dict)]]
    return any(kind.get("rope_type", kind.get("type")) in ("dynamic", "longrope") for kind in kinds)


def _odd_head(model: Any, config: Any) -> str:
    """Why hidden states times a matrix may not be the logits, or an empty string."""
    if type(model.get_output_embeddings()) is not torch.nn.Linear:
        return "the output layer is not a plain matrix"
    scaled = [k for k, v in config.to_dict().items() if "logit" in k and v not in (None, False, 1, 1.0)]
    if scaled:
        return f"the configuration changes logits: {', '.join(scaled)}"
    return "the decoder is not known" if decoder_of(model) is model else ""
