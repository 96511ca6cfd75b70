"""Cuts a model down to the parts that are kept, writes it as a folder, and loads such a folder.

Where every layer keeps as many parts as the others, the configuration says so, and anything that loads
the kind of model loads the folder. Where some layers are whole, no configuration can say it: the folder
then has that of the whole model, and :func:`load_pruned` gives each layer the sizes that the manifest says.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from debias.errors import ModelError
from iterit.training.pruned.kept_parts import KeptParts, are_alike
from iterit.training.pruned.llama_parts import (
    CLASSES,
    PROJECTIONS,
    Sizes,
    layers_of,
    projections_of,
    sizes_of,
    unsupported,
)
from iterit.training.pruned.pruned_manifest import MANIFEST, Manifest, read_manifest

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def cut_model(model: "PreTrainedModel", kept: Sequence[KeptParts]) -> "PreTrainedModel":
    """Cut a model down to the parts that are kept. The model itself is changed, so that none is held twice.

    Parameters
    ----------
    model : PreTrainedModel
    kept : sequence of KeptParts
        One for each layer.

    Returns
    -------
    PreTrainedModel
        The model.

    Raises
    ------
    ModelError
        The model is of a kind that cannot be pruned.

    Examples
    --------
    >>> import transformers
    >>> config = transformers.LlamaConfig(
    ...     hidden_size=16, intermediate_size=6, num_attention_heads=4, num_key_value_heads=2,
    ...     num_hidden_layers=1, vocab_size=8,
    ... )
    >>> small = cut_model(transformers.LlamaForCausalLM(config), [KeptParts((0, 5), (1,))])
    >>> small.model.layers[0].mlp.down_proj.weight.shape, small.model.layers[0].self_attn.q_proj.weight.shape
    (torch.Size([16, 2]), torch.Size([8, 16]))
    """
    import torch

    sizes = sizes_of(model.config)
    for layer, own in zip(layers_of(model), kept, strict=True):
        for name, module in projections_of(layer).items():
            outputs, inputs = own.outputs(name, sizes), own.inputs(name, sizes)
            with torch.no_grad():
                weight: torch.Tensor = module.weight
                bias: torch.Tensor | None = module.bias
                if outputs is not None:
                    rows = torch.as_tensor(outputs, device=weight.device)
                    weight = weight.index_select(0, rows)
                    bias = None if bias is None else bias.index_select(0, rows)
                if inputs is not None:
                    weight = weight.index_select(1, torch.as_tensor(inputs, device=weight.device))
            module.weight = torch.nn.Parameter(weight.detach(), requires_grad=module.weight.requires_grad)
            if bias is not None:
                module.bias = torch.nn.Parameter(bias.detach(), requires_grad=module.bias.requires_grad)
            module.out_features, module.in_features = weight.shape
    _describe(model, kept, sizes)
    return model


def _describe(model: "PreTrainedModel", kept: Sequence[KeptParts], sizes: Sizes) -> None:
    """Have the configuration say the sizes of the layers, where one can."""
    if not are_alike(kept):
        return
    smaller = {
        "intermediate_size": len(kept[0].neurons),
        "num_key_value_heads": len(kept[0].heads),
        "num_attention_heads": len(kept[0].heads) * sizes.group,
        "head_dim": sizes.width,
    }
    if smaller["num_key_value_heads"] == sizes.heads:
        smaller = {"intermediate_size": smaller["intermediate_size"]}  # no name that the file had not
    settings = model.config.to_dict()
    try:
        type(model.config).from_dict(settings | smaller)
    except Exception:  # kinds that demand that heads divide the hidden size
        return
    for name, value in smaller.items():
        setattr(model.config, name, value)


def is_pruned(folder: str | Path) -> bool:
    """Whether a folder holds a pruned model.

    Examples
    --------
    >>> is_pruned("no/such/folder")
    False
    """
    return (Path(folder) / MANIFEST).is_file()


def fits_its_configuration(folder: str | Path) -> bool:
    """Whether a pruned model's configuration says the sizes of all its layers, so that anything loads it.

    Raises
    ------
    ModelError
        The folder holds no pruned model.
    """
    from transformers import AutoConfig

    manifest = read_manifest(folder)
    sizes = sizes_of(AutoConfig.from_pretrained(folder))
    return all(
        own.shape(name, manifest.sizes) == sizes.shape(name) for own in manifest.kept for name in PROJECTIONS
    )


def load_pruned(folder: str | Path, dtype: "str | torch.dtype" = "auto", **options: Any) -> "PreTrainedModel":
    """Load the model of a folder that ``iterit prune`` wrote.

    Parameters
    ----------
    folder : str or Path
    dtype : str or torch.dtype, default="auto"
        "auto" is that of the file.
    **options
        Further options of ``from_pretrained``, such as ``quantization_config`` or ``device_map``.

    Returns
    -------
    PreTrainedModel
        Of the class that the whole model has.

    Raises
    ------
    ModelError
        The manifest is damaged, or the weights are not those that it describes.

    Examples
    --------
    >>> load_pruned("no/such/folder")
    Traceback (most recent call last):
    debias.errors.ModelError: no/such/folder: it has no pruned.json; pass a folder that iterit prune wrote.
    """
    import transformers

    from debias.inference.models.loading import first_line, quiet

    manifest = read_manifest(folder)
    kind = manifest.kind
    if kind not in CLASSES:
        raise unsupported(kind)
    whole: Any = getattr(transformers, CLASSES[kind])

    def make(self: Any, config: Any, *more: Any, **named: Any) -> None:
        whole.__init__(self, config, *more, **named)
        resize(self, manifest)

    sized: Any = type(whole.__name__, (whole,), {"__init__": make, "__module__": whole.__module__})
    try:
        with quiet():
            model, found = sized.from_pretrained(folder, dtype=dtype, output_loading_info=True, **options)
    except Exception as error:  # transformers and safetensors raise whatever they like for a damaged file
        raise _unreadable(folder, first_line(error)) from error
    if missing := sorted(found["missing_keys"]):
        raise _unreadable(folder, f"it has no {missing[0]}")
    model.__class__ = whole
    loaded: PreTrainedModel = model
    return loaded


def resize(model: Any, manifest: Manifest) -> None:
    """Give the matrices of a new model the sizes that are kept, without weights that mean anything."""
    from torch import nn

    for layer, own in zip(model.get_decoder().layers, manifest.kept, strict=True):
        for name, module in projections_of(layer).items():
            n_outputs, n_inputs = own.shape(name, manifest.sizes)
            if (n_outputs, n_inputs) != tuple(module.weight.shape):
                weight = module.weight
                own_bias = module.bias is not None
                fresh = nn.Linear(n_inputs, n_outputs, own_bias, device=weight.device, dtype=weight.dtype)
                setattr(getattr(layer, PROJECTIONS[name]), name, fresh)


def load_causal_model(name: str | Path, dtype: "str | torch.dtype") -> "PreTrainedModel":
    """Load a model to train: that of a pruned folder by its manifest, another as transformers does.

    Raises
    ------
    ModelError
        A pruned folder is damaged.
    OSError, ValueError
        Another model cannot be loaded.
    """
    if is_pruned(name):
        return load_pruned(name, dtype)
    import transformers

    loaded: PreTrainedModel = transformers.AutoModelForCausalLM.from_pretrained(name, dtype=dtype)
    return loaded


def _unreadable(folder: str | Path, reason: str) -> ModelError:
    return ModelError(
        f"the pruned model cannot be loaded: {reason}",
        parameter="pruned",
        received=str(folder),
        file=folder,
        fix="prune again into another folder",
    )
