"""The settings of a Ray cluster whose workers ask the model."""

from dataclasses import dataclass

from debias.errors import ParameterError, param
from debias.settings import Settings, setting

_PANEL = "A Ray cluster"


@dataclass(frozen=True)
class RaySettings(Settings):
    """Which cluster asks the model, and with how many workers.

    Parameters
    ----------
    ray : str, optional
        Address of the cluster; "auto" for the one that this machine is part of, "local" to start one.
    ray_workers : int, default=1
        Each has an engine of its own.
    ray_gpus : float, default=0
        GPUs of each worker.

    Raises
    ------
    ParameterError
        A value is not allowed, or workers are counted without a cluster.

    Examples
    --------
    >>> RaySettings(ray="auto", ray_workers=4, ray_gpus=1).ray_workers
    4
    >>> RaySettings(ray_workers=4)
    Traceback (most recent call last):
    debias.errors.ParameterError: ray_workers only applies to ray; omit it, or pass ray='auto'.
    """

    ray: str | None = setting(
        None,
        "Run on the workers of a Ray cluster: its address, auto or local.",
        metavar="ADDRESS",
        panel=_PANEL,
    )
    ray_workers: int = setting(1, "Number of workers, each with its own engine.", least=1, panel=_PANEL)
    ray_gpus: float = setting(0.0, "Number of GPUs per worker.", least=0, panel=_PANEL)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, usual in (("ray_workers", 1), ("ray_gpus", 0)):
            if self.ray is None and getattr(self, name) != usual:
                raise ParameterError(
                    f"{param(name)} only applies to {param('ray')}",
                    parameter=name,
                    received=getattr(self, name),
                    fix=f"omit it, or pass {param('ray', repr('auto'))}",
                )
