"""A LoRA adapter on disk: what it is by the digest of its files, and whether it has changed.

Engines that keep adapters by name must never meet two contents under one name: the name and the
number here come from the contents.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debias.errors import ModelError

CONFIG = "adapter_config.json"
_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin", "adapter_model.pt")
_Signature = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter as its files were when it was read.

    Parameters
    ----------
    path : Path
        Folder with ``adapter_config.json`` and the weights.
    digest : str
        Of the contents of its files.
    rank : int
        The largest rank of its matrices.
    signature : tuple
        Names, sizes and times of the files, by which a change is noticed.
    """

    path: Path
    digest: str
    rank: int
    signature: _Signature

    @property
    def name(self) -> str:
        """A name that no other contents have."""
        return f"{re.sub(r'[^A-Za-z0-9_-]', '-', self.path.name)}-{self.digest}"

    @property
    def number(self) -> int:
        """A number from 1 to 2**31 - 1 that no other contents have, but for chance."""
        return int(self.digest, 16) % (2**31 - 1) + 1

    def current(self) -> "Adapter":
        """Return the adapter as its files are now: itself when they have not changed."""
        return self if _signature(self.path) == self.signature else read_adapter(self.path)


def read_adapter(path: str | Path) -> Adapter:
    """Read what a LoRA adapter is, without loading its weights.

    Parameters
    ----------
    path : str or Path
        Folder as PEFT saves it.

    Returns
    -------
    Adapter

    Raises
    ------
    ModelError
        The folder holds no LoRA adapter.

    Examples
    --------
    >>> read_adapter("no/such/folder")
    Traceback (most recent call last):
    debias.errors.ModelError: no/such/folder: the adapter cannot be read: there is no adapter_config.json ...
    """
    folder = Path(path).absolute()
    signature = _signature(folder)
    names = [name for name, _, _ in signature]
    if CONFIG not in names:
        raise _unreadable(path, f"there is no {CONFIG} in it")
    if not any(name in _WEIGHTS for name in names):
        raise _unreadable(path, f"it has none of {', '.join(_WEIGHTS)}")
    try:
        rank = _rank(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _unreadable(path, f"{CONFIG} is not the configuration of a LoRA adapter ({error})") from error
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\0".encode())
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return Adapter(folder, digest.hexdigest()[:16], rank, signature)


def _rank(config: dict[str, Any]) -> int:
    """Largest rank that a configuration names."""
    kind = config.get("peft_type", "LORA")
    if kind != "LORA":
        raise ValueError(f"peft_type is {kind!r}")
    return max(int(config["r"]) if "r" in config else 0, *(config.get("rank_pattern") or {"": 0}).values())


def _signature(folder: Path) -> _Signature:
    """Names, sizes and times of the files that make an adapter, in the order of names."""
    if not folder.is_dir():
        return ()
    files = [folder / name for name in (CONFIG, *_WEIGHTS) if (folder / name).is_file()]
    stats = [(file.name, file.stat()) for file in files]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def _unreadable(path: str | Path, reason: str) -> ModelError:
    return ModelError(
        f"the adapter cannot be read: {reason}",
        parameter="adapter",
        received=str(path),
        file=path,
        fix="pass the folder that PEFT's save_pretrained wrote",
    )
