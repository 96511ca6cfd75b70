"""Finds files of rows, opens them whatever their encoding and compression, and reads their rows.

The same rows come out the same from every kind of file: JSON in any shape, CSV, TSV, Parquet, Arrow,
Feather, and folders that the datasets library saved.
"""

import codecs
import glob
import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from debias.errors import RecordsError
from debias.rows.column_rows import read_columns, read_delimited, repeated_name
from debias.rows.json_rows import RawRow, read_json

LINES = (".jsonl", ".ndjson")
DELIMITED = (".csv", ".tsv")
TEXTS = (*LINES, ".json", *DELIMITED)
COLUMNS = (".parquet", ".arrow", ".feather")
ENDINGS = (*TEXTS, *COLUMNS)
PACKED = (".gz", ".zst")
_MARKS = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd"}
_HIDDEN = (".", "~$")  # what systems and editors keep beside a file
_MOST_UNPACKED = 100
_ALWAYS_UNPACKED = 2**26
_ENCODINGS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class RowFile(NamedTuple):
    """A file of rows.

    Attributes
    ----------
    path : Path
    source : str
        What its rows come from: the name of the file, or of the folder that is one data set.
    """

    path: Path
    source: str


def find_files(path: str | os.PathLike[str]) -> list[RowFile]:
    """Return the files that a path means: itself, those in a folder, or those of a pattern with * or ?.

    Parameters
    ----------
    path : str or path-like
        A folder may be one that ``Dataset.save_to_disk`` made.

    Raises
    ------
    RecordsError
        There is none, or a folder holds several splits.
    """
    place = Path(path)
    if place.is_dir():
        return _files_in(place)
    if place.exists() or not glob.has_magic(str(path)):
        return [RowFile(place, place.name)]
    matching = map(Path, sorted(glob.glob(str(path), recursive=True)))
    found = [one for one in matching if not one.name.startswith(_HIDDEN[1:])]
    if not found:
        raise RecordsError("no file matches the pattern", file=path, fix="check the pattern")
    files = [file for one in found for file in find_files(one)]
    return list({os.path.abspath(file.path): file for file in files}.values())  # ** matches folders, too


def _files_in(folder: Path) -> list[RowFile]:
    """Return the files of rows in a folder."""
    if (folder / "dataset_dict.json").is_file():
        splits = sorted(one.parent for one in folder.glob("*/state.json"))
        if len(splits) != 1:
            names = ", ".join(repr(one.name) for one in splits) or "none"
            fix = f"name the folder of one, such as {splits[0]}" if splits else None
            raise RecordsError(f"the folder must have one split, got {names}", file=folder, fix=fix)
        folder = splits[0]
    if (folder / "state.json").is_file():
        return [RowFile(folder / name, folder.name) for name in _saved_names(folder)]
    found = sorted(
        one
        for one in folder.iterdir()
        if one.is_file() and ending_of(one) in ENDINGS and not one.name.startswith(_HIDDEN)
    )
    if not found:
        raise RecordsError(f"the folder has no file that ends in {', '.join(ENDINGS)}", file=folder)
    return [RowFile(one, one.name) for one in found]


def _saved_names(folder: Path) -> list[str]:
    """Return the names of the files that ``save_to_disk`` wrote, in their order."""
    try:
        listed = json.loads((folder / "state.json").read_text(encoding="utf-8"))["_data_files"]
        return [Path(one["filename"]).name for one in listed]
    except (ValueError, LookupError, TypeError, RecursionError, OSError) as error:
        raise RecordsError("state.json does not name the files of the data set", file=folder) from error


def ending_of(file: Path) -> str:
    """Return the ending of a file in small letters, without .gz or .zst after it.

    Examples
    --------
    >>> ending_of(Path("a.JSONL.gz")), ending_of(Path("a.b.csv")), ending_of(Path("a"))
    ('.jsonl', '.csv', '')
    """
    endings = [ending.lower() for ending in file.suffixes]
    if endings and endings[-1] in PACKED:
        endings.pop()
        if endings and endings[-1] in COLUMNS:
            return file.suffix.lower()
    return endings[-1] if endings else ""


def read_rows(path: str | os.PathLike[str]) -> Iterator[RawRow]:
    """Read the rows of a file, one after another.

    Parameters
    ----------
    path : str or path-like
        Ends in .jsonl, .ndjson, .json, .csv or .tsv, each also with .gz or .zst, or in .parquet, .arrow
        or .feather. JSON may have any of its usual shapes under any of its endings; text is UTF-8, or
        UTF-16 or UTF-32 with a byte order mark.

    Raises
    ------
    RecordsError
        There is no such file, its ending is unknown, or it is incomplete.
    """
    file = Path(path)
    if not file.exists():
        raise RecordsError("the file does not exist", file=file, fix="check the path")
    ending = ending_of(file)
    if ending not in ENDINGS:
        allowed = f"one of {', '.join(ENDINGS)} (the first {len(TEXTS)} also with {' or '.join(PACKED)})"
        raise RecordsError(
            parameter="the file name's ending", received=file.suffix, allowed=allowed, file=file
        )
    if not file.is_file():
        raise RecordsError("this is not a file", file=file)
    try:
        if ending in COLUMNS:
            yield from read_columns(file)
        elif ending in DELIMITED:
            yield from read_delimited(lambda: open_utf8(file), "\t" if ending == ".tsv" else None, file)
        else:
            yield from read_json(lambda: open_utf8(file), ending in LINES, file)
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        problem = f"the file cannot be read to its end: {error}"
        raise RecordsError(problem, file=file, fix="get the file again") from error


def readable(paths: Sequence[str | os.PathLike[str]]) -> list[RowFile]:
    """Return the files that some paths mean, see :func:`find_files`.

    Raises
    ------
    RecordsError
        As there, or a file is meant twice: its rows would count twice.
    """
    found = [file for path in paths for file in find_files(path)]
    if (again := repeated_name(os.path.abspath(file.path) for file in found)) is not None:
        raise RecordsError("the file is listed twice, so its rows would count twice", file=again,
                           fix="list it once")  # fmt: skip
    return found


def open_utf8(file: Path) -> BinaryIO:
    """Open a file as UTF-8 bytes without a byte order mark; see :func:`unpacked` for errors."""
    with unpacked(file) as stream:
        encoding = encoding_of(stream.read(4))
    stream = unpacked(file)
    if encoding.endswith(("16", "32")):
        return cast(BinaryIO, io.BufferedReader(_Recoded(stream, encoding)))
    if encoding:
        stream.read(len(codecs.BOM_UTF8))
    return stream


def encoding_of(beginning: bytes) -> str:
    r"""Return the encoding that a byte order mark states; nothing where there is no mark.

    Examples
    --------
    >>> encoding_of("no".encode("utf-16")), encoding_of(b"no")
    ('utf-16', '')
    """
    return next((name for mark, name in _ENCODINGS.items() if beginning.startswith(mark)), "")


def unpacked(file: Path) -> BinaryIO:
    """Open a file, unpacking it if its ending or its first bytes say that it is compressed.

    Parameters
    ----------
    file : Path

    Returns
    -------
    binary file
        Reading it raises RecordsError where a small file becomes a huge one, OSError, EOFError or
        zlib.error where it is damaged.
    """
    with file.open("rb") as raw:
        beginning = raw.read(4)
    if file.suffix.lower() == ".gz" or beginning.startswith(_MARKS[".gz"]):
        return cast(BinaryIO, io.BufferedReader(_Unpacked(gzip.open(file, "rb"), file)))
    if file.suffix.lower() == ".zst" or beginning == _MARKS[".zst"]:
        import pyarrow as pa

        stream = pa.CompressedInputStream(pa.OSFile(str(file)), "zstd")
        return cast(BinaryIO, io.BufferedReader(_Unpacked(stream, file)))
    return file.open("rb")


class _Unpacked(io.RawIOBase):
    """A stream that is unpacked, and ends in an error where a small file becomes a huge one."""

    def __init__(self, stream: Any, file: Path) -> None:
        self.stream, self.file = stream, file
        self.room = max(_ALWAYS_UNPACKED, _MOST_UNPACKED * file.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        content = self.stream.read(len(buffer))
        self.room -= len(content)
        if self.room < 0:
            problem = f"the file would become more than {_MOST_UNPACKED} times as large when unpacked"
            raise RecordsError(problem, file=self.file, fix="unpack it first, if you trust it")
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self.stream.close()
        super().close()


class _Recoded(io.RawIOBase):
    """A stream of text in another encoding as UTF-8 bytes."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self.stream, self.ready = stream, b""
        self.decode = codecs.getincrementaldecoder(encoding)("surrogatepass").decode

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self.ready:
            content = self.stream.read(2**16)
            self.ready = self.decode(content, not content).encode("utf-8", "surrogatepass")
            if not content:
                break
        size = min(len(buffer), len(self.ready))
        buffer[:size], self.ready = self.ready[:size], self.ready[size:]
        return size

    def close(self) -> None:
        self.stream.close()
        super().close()
