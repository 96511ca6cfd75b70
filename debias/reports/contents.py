"""What a page of a report is written from: the part of a Report that the pages read."""

from collections.abc import Sequence
from typing import Any, Protocol

import pandas as pd

from debias.reports.findings import Finding


class Contents(Protocol):
    """Everything that a page shows; a :class:`~debias.reports.correction_report.Report` has it."""

    classes: tuple[str, ...]
    corrections: list[Any]
    sentences: list[Any]
    probabilities: Any
    rows: Any
    settings: dict[str, dict[str, Any]]
    title: str
    level: float

    @property
    def headline(self) -> str:
        """The outcome in one sentence."""
        ...

    @property
    def findings(self) -> Sequence[Finding]:
        """What there is to say, good and bad."""
        ...

    @property
    def overall(self) -> pd.DataFrame:
        """Metrics before and after."""
        ...

    @property
    def by_class(self) -> pd.DataFrame:
        """Classes before and after."""
        ...

    @property
    def move_outcomes(self) -> pd.DataFrame:
        """What became of the rows whose prediction moved."""
        ...
