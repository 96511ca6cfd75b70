"""Turns texts into class probabilities: a scikit-learn transformer, the first step of a text pipeline."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from debias.errors import ParameterError
from debias.inference.collection.collection import collect
from debias.inference.engine import Engine
from debias.inference.texts.tasks import Task, load_task


class LabelProbabilities(TransformerMixin, BaseEstimator):
    """Turn texts into the class probabilities of a prompted model.

    There is nothing to learn: ``fit`` only checks. Clones share the engine, so that a model is
    never copied. Every ``transform`` asks the model; for a grid search collect a table first.

    Parameters
    ----------
    engine : Engine
    task : str or Task
    demonstrations : sequence of Demonstration or (text, class name), default=()
    too_long : {"error", "truncate"}, default="error"
        See :func:`~debias.inference.collection.collection.collect`.
    progress : bool, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    classes_ : ndarray of str, shape (K,)
        Class names in column order.

    Examples
    --------
    >>> class Even(Engine):
    ...     context_length, fingerprint = 100, {"model": "even"}
    ...
    ...     def continuation_logprobs(self, prompts, continuations):
    ...         return [np.log([0.4]) for _ in continuations]
    >>> LabelProbabilities(Even(), Task("mood", labels=["bad", "good"])).fit_transform(["fine", "dull"])
       bad  good
    0  0.5   0.5
    1  0.5   0.5
    """

    def __init__(
        self,
        engine: Engine,
        task: str | Task,
        demonstrations: Sequence[tuple[str, ...]] = (),
        *,
        too_long: str = "error",
        progress: bool = False,
    ) -> None:
        self.engine = engine
        self.task = task
        self.demonstrations = demonstrations
        self.too_long = too_long
        self.progress = progress

    def fit(self, X: ArrayLike, y: object = None) -> "LabelProbabilities":
        """Check the parameters and the texts.

        Parameters
        ----------
        X : sequence of str, length n
        y : ignored

        Returns
        -------
        LabelProbabilities
            Itself.

        Raises
        ------
        ParameterError
            `engine` is not an Engine, or the texts are not strings.
        """
        if not isinstance(self.engine, Engine):
            raise ParameterError(
                parameter="engine",
                allowed="an Engine, such as TransformersEngine('demo')",
                received=self.engine,
            )
        _texts(X)
        self.classes_ = np.array(load_task(self.task).class_names, dtype=object)
        return self

    def transform(self, X: ArrayLike) -> pd.DataFrame:
        """Class probabilities of texts.

        Parameters
        ----------
        X : list, Series or 1-d array of str, length n

        Returns
        -------
        DataFrame, shape (n, K)
            Rows sum to 1; columns are the class names. The index of a Series is kept.
        """
        check_is_fitted(self, "classes_")
        table = collect(
            self.engine,
            self.task,
            _texts(X),
            demonstrations=self.demonstrations,
            too_long=self.too_long,
            progress=self.progress,
        )
        index = X.index if isinstance(X, pd.Series) else None
        return table.probabilities.set_axis(index, axis=0) if index is not None else table.probabilities

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Names of the columns: the class names.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of str, shape (K,)
        """
        check_is_fitted(self, "classes_")
        names: NDArray[np.object_] = self.classes_.copy()
        return names


def _texts(X: ArrayLike) -> list[str]:
    """Texts as a list of str."""
    values = X.tolist() if isinstance(X, pd.Series | np.ndarray) else X
    if isinstance(values, str) or not isinstance(values, list | tuple):
        raise ParameterError(parameter="X", allowed="a list, a Series or a 1-d array of strings", received=X)
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise ParameterError(parameter="X", row=row, allowed="a string in each row", received=value)
    return [str(value) for value in values]
