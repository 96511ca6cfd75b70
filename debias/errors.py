"""Every error this project raises on purpose: each is also a standard Python exception.

A message says which parameter, row or file is meant, what was received, what is allowed
and how to mend it, so that catching :class:`DebiasError` is enough to show one clear line.
"""


class DebiasError(Exception):
    """Base class of the project's own errors."""


class ParameterError(DebiasError, ValueError):
    """A parameter has a value that is not allowed."""


class TableError(DebiasError, ValueError):
    """Class probabilities or labels are not valid: the message names row and column."""


class OverlapError(DebiasError, ValueError):
    """The opt set and the test set share rows, so a test figure would be dishonest."""


class TaskError(DebiasError, ValueError):
    """A task description or its data cannot be used."""


class RecordsError(DebiasError, ValueError):
    """Instruction records cannot be read, or do not fit a template: the message names file or row."""


class LabelError(TaskError):
    """The labels of a task cannot be told apart by their tokens."""


class ContextLengthError(DebiasError, ValueError):
    """A prompt does not fit into the context of the model."""


class ResumeError(DebiasError, ValueError):
    """A collection cannot be continued: it was started with other settings."""


class RunInUseError(ResumeError):
    """Another process is collecting into the same folder."""


class StorageError(DebiasError, OSError):
    """What was collected cannot be written: a full disk, or a folder without permission."""


class CorrectionFileError(DebiasError, ValueError):
    """A saved correction cannot be loaded: wrong, old, damaged or hostile file."""


class ModelError(DebiasError, OSError):
    """A model cannot be found or loaded."""


class EngineError(DebiasError, RuntimeError):
    """An engine or a server gave no answer, or one that cannot be right."""


class SpendLimitError(EngineError):
    """The cap on requests or tokens that the user set is reached."""


class MissingDependencyError(DebiasError, ImportError):
    """An optional dependency is missing: the message names the extra to install."""


class SolverError(DebiasError, RuntimeError):
    """A solver gave up, or its answer does not stand when it is computed again."""


class FewRowsWarning(UserWarning):
    """A class has so few labelled rows that its accuracy cannot be known: the message names it."""
