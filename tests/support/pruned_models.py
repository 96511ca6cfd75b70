"""A tiny pruned model in a folder, an adapter trained on it, and the whole model with zeros: the referee."""

from pathlib import Path
from typing import Any

import torch

from iterit.training.pruned.cutting import cut_model
from iterit.training.pruned.kept_parts import KeptParts
from iterit.training.pruned.llama_parts import sizes_of
from iterit.training.pruned.pruned_manifest import Manifest, weights_fingerprint
from tests.support.tiny_models import byte_tokenizer, tiny_model

N_LAYERS = 3


def whole_model(name: str = "llama", seed: int = 0, **changes: Any) -> Any:
    """A random model of three layers, the embedding and the output not shared."""
    return tiny_model(
        name, seed=seed, **{"num_hidden_layers": N_LAYERS, "initializer_range": 0.15, **changes}
    )


def some_parts(sizes: Any, whole_first: bool = True) -> tuple[KeptParts, ...]:
    """Odd neurons and the last head of each layer, but of the first, which is whole."""
    own = KeptParts(tuple(range(1, sizes.neurons, 2)), (sizes.heads - 1,))
    first = KeptParts.whole(sizes) if whole_first else own
    return (first, *[own] * (sizes.n_layers - 1))


def write_pruned(folder: Path, model: Any, kept: tuple[KeptParts, ...]) -> Manifest:
    """Write a model to ``base`` and its pruned one to ``small``, which it becomes."""
    model.save_pretrained(folder / "base")
    manifest = Manifest(
        base=str(folder / "base"),
        fingerprint=weights_fingerprint(folder / "base"),
        kind=model.config.model_type,
        sizes=sizes_of(model.config),
        kept=kept,
        rule={"rule": "some"},
    )
    cut_model(model, kept).save_pretrained(folder / "small")
    byte_tokenizer().save_pretrained(folder / "small")
    manifest.write(folder / "small")
    return manifest


def with_random_adapter(small: Any, seed: int = 1, **options: Any) -> Any:
    """A LoRA adapter on all matrices of the layers, none of it zero."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": "all-linear", **options})
    adapted = get_peft_model(small, config).eval()
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return adapted


def zeroed(model: Any, kept: tuple[KeptParts, ...]) -> Any:
    """Zero the weights of every neuron and head that is not kept, one by one."""
    layers, width = model.model.layers, model.model.layers[0].self_attn.head_dim
    with torch.no_grad():
        for layer, own in zip(layers, kept, strict=True):
            attention, gated = layer.self_attn, layer.mlp
            for neuron in range(gated.gate_proj.out_features):
                if neuron not in own.neurons:
                    for module in (gated.gate_proj, gated.up_proj):
                        module.weight[neuron] = 0
                        if module.bias is not None:
                            module.bias[neuron] = 0
                    gated.down_proj.weight[:, neuron] = 0
            group = attention.num_key_value_groups
            for head in range(attention.k_proj.out_features // width):
                if head in own.heads:
                    continue
                keys = slice(head * width, (head + 1) * width)
                for query in range(head * group, (head + 1) * group):
                    rows = slice(query * width, (query + 1) * width)
                    attention.q_proj.weight[rows] = 0
                    attention.o_proj.weight[:, rows] = 0
                    if attention.q_proj.bias is not None:
                        attention.q_proj.bias[rows] = 0
                for module in (attention.k_proj, attention.v_proj):
                    module.weight[keys] = 0
                    if module.bias is not None:
                        module.bias[keys] = 0
    return model


def logits_of(model: Any, seed: int = 2) -> torch.Tensor:
    """Logits of some random tokens."""
    tokens = torch.randint(0, 300, (2, 24), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return model(input_ids=tokens).logits
