"""Facts of a pruned model beside its weights: what it was cut from, by which rule, and what is kept.

``pruned.json`` is JSON with a digest of its own, so that no number in it changes unnoticed. The model that it
was cut from is known by a fingerprint of its weights, read from their files without loading them.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from debias.errors import ModelError
from debias.files.atomic_file import write_durably
from iterit.training.pruned.kept_parts import KeptParts
from iterit.training.pruned.llama_parts import Sizes

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST = "pruned.json"
_VERSION = 1
_MOST_BYTES = 1 << 28


@dataclass(frozen=True)
class Manifest:
    """What is known of a pruned model.

    Parameters
    ----------
    base : str
        The model that it was cut from: a folder, or a name on a hub.
    fingerprint : str
        Of the weights of that model.
    kind : str
        Its ``model_type``.
    sizes : Sizes
        Of its layers.
    kept : tuple of KeptParts
        One for each layer.
    rule : dict
        How the parts were chosen: rule, seed, shares, layers kept whole.
    aligned : dict or None
        On what the weights were trained afterwards.
    """

    base: str
    fingerprint: str
    kind: str
    sizes: Sizes
    kept: tuple[KeptParts, ...]
    rule: Mapping[str, object] = field(default_factory=dict)
    aligned: Mapping[str, object] | None = None

    @property
    def n_parameters(self) -> tuple[int, int]:
        """Parameters of the whole model and of the pruned one; 0 where they were not counted."""
        found = [self.rule.get(name, 0) for name in ("n_parameters", "n_parameters_kept")]
        return tuple(one if isinstance(one, int) else 0 for one in found)  # type: ignore[return-value]

    @property
    def cut(self) -> str:
        """A digest of what was cut from what, whatever was trained afterwards."""
        said = _content(self) | {"base": "", "aligned": None, "rule": {}}
        return _digest(said)

    def write(self, folder: str | Path) -> Path:
        """Write ``pruned.json`` into a folder.

        Raises
        ------
        OSError
            It cannot be written.
        """
        content = _content(self)
        target = Path(folder) / MANIFEST
        lines = [
            f"{json.dumps(name)}: {json.dumps(value)}"
            for name, value in {**content, "digest": _digest(content)}.items()
        ]
        write_durably(target, ("{\n" + ",\n".join(lines) + "\n}\n").encode())
        return target


def read_manifest(folder: str | Path) -> Manifest:
    """Read the ``pruned.json`` of a folder.

    Parameters
    ----------
    folder : str or Path

    Raises
    ------
    ModelError
        There is none, it is damaged, or a later release wrote it.

    Examples
    --------
    >>> read_manifest("no/such/folder")
    Traceback (most recent call last):
    debias.errors.ModelError: no/such/folder: it has no pruned.json; pass a folder that iterit prune wrote.
    """
    file = Path(folder) / MANIFEST
    if not file.is_file():
        raise ModelError(
            f"it has no {MANIFEST}",
            parameter="pruned",
            received=str(folder),
            file=folder,
            fix="pass a folder that iterit prune wrote",
        )
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise ValueError("it is too large")
        content = json.loads(file.read_bytes())
        digest = content.pop("digest")
        if content.get("version") != _VERSION:
            raise ValueError(f"its version is {content.get('version')!r}, but this release reads {_VERSION}")
        if digest != _digest(content):
            raise ValueError("its content does not match its digest")
        return _manifest_of(content)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise ModelError(
            f"the manifest cannot be read: {reason}",
            parameter="pruned",
            received=str(folder),
            file=file,
            fix="prune again into another folder",
        ) from error


def _content(manifest: Manifest) -> dict[str, Any]:
    """Return a manifest as JSON values."""
    return {
        "version": _VERSION,
        "base": manifest.base,
        "fingerprint": manifest.fingerprint,
        "kind": manifest.kind,
        "sizes": asdict(manifest.sizes),
        "rule": dict(manifest.rule),
        "aligned": None if manifest.aligned is None else dict(manifest.aligned),
        "kept": [{"neurons": list(one.neurons), "heads": list(one.heads)} for one in manifest.kept],
    }


def _manifest_of(content: dict[str, Any]) -> Manifest:
    """Return the manifest of JSON values.

    Raises
    ------
    ValueError, TypeError, LookupError
        They are none.
    """
    sizes = Sizes(**content["sizes"])
    counts = list(asdict(sizes).values())
    if not all(type(one) is int and one >= 1 for one in counts):
        raise ValueError("its sizes are not positive integers")
    kept = tuple(
        KeptParts(_checked(one["neurons"], sizes.neurons), _checked(one["heads"], sizes.heads))
        for one in content["kept"]
    )
    if len(kept) != sizes.n_layers:
        raise ValueError(f"it has {len(kept)} layers instead of {sizes.n_layers}")
    return Manifest(
        base=str(content["base"]),
        fingerprint=str(content["fingerprint"]),
        kind=str(content["kind"]),
        sizes=sizes,
        kept=kept,
        rule=dict(content["rule"]),
        aligned=None if content["aligned"] is None else dict(content["aligned"]),
    )


def _checked(indices: object, count: int) -> tuple[int, ...]:
    """Return indices that are ascending and below a count."""
    if not isinstance(indices, list) or not indices or not all(type(one) is int for one in indices):
        raise ValueError("what is kept is not a list of integers")
    if (
        indices[0] < 0
        or indices[-1] >= count
        or any(a >= b for a, b in zip(indices, indices[1:], strict=False))
    ):
        raise ValueError(f"what is kept is not ascending from 0 to {count - 1}")
    return tuple(indices)


def _digest(content: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def weights_fingerprint(model: str | Path, parameter: str = "model") -> str:
    """Return a fingerprint of weights, from their files: names, types, shapes, and some rows of each.

    It is the same however the weights are divided into files.

    Parameters
    ----------
    model : str or Path
        A folder, or a name on a hub whose files are on this machine.
    parameter : str, default="model"
        What names it, for errors.

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    ModelError
        There is no such folder, or its weights are not in readable files of the safetensors format.

    Examples
    --------
    >>> weights_fingerprint("no/such/folder")
    Traceback (most recent call last):
    debias.errors.ModelError: no/such/folder: no weights are found in it ...
    """
    from debias.inference.models.model_files import model_folder

    folder = model_folder(model)
    files = [] if folder is None else _weight_files(folder)
    if not files:
        raise ModelError(
            "no weights are found in it that end in .safetensors",
            parameter=parameter,
            received=str(model),
            file=model,
            fix="pass the folder of the whole model, saved as safetensors",
        )
    digests = dict(sorted(pair for file in files for pair in _tensor_digests(file)))
    return _digest(digests)


def _weight_files(folder: Path) -> list[Path]:
    """Return the files that hold the weights of a model."""
    index = folder / "model.safetensors.index.json"
    try:
        names = set(json.loads(index.read_bytes())["weight_map"].values()) if index.is_file() else set()
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelError(
            "it does not name the files of the weights", parameter="model", file=index
        ) from error
    named = sorted(folder / Path(str(name)).name for name in names)
    if named or (folder / "model.safetensors").is_file():
        return named or [folder / "model.safetensors"]
    return sorted(folder.glob("*.safetensors"))


def _tensor_digests(file: Path) -> "Iterator[tuple[str, str]]":
    """Yield the name and a digest of every tensor in a file."""
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - it is no mapping
                part = tensors.get_slice(name)
                shape = list(part.get_shape())
                digest = hashlib.sha256(f"{part.get_dtype()}{shape}".encode())
                places = {0, shape[0] // 2, max(shape[0] - 1, 0)} if shape else set()
                rows = [part[row : row + 1] for row in sorted(places)] or [tensors.get_tensor(name)]
                for row in rows:
                    digest.update(row.reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
                yield name, digest.hexdigest()
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"the weights cannot be read ({error})", parameter="model", received=str(file), file=file
        ) from error
