"""Learned attributes: parts of what a fit learned, under names that end in an underscore."""

from collections.abc import Callable
from typing import Generic, NoReturn, Protocol, Self, TypeVar, overload

from sklearn.exceptions import NotFittedError

from debias.estimators.fitted.fitted_correction import FittedCorrection

T = TypeVar("T")


class Fitted(Protocol):
    """A debiaser after its fit."""

    fitted_: FittedCorrection


class LearnedWhole:
    """All that was learned, before a fit has set it: refused as every method of an unfitted estimator is."""

    def __get__(self, debiaser: object, kind: type | None = None) -> FittedCorrection:
        name = type(debiaser).__name__ if kind is None else kind.__name__
        raise NotFittedError(f"This {name} instance is not fitted yet. Call 'fit' before using this.")


class Learned(Generic[T]):
    """A learned attribute: a part of ``fitted_``, which is all that a fit sets."""

    def __init__(self, read: Callable[[FittedCorrection], T]) -> None:
        self._read = read

    @overload
    def __get__(self, debiaser: None, kind: type | None = None) -> Self: ...

    @overload
    def __get__(self, debiaser: Fitted, kind: type | None = None) -> T: ...

    def __get__(self, debiaser: Fitted | None, kind: type | None = None) -> T | Self:
        return self if debiaser is None else self._read(debiaser.fitted_)

    def __set__(self, debiaser: Fitted, value: object) -> NoReturn:
        raise AttributeError("a learned attribute is a part of fitted_, which is replaced as a whole.")
