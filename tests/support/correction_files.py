"""Correction files made by hand: only what is needed to predict."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from debias.corrections.correction import Correction


def write_correction_file(path: Path, corrections: Mapping[str, Correction], **fields: Any) -> Path:
    """Write a correction of some classes, and further fields, without a checksum."""
    document = {
        "format": "debias correction",
        "schema_version": 2,
        "classes": [
            {"label": name, "correction": one.to_dict() | {"id": number}}
            for number, (name, one) in enumerate(corrections.items())
        ],
    }
    path.write_text(json.dumps(document | fields), encoding="utf-8")
    return path
