"""One report over training and correcting: zero-shot, correction alone, tuned, and both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.console.number_formats import percent, plain
from debias.errors import ParameterError
from debias.metrics.scores import class_accuracy, cobias
from debias.pages.environment import page_environment
from debias.pages.markdown import escape, markdown_table

_MOST_STEPS = 20


@dataclass(frozen=True)
class TunedReport:
    """Predictions of the same held-out rows in several ways, and how the model was trained.

    Parameters
    ----------
    labels : sequence of str, length n
        True classes of the held-out rows.
    predictions : mapping of str to sequence of str
        By name, in the order of the report: such as "zero-shot", "tuned".
    classes : sequence of str
    trail : DataFrame
        The steps: seed, projected gradient and learning rate, see
        :meth:`debias.inference.zeroth_order.class_training.ClassTraining.trail`.
    facts : mapping
        Settings and numbers, as they are to be shown.
    title : str, optional

    Raises
    ------
    ParameterError
        Predictions are not as many as labels.

    Examples
    --------
    >>> trail = pd.DataFrame({"seed": [7], "projected": [0.5], "rate": [0.25]})
    >>> report = TunedReport(
    ...     ["a", "a", "b"], {"zero-shot": ["a", "a", "a"], "tuned": ["a", "b", "b"]}, ["a", "b"], trail, {}
    ... )
    >>> report.table.round(2)
               accuracy  COBias  worst class
    zero-shot      0.67     1.0          0.0
    tuned          0.67     0.5          0.5
    """

    labels: Sequence[str]
    predictions: Mapping[str, Sequence[str]]
    classes: Sequence[str]
    trail: pd.DataFrame
    facts: Mapping[str, object] = field(default_factory=dict)
    title: str = "Trained without gradients, then corrected"

    def __post_init__(self) -> None:
        for name, predicted in self.predictions.items():
            if len(predicted) != len(self.labels):
                raise ParameterError(
                    parameter=f"predictions[{name!r}]",
                    allowed=f"of {len(self.labels)} rows, as many as labels",
                    received=len(predicted),
                )

    @property
    def table(self) -> pd.DataFrame:
        """Accuracy, COBias and worst class of each way."""
        true = np.asarray(self.labels, dtype=object)
        found = {}
        for name, own in self._arrays().items():
            found[name] = {
                "accuracy": float((own == true).mean()),
                "COBias": float(cobias(true, own, labels=list(self.classes))),
                "worst class": float(self.by_class[name].min()),
            }
        return pd.DataFrame.from_dict(found, orient="index")

    @property
    def by_class(self) -> pd.DataFrame:
        """Accuracy of each class, a column for each way."""
        true = np.asarray(self.labels, dtype=object)
        return pd.DataFrame(
            {
                name: class_accuracy(true, own, labels=list(self.classes))
                for name, own in self._arrays().items()
            }
        )

    def _arrays(self) -> dict[str, npt.NDArray[np.object_]]:
        return {name: np.asarray(own, dtype=object) for name, own in self.predictions.items()}

    @property
    def headline(self) -> str:
        """Say in a sentence what came of it."""
        table = self.table
        best = str(table["accuracy"].idxmax())
        first, numbers = table.loc[[table.index[0], best]].to_numpy(np.float64)
        return (
            f"On {len(self.labels):,} held-out rows the most accurate is {best}: accuracy"
            f" {percent(numbers[0])} ({percent(first[0])} {table.index[0]}), COBias {percent(numbers[1])}"
            f" ({percent(first[1])}), worst class {percent(numbers[2])} ({percent(first[2])})."
        )

    @property
    def trail_note(self) -> str:
        """Say what the steps did."""
        steps = self.trail
        if not len(steps):
            return "No step was taken."
        sizes = steps["projected"].abs()
        return (
            f"{len(steps):,} steps of 16 bytes: a seed, a projected gradient and a learning rate. Together "
            "with the base model, they reproduce the trained weights bit for bit. Projected gradients have a "
            f"mean size of {sizes.mean():.4g}, {sizes.max():.4g} at most."
        )

    def sections(self) -> list[tuple[str, str, list[str], list[list[str]]]]:
        """Return headings, notes, headers and rows of the tables, as pages show them."""
        ways = self.table
        classes = self.by_class
        some = self.trail.tail(_MOST_STEPS)
        first = len(self.trail) - len(some)
        return [
            (
                "Held-out rows",
                "COBias is the mean gap between two class accuracies.",
                ["", *ways.columns],
                [
                    [str(name), *map(percent, row)]
                    for name, row in zip(ways.index, ways.to_numpy(), strict=True)
                ],
            ),
            (
                "Class accuracies",
                "Share of each class's rows that is predicted correctly.",
                ["class", *classes.columns],
                [
                    [str(name), *map(percent, row)]
                    for name, row in zip(classes.index, classes.to_numpy(), strict=True)
                ],
            ),
            (
                "Steps",
                f"{self.trail_note} The last {len(some):,} are shown.",
                ["step", "seed", "projected gradient", "learning rate"],
                [
                    [str(first + place), str(row["seed"]), f"{row['projected']:.5g}", f"{row['rate']:.3g}"]
                    for place, row in enumerate(some.to_dict("records"))
                ],
            ),
            (
                "Settings",
                "",
                ["setting", "value"],
                [[name, plain(value)] for name, value in self.facts.items()],
            ),
        ]

    def to_markdown(self) -> str:
        """Return the report as Markdown."""
        parts = [f"# {escape(self.title)}", escape(self.headline)]
        for heading, note, header, rows in self.sections():
            parts += [
                f"## {escape(heading)}",
                *([escape(note)] if note else []),
                markdown_table(header, rows),
            ]
        return "\n\n".join(parts) + "\n"

    def to_html(self) -> str:
        """Return the report as one page that loads nothing."""
        template = page_environment("debias").get_template("tuned.html.jinja")
        return template.render(title=self.title, headline=self.headline, sections=self.sections())

    def write(self, path: str | Path) -> Path:
        """Write the report as .html or .md, by the suffix.

        Raises
        ------
        ParameterError
            The suffix is another one.
        """
        target = Path(path)
        if target.suffix.lower() not in (".html", ".md"):
            raise ParameterError(
                parameter="path", allowed="a file name that ends in .html or .md", received=str(path)
            )
        text = self.to_markdown() if target.suffix.lower() == ".md" else self.to_html()
        target.write_text(text, encoding="utf-8")
        return target
