"""Recovers an adapter that was trained on a pruned model: an ordinary PEFT adapter of the whole model.

Of each matrix, rows of B at outputs that were kept are copied, and others are 0; columns of A at inputs
that were kept likewise (LoRAM, arXiv 2502.13533). Rank and scale stay as they are. The whole model then
changes as the pruned one did, wherever that had weights.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from debias.errors import ModelError, StorageError, param
from debias.files.atomic_file import atomic_path
from debias.files.model_writing import writing_model
from debias.inference.models.adapters import CONFIG, read_adapter
from iterit.training.pruned.llama_parts import PROJECTIONS
from iterit.training.pruned.pruned_manifest import MANIFEST, Manifest, read_manifest, weights_fingerprint

if TYPE_CHECKING:
    import torch

WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_NAME = re.compile(
    rf"model\.layers\.(?P<layer>\d+)\.(?:self_attn|mlp)\.(?P<projection>{'|'.join(PROJECTIONS)})"
    r"\.lora_(?P<side>[AB])\.weight"
)
_OUTSIDE = re.compile(r"(?:lm_head\.lora_[AB]\.weight|(?:model\.embed_tokens|lm_head)\.lora_embedding_[AB])")
"""Adapters of what is not pruned; they are copied."""
_UNLIKE: dict[str, tuple[object, ...]] = {
    "use_dora": (None, False),
    "bias": (None, "none"),
    "lora_bias": (None, False),
    "modules_to_save": (None, []),
    "trainable_token_indices": (None,),
    "layer_replication": (None,),
    "target_parameters": (None, []),
    "init_lora_weights": (None, True, False, "gaussian", "orthogonal", "eva"),
}
"""Settings with which an adapter changes more than products of A and B, and the values that they may have."""


def recover(
    adapter: str | Path,
    out: str | Path,
    *,
    pruned: str | Path | None = None,
    model: str | Path | None = None,
) -> Path:
    """Write the adapter of a pruned model as one of the whole model.

    Parameters
    ----------
    adapter : str or Path
        Folder of the adapter, as peft saves it.
    out : str or Path
        Folder to write to, which is made if necessary: any files of an adapter in it are replaced.
    pruned : str or Path, optional
        Folder of the pruned model. By default the one that the adapter names.
    model : str or Path, optional
        The whole model, whose weights must be those that the pruned model was cut from. By default the one
        that the pruned model names.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ModelError
        The adapter was not trained on this pruned model, has parts that cannot be recovered, or the whole
        model is another one.
    StorageError
        The folder cannot be written.

    Examples
    --------
    >>> recover("run/model", "recovered")  # doctest: +SKIP
    >>> recover("no/such/adapter", "recovered")
    Traceback (most recent call last):
    debias.errors.ModelError: no/such/adapter: the adapter cannot be read: there is no adapter_config.json ...
    """
    manifest = manifest_for(adapter, pruned)
    base = str(manifest.base if model is None else model)
    check_base(manifest, base)
    return write_recovered(adapter, out, manifest, base)


def write_recovered(adapter: str | Path, out: str | Path, manifest: Manifest, base: str) -> Path:
    """Write the adapter of a pruned model as one of the whole model, whose weights are not looked at.

    Parameters
    ----------
    adapter, out : str or Path
    manifest : Manifest
        Of the pruned model.
    base : str
        The whole model, as the adapter is to name it.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        The adapter is not one of this pruned model, or has parts that cannot be recovered.
    StorageError
        The folder cannot be written.
    """
    from safetensors.torch import save_file

    settings = _settings_of(adapter)
    weights = recovered_weights(_weights_of(adapter), manifest, adapter)
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / WEIGHTS) as temporary, writing_model(folder, "the adapter"):
            save_file(weights, temporary, metadata={"format": "pt"})
        with atomic_path(folder / CONFIG) as temporary:
            text = json.dumps({**settings, "base_model_name_or_path": base}, indent=2, sort_keys=True)
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"the adapter cannot be written ({error.strerror or error})", parameter="out", file=folder
        ) from error
    return folder


def recovered_weights(
    weights: "Mapping[str, torch.Tensor]", manifest: Manifest, file: str | Path = "adapter"
) -> "dict[str, torch.Tensor]":
    """Return the matrices of an adapter with the shapes that the whole model needs.

    Parameters
    ----------
    weights : mapping of str to tensor
        As peft names them.
    manifest : Manifest
        Of the pruned model.
    file : str or Path, optional
        Where they are from, for errors.

    Raises
    ------
    ModelError
        A matrix has another shape than the pruned model needs, or is of something that cannot be recovered.
    """
    if not weights:
        raise _mismatch(file, "it has no weights")
    return {name: _recovered(name, weight, manifest, file) for name, weight in weights.items()}


def _recovered(name: str, weight: "torch.Tensor", manifest: Manifest, file: str | Path) -> "torch.Tensor":
    """Return one matrix with zeros where the pruned model has nothing."""
    import torch

    short = name.removeprefix(_PREFIX)
    found = _NAME.fullmatch(short)
    if found is None:
        if _OUTSIDE.fullmatch(short):
            return weight
        raise ModelError(
            f"the adapter has {name}, which cannot be recovered",
            parameter="adapter",
            received=name,
            allowed=f"LoRA of {', '.join(PROJECTIONS)} and lm_head",
            file=file,
            fix="train LoRA of the matrices of the layers alone",
        )
    number, projection, side = int(found["layer"]), found["projection"], found["side"]
    if number >= manifest.sizes.n_layers:
        raise _mismatch(file, f"it has a layer {number}, and the pruned model has {manifest.sizes.n_layers}")
    kept, axis = manifest.kept[number], 0 if side == "B" else 1
    expected = kept.shape(projection, manifest.sizes)[axis]
    if weight.ndim != 2 or weight.shape[axis] != expected:
        what = "rows" if side == "B" else "columns"
        problem = f"{name} has the shape {tuple(weight.shape)}, and the pruned model needs {expected} {what}"
        raise _mismatch(file, problem, tuple(weight.shape), f"{expected} {what}")
    places = (kept.outputs if side == "B" else kept.inputs)(projection, manifest.sizes)
    if places is None:
        return weight
    shape = list(weight.shape)
    shape[axis] = manifest.sizes.shape(projection)[axis]
    return torch.zeros(shape, dtype=weight.dtype).index_copy_(axis, torch.as_tensor(places), weight)


def manifest_for(adapter: str | Path, pruned: str | Path | None = None) -> Manifest:
    """Read the manifest of the pruned model that an adapter was trained on.

    Parameters
    ----------
    adapter : str or Path
        It may hold a copy of the manifest, as ``iterit train --pruned`` leaves one, or name the folder.
    pruned : str or Path, optional
        Folder of the pruned model.

    Raises
    ------
    ModelError
        None is found, or several that differ.
    """
    named = _settings_of(adapter).get("base_model_name_or_path")
    beside = [Path(one) for one in (adapter, named) if one and (Path(str(one)) / MANIFEST).is_file()]
    if pruned is not None:
        manifest = read_manifest(pruned)
        for folder in beside:
            if read_manifest(folder).cut != manifest.cut:
                raise _mismatch(
                    adapter, f"it was trained on a different pruned model from {pruned}", str(pruned)
                )
        return manifest
    if not beside:
        raise ModelError(
            "the adapter names no pruned model that can be found",
            parameter="pruned",
            received=named,
            file=adapter,
            fix=f"pass {param('pruned')}, the folder that iterit prune wrote",
        )
    return read_manifest(beside[0])


def check_base(manifest: Manifest, model: str | Path, parameter: str = "model") -> None:
    """Raise ModelError for a model with other weights than those that a pruned model was cut from."""
    found = weights_fingerprint(model, parameter)
    if found != manifest.fingerprint:
        raise ModelError(
            "the weights are not those that the pruned model was cut from",
            parameter=parameter,
            received=str(model),
            allowed=manifest.base,
            file=model,
            fix=f"pass the model that was pruned: {manifest.base}",
        )


def _settings_of(adapter: str | Path) -> dict[str, Any]:
    """Read the settings of an adapter whose products of A and B are all that it changes."""
    read_adapter(adapter)
    file = Path(adapter) / CONFIG
    settings: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    for name, allowed in _UNLIKE.items():
        if settings.get(name) not in allowed:
            raise ModelError(
                f"an adapter with {name}={settings[name]!r} cannot be recovered",
                parameter="adapter",
                received=settings[name],
                allowed=", ".join(map(repr, allowed)),
                file=file,
                fix=f"train without {name}",
            )
    return settings


def _weights_of(adapter: str | Path) -> "dict[str, torch.Tensor]":
    """Read the matrices of an adapter."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = Path(adapter) / WEIGHTS
    if not file.is_file():
        raise _mismatch(adapter, f"it has no {WEIGHTS}; save it as safetensors")
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"the adapter cannot be read: {error}", parameter="adapter", received=str(adapter), file=file
        ) from error


def _mismatch(
    file: str | Path, problem: str, received: object | None = None, allowed: str | None = None
) -> ModelError:
    return ModelError(
        f"the adapter is not one of the pruned model: {problem}",
        parameter="adapter",
        received=str(file) if received is None else received,
        allowed=allowed,
        file=file,
        fix="pass the adapter that was trained on this pruned model",
    )
