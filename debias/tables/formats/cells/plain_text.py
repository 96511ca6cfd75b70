"""Shared by the formats in plain text: decoding, and noticing a truncated end."""

import codecs
from pathlib import Path

import numpy as np

from debias.errors import TableError, param, shortened
from debias.tables.class_columns import FloatArray

_ROUNDING = 1e-5
"""How far from 1 the sum of a whole row may be where its values have six decimals."""


def decode(path: Path, encoding: str = "utf-8") -> str:
    """Return the text of a file.

    Parameters
    ----------
    path : Path
        The file.
    encoding : str, default="utf-8"
        Its encoding; a byte order mark is dropped, and one of UTF-16 is followed.

    Returns
    -------
    str
        The text.

    Raises
    ------
    TableError
        The file has another encoding, or is empty but for white space.
    """
    content = path.read_bytes()
    if encoding == "utf-8" and content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        raise TableError(
            f"byte {getattr(error, 'start', 0)} is not {encoding}",
            parameter="encoding",
            received=encoding,
            file=path,
            fix=f"save the file as utf-8, or pass {param('encoding')} (for example 'latin-1')",
        ) from error
    except (LookupError, ValueError) as error:
        raise TableError(
            f"there is no encoding {shortened(encoding)}; common ones are 'utf-8', 'latin-1'",
            parameter="encoding",
            received=encoding,
            file=path,
        ) from error
    if "\0" in text:
        raise TableError(
            "holds zero bytes, so it is not text", file=path, fix="check the file and its encoding"
        )
    if not text.strip():
        raise TableError("the file is empty", file=path)
    return text


def refuse_cut_end(path: Path, text: str, probabilities: FloatArray) -> None:
    r"""Refuse a file that ends in the middle of its last number.

    Such a file has no line break at its end, and its last row alone does not sum to one.

    Parameters
    ----------
    path : Path
        The file, for the message.
    text : str
        Its content.
    probabilities : ndarray of shape (n_samples, n_classes)
        What was read.

    Raises
    ------
    TableError
        The file was cut.

    Examples
    --------
    >>> refuse_cut_end(Path("a.txt"), "0 0 0 .7 .3\n1 1 1 .25 .7", np.array([[0.7, 0.3], [0.25, 0.7]]))
    Traceback (most recent call last):
        ...
    debias.errors.TableError: a.txt: the file is cut short: it ends within row 1, which sums to 0.95 while
    all others sum to 1.
    """
    off = np.abs(probabilities.sum(axis=1) - 1) > _ROUNDING
    if not text.endswith(("\n", "\r")) and len(off) > 1 and off[-1] and not off[:-1].any():
        raise TableError(
            f"the file is cut short: it ends within row {len(off) - 1}, which sums to "
            f"{probabilities[-1].sum():.6g} while all others sum to 1",
            file=path,
        )
