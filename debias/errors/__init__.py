"""Every error this project raises on purpose: each is also a standard Python exception.

An error has fields, not only a sentence: which parameter, row or file is meant, what was received,
what is allowed and how to fix it. It renders itself in the words of Python or of a command line,
so that nothing ever has to read a sentence.
"""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Self

from debias.errors.wording import bounded, rendered, with_places
from debias.errors.wording import in_python as in_python
from debias.errors.wording import other_row as other_row
from debias.errors.wording import param as param
from debias.errors.wording import shortened as shortened
from debias.errors.wording import visible as visible
from debias.errors.wording import visible_json as visible_json


class _Nothing:
    """Stands for a value that was not given, where None is a value."""

    def __repr__(self) -> str:
        return "NOTHING"

    def __reduce__(self) -> str:
        return "NOTHING"


NOTHING = _Nothing()


class DebiasError(Exception):
    """Base class of the project's own errors.

    Parameters
    ----------
    problem : str, optional
        What is wrong, as the end of a sentence; not needed where `parameter` and `allowed` say it.
    parameter : str, optional
        Name of the parameter that is wrong, as in Python.
    received : object, optional
        What was received.
    allowed : str, optional
        What is allowed, such as "a positive integer".
    fix : str, optional
        What to do, as a sentence without its full stop.
    file : str, optional
        The file that was read or written.
    row : int, optional
        The row, counted from 0.
    column : str, optional
        The column.
    line : int, optional
        The line of the file on which the row begins, counted from 1: it is shown in place of the row.

    Examples
    --------
    >>> error = ParameterError(parameter="n_starts", allowed="a positive integer", received=0)
    >>> print(error)
    n_starts must be a positive integer, got 0.
    >>> print(error.render({"n_starts": "--starts"}))
    --starts must be a positive integer, got 0.
    >>> error.parameter, error.received
    ('n_starts', 0)
    >>> print(TableError("the value is missing", row=3, column="text").at(file="table.csv"))
    table.csv: row 3, column 'text': the value is missing.
    """

    def __init__(
        self,
        problem: str | None = None,
        *,
        parameter: str | None = None,
        received: object = NOTHING,
        allowed: str | None = None,
        fix: str | None = None,
        file: object = None,
        row: int | None = None,
        column: object = None,
        line: int | None = None,
    ) -> None:
        self.problem = problem
        self.parameter = parameter
        self.received = received
        self.allowed = allowed
        self.fix = fix
        self.file = None if file is None else str(file)
        self.row = row
        self.column = column
        self.line = line
        super().__init__(str(self))

    def at(
        self, *, file: object = None, row: int | None = None, column: object = None, line: int | None = None
    ) -> Self:
        """Return the same error with the place where it was found; what is known already stays."""
        placed = copy(self)
        placed.file = self.file if self.file is not None or file is None else str(file)
        placed.row = self.row if self.row is not None else row
        placed.column = self.column if self.column is not None else column
        placed.line = self.line if self.line is not None else line
        placed.args = (str(placed),)
        return placed

    def on_lines(self, line_of: Callable[[int], int | None]) -> Self:
        """Return the same error with the lines of its rows, where `line_of` knows them."""

        def place_of(row: int) -> str | None:
            line = line_of(row)
            return None if line is None else f"line {line}"

        placed = self.at(line=None if self.row is None else line_of(self.row))
        placed.problem = None if self.problem is None else with_places(self.problem, place_of)
        placed.args = (str(placed),)
        return placed

    def in_row(self, row: int | None) -> Self:
        """Return the same error of another row, such as that of a file, of which a part was read."""
        placed = copy(self)
        placed.row = row
        placed.args = (str(placed),)
        return placed

    def render(self, options: Mapping[str, str] | None = None) -> str:
        """Return the error as one sentence or two.

        Parameters
        ----------
        options : mapping of str to str, optional
            Options of a command by the parameters that they set; the words of Python if not given.

        Returns
        -------
        str
            Parameters without an option keep their names.
        """
        sentence = ": ".join(filter(None, [self._place(), bounded(self._problem(options or {}))]))
        parts = [sentence, bounded(self.fix or "")]
        text = rendered("; ".join(part.strip().removesuffix(".") for part in parts if part), options)
        return text if not text or text.endswith("?") else f"{text}."

    def _place(self) -> str:
        row = "" if self.row is None else f"row {self.row}"
        row = row if self.line is None else f"line {self.line}"
        column = "" if self.column is None else f"column {shortened(self.column)}"
        return ": ".join(filter(None, [self.file or "", ", ".join(filter(None, [row, column]))]))

    def _problem(self, names: Mapping[str, str]) -> str:
        """Return what is wrong, from the fields where no sentence was given."""
        got = "" if self.received is NOTHING else f", got {shortened(self.received)}"
        if self.problem is None:
            subject = "" if self.parameter is None else names.get(self.parameter, self.parameter)
            return f"{subject} must be {self.allowed}{got}".strip() if self.allowed else subject
        return self.problem

    def __str__(self) -> str:
        return self.render()

    def __reduce__(self) -> tuple[Callable[..., "DebiasError"], tuple[type, dict[str, object]]]:
        return _rebuild, (type(self), self.__dict__)


def _rebuild(kind: type[DebiasError], fields: dict[str, object]) -> DebiasError:
    """Return an error that was pickled, without calling what made it."""
    error = kind.__new__(kind)
    error.__dict__.update(fields)
    error.args = (str(error),)
    return error


@dataclass(frozen=True)
class Kept:
    """What a stopped run has kept on the disk; the exception that stopped it has it as ``kept``.

    Parameters
    ----------
    folder : str
        Where the answers are.
    n_answers : int, optional
        How many there are; None where they were not counted.

    Examples
    --------
    >>> error = KeyboardInterrupt()
    >>> Kept("trec.parquet.run", 1200).attach(error)
    >>> print(kept_by(error).render())
    1,200 answers are kept in trec.parquet.run; rerun the same call to resume.
    >>> print(kept_by(error).render({}))
    1,200 answers are kept in trec.parquet.run; rerun the same command to resume.
    """

    folder: str
    n_answers: int | None = None

    def render(self, options: Mapping[str, str] | None = None) -> str:
        """Return a sentence, in the words of Python, or of a command line where it has options."""
        answers = "Answers are" if self.n_answers is None else f"{self.n_answers:,} answers are"
        rerun = "call" if options is None else "command"
        return f"{answers} kept in {self.folder}; rerun the same {rerun} to resume."

    def attach(self, error: BaseException) -> None:
        """Give an exception, interruptions included, this as ``kept``; a traceback shows it too."""
        error.kept = self  # type: ignore[attr-defined]
        error.add_note(self.render())


def kept_by(error: BaseException) -> Kept | None:
    """Return what the run that an exception stopped has kept, or None."""
    kept = getattr(error, "kept", None)
    return kept if isinstance(kept, Kept) else None


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
    """A collection cannot be resumed: it was started with other settings."""


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


class DebiasWarning(UserWarning):
    """Base class of the project's own warnings: a sentence that may refer to parameters as errors do.

    Examples
    --------
    >>> warning = ExcludedRowsWarning(f"a column is not read; name it in {param('text_column')}.")
    >>> print(warning)
    a column is not read; name it in text_column.
    >>> print(warning.render({"text_column": "--text-column"}))
    a column is not read; name it in --text-column.
    """

    def render(self, options: Mapping[str, str] | None = None) -> str:
        """Return the sentence in the words of Python, or of a command line that has `options`."""
        return rendered(super().__str__(), options)

    def __str__(self) -> str:
        return self.render()


class FewRowsWarning(DebiasWarning):
    """A class has so few labelled rows that its accuracy cannot be known: the message names it."""


class ExcludedRowsWarning(DebiasWarning):
    """Rows of the records are not used, or have fields that are not read: the message names both."""


class ColumnOrderWarning(DebiasWarning):
    """Another order of the columns fits the labels far better: the message names it."""


class OverlapWarning(DebiasWarning):
    """Two sets of rows seem to share texts that neither names: the message says how many, and names one."""


class SecondLabelWarning(DebiasWarning):
    """A text has two labels: the message says how many such texts there are, and names one."""


class InterruptedWarning(DebiasWarning):
    """Ctrl-C ended a search: the best that was met is kept, and ``interrupted_`` is True."""


class InfeasibleWarning(DebiasWarning):
    """No choice that was met keeps the bounds: the closest is kept, and ``feasible_`` is False."""
