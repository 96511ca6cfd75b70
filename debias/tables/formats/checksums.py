"""Digests the columns of a table while they are written, so that a flipped bit is noticed when they are read.

A group is what belongs together: the probabilities of all classes, the labels, the ids, the texts,
the label mass, and what the file says about its rows. How rows are cut into blocks changes nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from debias.tables.table_parts import PER_ROW, TableParts

ABOUT = "about"


class Checksums:
    """Digests of the groups of columns of a table, of one block of rows after the other.

    Examples
    --------
    >>> whole, cut = Checksums(), Checksums()
    >>> parts = TableParts(np.array([[0.7, 0.3], [0.4, 0.6]]), ("no", "yes"), ids=np.array(["a", "b"]))
    >>> whole.add(parts)
    >>> for row in range(2):
    ...     cut.add(parts.take(np.array([row])))
    >>> whole.digests({}) == cut.digests({})
    True
    """

    def __init__(self) -> None:
        self._groups: dict[str, Any] = {}

    def add(self, block: TableParts) -> None:
        """Digest a block of rows."""
        for name in PER_ROW:
            values = getattr(block, name)
            if values is None:
                continue
            digest = self._groups.setdefault(name, hashlib.sha256())
            if np.asarray(values).dtype.kind == "f":
                digest.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
            else:
                digest.update("".join(map(_written, values)).encode("utf-8", "surrogatepass"))

    def digests(self, about: Mapping[str, Any]) -> dict[str, str]:
        """Return the digest of each group, in hexadecimal.

        Parameters
        ----------
        about : mapping
            JSON that the file keeps beside its rows.

        Returns
        -------
        dict of str to str
        """
        said = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
        return {name: digest.hexdigest() for name, digest in [*self._groups.items(), (ABOUT, said)]}


def _written(value: object) -> str:
    """Return a value so that its end can be told, whatever it holds."""
    text = str(value)
    return f"{len(text)}:{text}"
