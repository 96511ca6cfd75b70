"""MLflow: a correction as a pyfunc model that is code and JSON, never a pickle.

The model's folder holds ``correction.json`` and a script of three lines, which MLflow runs when it loads the
model. Its input columns are the class names.
"""

import logging
import os
import shutil
import tempfile
import warnings
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from debias.corrections.correction_document import checksum_of
from debias.errors import MissingDependencyError, ParameterError
from debias.serving.served_correction import load

CODE = '''"""A correction of debias-iterit, loaded from the JSON file beside it."""

from debias.serving.exports.mlflow_model import pyfunc_model
from mlflow.models import set_model

set_model(pyfunc_model())
'''
"""The model as code."""


class ServedModel:
    """Class probabilities in, corrected classes out; MLflow's own class is mixed in where it is installed."""

    def load_context(self, context: Any) -> None:
        """Read the correction.

        Parameters
        ----------
        context : mlflow.pyfunc.PythonModelContext
            Its artifact ``correction`` is the file.
        """
        self.correction = load(context.artifacts["correction"])

    # MLflow takes type hints of this method for a schema, beside the signature.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Return labels and corrected values.

        Parameters
        ----------
        context, params
            Not used.
        model_input : DataFrame
            A column per class, in any order.

        Returns
        -------
        DataFrame
            ``label``, and the corrected values in columns ``value_CLASS``; the index is that of the input.
        """
        import pandas as pd

        values = self.correction.values(model_input)
        columns = [f"value_{label}" for label in self.correction.classes]
        index = model_input.index if isinstance(model_input, pd.DataFrame) else None
        frame = pd.DataFrame(values, index=index, columns=columns)
        frame.insert(0, "label", self.correction.predict(model_input), allow_duplicates=True)
        return frame


def pyfunc_model() -> Any:
    """Return the MLflow model, a :class:`ServedModel`.

    Returns
    -------
    mlflow.pyfunc.PythonModel

    Raises
    ------
    MissingDependencyError
        mlflow is not installed.
    """
    return type("CorrectedClasses", (ServedModel, _mlflow().pyfunc.PythonModel), {})()


def _mlflow() -> Any:
    """Return mlflow with its pyfunc module; it reports no use, unless the environment asks for it."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        import mlflow.pyfunc
    except ImportError as error:
        raise MissingDependencyError(
            f"mlflow is not installed ({error})",
            parameter="mlflow",
            fix='install it with pip install "debias-iterit[mlflow]"',
        ) from error
    return mlflow


def save_mlflow(correction: str | PathLike[str], folder: str | PathLike[str]) -> None:
    """Write a correction as an MLflow model.

    Parameters
    ----------
    correction : str or path-like
        The file that ``debias fit`` wrote.
    folder : str or path-like
        The model; it must not exist.

    Raises
    ------
    MissingDependencyError
        mlflow is not installed; mlflow-skinny is enough.
    CorrectionFileError
        The correction cannot be read.
    ParameterError
        The folder exists, or lies in none.
    """
    target, served = Path(folder), load(correction)
    if target.exists() or not target.parent.is_dir():
        allowed = "a new folder in an existing one"
        raise ParameterError(parameter="folder", allowed=allowed, received=str(folder))
    mlflow = _mlflow()
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    names = [str(label) for label in served.classes]
    example = pd.DataFrame([np.full(len(names), 1 / len(names))], columns=names)
    label_kind = "string" if isinstance(served.classes[0], str) else "long"
    outputs = [ColSpec(label_kind, "label"), *(ColSpec("double", f"value_{name}") for name in names)]
    signature = ModelSignature(Schema([ColSpec("double", name) for name in names]), Schema(outputs))
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        code, whole = Path(temporary) / "model.py", Path(temporary) / "model"
        code.write_text(CODE, encoding="utf-8")
        copied = Path(temporary) / "correction.json"
        shutil.copyfile(correction, copied)
        _save(
            mlflow,
            path=str(whole),
            python_model=str(code),
            artifacts={"correction": str(copied)},
            signature=signature,
            input_example=example,
            pip_requirements=[f"debias-iterit=={version('debias-iterit')}"],
            metadata={"checksum": checksum_of(served.document)},
        )
        whole.rename(target)


def _save(mlflow: Any, **given: Any) -> None:
    """Save a model without the progress bars, advice and messages of MLflow."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    logger = logging.getLogger("mlflow.pyfunc")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mlflow.pyfunc.save_model(**given)
    finally:
        logger.setLevel(level)
