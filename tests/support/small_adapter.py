"""A small random LoRA adapter, written as PEFT writes one, and the model it makes of another."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

_TARGETS = ("q_proj", "v_proj")


def write_adapter(folder: Path, config: Any, seed: int = 0, rank: int = 4, layers: int = 3) -> Path:
    """Write a random adapter for the queries and values of the first layers of a Llama-like model."""
    generator = torch.Generator().manual_seed(seed)
    heads = {"q_proj": config.num_attention_heads, "v_proj": config.num_key_value_heads}
    weights = {}
    for layer in range(layers):
        for target in _TARGETS:
            name = f"base_model.model.model.layers.{layer}.self_attn.{target}"
            rows = heads[target] * config.head_dim
            weights[f"{name}.lora_A.weight"] = (
                torch.randn(rank, config.hidden_size, generator=generator) * 0.1
            )
            weights[f"{name}.lora_B.weight"] = torch.randn(rows, rank, generator=generator) * 0.1
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": None,
        "r": rank,
        "lora_alpha": 2 * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(_TARGETS),
        "inference_mode": True,
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def merge_adapter(model: Any, folder: Path) -> None:
    """Add what an adapter says to the weights of a transformers model: scale * B A."""
    settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    weights = load_file(folder / "adapter_model.safetensors")
    scale = settings["lora_alpha"] / settings["r"]
    with torch.no_grad():
        for name in [name for name in weights if name.endswith("lora_A.weight")]:
            module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            change = scale * weights[name.replace("lora_A", "lora_B")] @ weights[name]
            model.get_submodule(module).weight.add_(change)
