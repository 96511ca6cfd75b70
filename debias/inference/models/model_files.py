"""Computes a digest of the weights in a model folder from its files, without loading them."""

import hashlib
from pathlib import Path

_PATTERNS = ("*.safetensors", "*.bin", "*.pt", "*.gguf", "config.json")
_READS_TEXT = (
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "*.model",
    "special_tokens_map.json",
    "adapter_config.json",
)
_WHOLE = 1 << 30
_PIECE = 1 << 16
_PIECES = 4096


def model_folder(name: str | Path, revision: str | None = None) -> Path | None:
    """Folder where a model is stored: its own, or that of a hub name that was loaded before.

    Parameters
    ----------
    name : str or Path
        A folder, or a name on the Hugging Face hub.
    revision : str, optional

    Returns
    -------
    Path or None
        None where nothing is found without asking the network.

    Examples
    --------
    >>> model_folder("no-such/model") is None
    True
    """
    path = Path(name)
    if path.is_dir():
        return path
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(str(name), "config.json", revision=revision)
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def request_digest(name: str | Path) -> str | None:
    """Digest of the files of a model and its tokenizer, wherever they are; nothing is loaded.

    Parameters
    ----------
    name : str or Path
        As for an engine: "demo", a GGUF file, a folder or a hub name.

    Returns
    -------
    str or None
        None where nothing is found without asking the network.
    """
    from debias.inference.models.loading import model_source

    source, options = model_source(name)
    folder = model_folder(source)
    if folder is None:
        return None
    digest = hashlib.sha256()
    names = [options["gguf_file"]] if options else []
    for file in sorted({folder / one for one in names} | {f for p in _READS_TEXT for f in folder.glob(p)}):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16] if options else files_digest(folder) + digest.hexdigest()[:16]


def files_digest(folder: Path) -> str:
    """Digest of the configuration and the weights in a folder.

    Files up to 1 GiB are read whole; of larger ones the length, the beginning and pieces all
    over them (256 MiB in all), which no training step leaves as they are.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    str
        16 hexadecimal digits.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     _ = (Path(name) / "model.safetensors").write_bytes(b"1.0 2.0")
    ...     before = files_digest(Path(name))
    ...     _ = (Path(name) / "model.safetensors").write_bytes(b"1.0 2.5")
    ...     files_digest(Path(name)) == before
    False
    """
    digest = hashlib.sha256()
    files = {file for pattern in _PATTERNS for file in folder.glob(pattern) if file.is_file()}
    for file in sorted(files):
        size = file.stat().st_size
        digest.update(f"{file.name}\0{size}\0".encode())
        with file.open("rb") as stream:
            if size <= _WHOLE:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
                continue
            for piece in range(_PIECES):
                stream.seek(piece * (size - _PIECE) // (_PIECES - 1))
                digest.update(stream.read(_PIECE))
    return digest.hexdigest()[:16]
