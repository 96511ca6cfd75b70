"""The loss of a prompted classifier: cross-entropy of class probabilities, read in the pass that scores.

A class's probability is that of all tokens of its label, normalised over the labels, as in collected
tables: what is trained is what is corrected afterwards.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax

from debias.errors import ParameterError

if TYPE_CHECKING:
    from debias.inference.tree_engine import TreeEngine


class ClassLoss:
    """Losses of labelled prompts.

    Parameters
    ----------
    engine : TreeEngine
        Whose model is trained.
    prompts : sequence of str, length n
    labels : sequence of int, length n
        Column of each prompt's class.
    continuations : sequence of str, length K
        Labels as they follow a prompt.
    balanced : bool, default=False
        Whether each class counts alike, however many rows it has.

    Raises
    ------
    ParameterError
        There are no prompts, or not one label for each.
    ContextLengthError, LabelError
        A prompt is too long, or labels cannot be told apart.
    """

    def __init__(
        self,
        engine: "TreeEngine",
        prompts: Sequence[str],
        labels: ArrayLike,
        continuations: Sequence[str],
        balanced: bool = False,
    ) -> None:
        self.engine = engine
        self.labels = np.asarray(labels, dtype=np.int64)
        n_classes = len(continuations)
        if not len(prompts) or self.labels.shape != (len(prompts),):
            raise ParameterError(
                parameter="labels",
                allowed=f"one for each of {len(prompts)} prompts, of which there is at least one",
                received=self.labels.shape,
            )
        if self.labels.min() < 0 or self.labels.max() >= n_classes:
            row = int(np.argmax((self.labels < 0) | (self.labels >= n_classes)))
            raise ParameterError(
                parameter="labels",
                allowed=f"a column from 0 to {n_classes - 1}",
                received=int(self.labels[row]),
                row=row,
            )
        self.rows = engine.label_rows(prompts, continuations)
        counts = np.bincount(self.labels, minlength=n_classes)
        shares = len(self.labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        self.weights: NDArray[np.float64] = shares[self.labels] if balanced else np.ones(len(self.labels))

    def __len__(self) -> int:
        return len(self.rows)

    def __call__(self, rows: Sequence[int]) -> float:
        """Sum of the weighted losses of some rows, in nats, with the weights of the model as they are now."""
        logarithms = log_softmax(self.engine.score_label_rows([self.rows[row] for row in rows]), axis=1)
        own = -logarithms[np.arange(len(rows)), self.labels[list(rows)]]
        return float((own * self.weights[list(rows)]).sum())

    def weight(self, rows: Sequence[int]) -> float:
        """Sum of the weights of some rows, by which their loss is divided for a mean."""
        return float(self.weights[list(rows)].sum())
