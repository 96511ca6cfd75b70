"""Tells on which device a trainer trains, and what it computes in."""

from debias.errors import ParameterError


def trains_on_cpu(device: str) -> bool:
    """Whether the processor trains: it is asked for, or there is nothing else.

    Parameters
    ----------
    device : str
        As in :class:`~iterit.training.setup.training_settings.TrainingSettings`.

    Examples
    --------
    >>> trains_on_cpu("cpu")
    True
    """
    import torch
    from transformers.utils.import_utils import is_torch_xla_available

    has_other = torch.accelerator.is_available() or is_torch_xla_available()
    return device == "cpu" or (device == "auto" and not has_other)


def computes_in_bfloat16(device: str) -> bool:
    """Whether the device that trains has instructions for bfloat16.

    Parameters
    ----------
    device : str
        As in :class:`~iterit.training.setup.training_settings.TrainingSettings`.
    """
    import torch
    from transformers.utils.import_utils import is_torch_bf16_gpu_available

    from debias.inference.models.loading import fast_in_bfloat16

    if trains_on_cpu(device):
        return fast_in_bfloat16("cpu")
    if torch.cuda.is_available():  # older GPUs emulate it, which takes longer than float32
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(is_torch_bf16_gpu_available())


def check_device(device: str) -> None:
    """Refuse a device that a trainer would not train on: it takes the first accelerator, or the processor.

    Parameters
    ----------
    device : str
        As in :class:`~iterit.training.setup.training_settings.TrainingSettings`.

    Raises
    ------
    ParameterError

    Examples
    --------
    >>> check_device("cpu")
    >>> check_device("gpu")
    Traceback (most recent call last):
    debias.errors.ParameterError: device must be 'auto', 'cpu', 'cuda' or a numbered device, got 'gpu'.
    """
    import torch

    from debias.inference.models.loading import device_called

    place = torch.device(device_called(device))
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device == "auto" or place.type in ("cpu", "xla", None if found is None else found.type):
        if not place.index:
            return
        raise ParameterError(
            parameter="device",
            received=device,
            allowed=f"{place.type!r}, which is the first device that is visible",
            fix=f"make the other ones invisible, such as by CUDA_VISIBLE_DEVICES={place.index}",
        )
    allowed = "'auto' or 'cpu'" if found is None else f"'auto', 'cpu' or {found.type!r}"
    raise ParameterError(parameter="device", received=device, allowed=f"{allowed} on this machine")
