"""Rules that say how important each neuron and each head of a layer is; the least important are pruned.

A rule is a function of a layer. Three are here: drawn at random, by the size of weights, and by the size
of what weights make of given texts (after Sun et al., "A Simple and Effective Pruning Approach for Large
Language Models", ICLR 2024, with whole neurons and heads in place of single weights).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from debias.errors import ParameterError
from iterit.training.pruned.kept_parts import KeptParts, n_kept
from iterit.training.pruned.llama_parts import Sizes, layers_of, projections_of, sizes_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from iterit.training.pruned.prune_settings import PruneSettings

_READS = {"o_proj": "heads", "down_proj": "neurons"}


class Importance(NamedTuple):
    """How important the parts of a layer are.

    Attributes
    ----------
    neurons : array-like of float, shape (n_neurons,)
    heads : array-like of float, shape (n_heads,)
        Of keys and values.
    """

    neurons: ArrayLike
    heads: ArrayLike


@dataclass(frozen=True)
class PrunableLayer:
    """A layer, as a rule gets it.

    Parameters
    ----------
    number : int
        The first is 0.
    weights : mapping of str to tensor
        Of ``q_proj``, ``k_proj``, ``v_proj``, ``o_proj``, ``gate_proj``, ``up_proj`` and ``down_proj``, of
        shape (outputs, inputs).
    sizes : Sizes
    """

    number: int
    weights: "Mapping[str, torch.Tensor]"
    sizes: Sizes

    def by_head(self, projection: str, axis: int) -> "torch.Tensor":
        """Return a weight in float64 with an axis of its own for heads, and one for all else."""
        weight = self.weights[projection].detach().double()
        weight = weight if axis == 0 else weight.t()
        return weight.reshape(self.sizes.heads, -1)


PruningRule = Callable[[PrunableLayer], Importance]
"""Says how important the parts of a layer are."""


def random_rule(seed: int = 0) -> PruningRule:
    """Return a rule that draws importance at random, by seed and layer.

    Examples
    --------
    >>> layer = PrunableLayer(0, {}, Sizes(n_layers=1, hidden=8, neurons=3, heads=1, group=1, width=8))
    >>> rule = random_rule(seed=0)
    >>> bool((rule(layer).neurons == rule(layer).neurons).all())
    True
    """

    def drawn(layer: PrunableLayer) -> Importance:
        source = np.random.default_rng([seed, layer.number])
        return Importance(source.random(layer.sizes.neurons), source.random(layer.sizes.heads))

    return drawn


def weight_rule(layer: PrunableLayer) -> Importance:
    """Return the squared size of all weights of each neuron and of each head."""
    weights = {name: layer.weights[name].detach().double() for name in ("gate_proj", "up_proj", "down_proj")}
    neurons = sum(weights[name].square().sum(1) for name in ("gate_proj", "up_proj"))
    neurons = neurons + weights["down_proj"].square().sum(0)
    heads = sum(layer.by_head(name, 0).square().sum(1) for name in ("q_proj", "k_proj", "v_proj"))
    heads = heads + layer.by_head("o_proj", 1).square().sum(1)
    return Importance(neurons.cpu().numpy(), heads.cpu().numpy())


def activation_rule(model: "PreTrainedModel", sequences: Sequence[Sequence[int]]) -> PruningRule:
    """Return a rule for a model: the squared size of what each part adds to the layer's output on texts.

    The mean square of each input of "down" and of the attention's output, over all tokens, times the squared
    size of the weights that it is multiplied by; of a head, the sum over its inputs.

    Parameters
    ----------
    model : PreTrainedModel
        Whole; it is run once over the texts.
    sequences : sequence of sequences of int
        Tokens of texts.

    Raises
    ------
    ParameterError
        There is no token.
    """
    import torch

    sums: dict[tuple[int, str], torch.Tensor] = {}
    handles = []

    def adder(place: tuple[int, str]) -> Callable[[Any, Any], None]:
        def add(_: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            own = inputs[0].detach().flatten(0, -2).double().square().sum(0)
            sums[place] = sums[place] + own if place in sums else own

        return add

    n_tokens = sum(map(len, sequences))
    if not n_tokens:
        raise ParameterError(
            "the texts have no token", parameter="texts", fix="pass texts that are not empty"
        )
    for number, layer in enumerate(layers_of(model)):
        modules = projections_of(layer)
        handles += [modules[name].register_forward_pre_hook(adder((number, name))) for name in _READS]
    try:
        with torch.no_grad():
            for tokens in sequences:
                if len(tokens):
                    model(input_ids=torch.tensor([list(tokens)], device=model.device), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    means = {place: total.cpu() / n_tokens for place, total in sums.items()}

    def by_activations(layer: PrunableLayer) -> Importance:
        found = {
            name: means[layer.number, name] * layer.weights[name].detach().double().square().sum(0).cpu()
            for name in _READS
        }
        heads = found["o_proj"].reshape(layer.sizes.heads, -1).sum(1)
        return Importance(found["down_proj"].numpy(), heads.numpy())

    return by_activations


def choose_parts(model: "PreTrainedModel", rule: PruningRule, settings: "PruneSettings") -> list[KeptParts]:
    """Choose the neurons and heads of each layer that are kept.

    Parameters
    ----------
    model : PreTrainedModel
    rule : callable
    settings : PruneSettings

    Returns
    -------
    list of KeptParts
        One for each layer.

    Raises
    ------
    ModelError
        The model is of a kind that cannot be pruned.
    ParameterError
        All layers are to be kept whole, or the rule returns something else than finite numbers.
    """
    sizes = sizes_of(model.config)
    layers = layers_of(model)
    settings.check_layers(sizes.n_layers)
    kept = []
    for number, layer in enumerate(layers):
        counts = n_kept(sizes.neurons, settings.share), n_kept(sizes.heads, settings.shares[1])
        if not settings.prunes(number, sizes.n_layers) or counts == (sizes.neurons, sizes.heads):
            kept.append(KeptParts.whole(sizes))
            continue
        weights = {name: module.weight for name, module in projections_of(layer).items()}
        found = rule(PrunableLayer(number, weights, sizes))
        neurons = _checked(found, 0, number, sizes.neurons)
        heads = _checked(found, 1, number, sizes.heads)
        kept.append(KeptParts.highest(neurons, heads, *counts))
    return kept


def _checked(found: object, place: int, layer: int, count: int) -> NDArray[np.float64]:
    """Return what a rule says of the neurons or heads of a layer."""
    name = Importance._fields[place]
    try:
        values = np.asarray(found[place], dtype=np.float64)  # type: ignore[index]
    except (TypeError, ValueError, IndexError, KeyError) as error:
        problem = f"the rule returned no importance of the {name} of layer {layer}"
        raise ParameterError(
            problem, parameter="rule", received=found, allowed="numbers of neurons, and numbers of heads"
        ) from error
    if values.shape != (count,) or not np.isfinite(values).all():
        raise ParameterError(
            f"the rule returned no {count} finite numbers for the {name} of layer {layer}",
            parameter="rule",
            received=values,
            allowed=f"{count} finite numbers",
        )
    return values
