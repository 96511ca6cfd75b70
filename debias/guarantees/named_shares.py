"""Class mixes: the share of each class among rows, given by name or in the order of the columns."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from debias.errors import ParameterError


def shares_of(class_mix: Any, classes: tuple[str, ...]) -> tuple[float, ...]:
    """Return the shares of some classes, from a mapping or in the order of the columns.

    Raises
    ------
    ParameterError
        They are not of these classes, or do not sum to 1.

    Examples
    --------
    >>> shares_of({"yes": 0.25, "no": 0.75}, ("no", "yes"))
    (0.75, 0.25)
    >>> shares_of({"yes": 0.25}, ("no", "yes"))
    Traceback (most recent call last):
    debias.errors.ParameterError: class_mix must be a share for each of 'no', 'yes', got {'yes': 0.25}.
    """
    if isinstance(class_mix, (Mapping, pd.Series)):
        named = {str(name): share for name, share in class_mix.items()}
        if set(named) != set(classes):
            allowed = f"a share for each of {', '.join(map(repr, classes))}"
            raise ParameterError(parameter="class_mix", allowed=allowed, received=dict(class_mix))
        class_mix = [named[name] for name in classes]
    try:
        shares = tuple(float(share) for share in class_mix)
    except (TypeError, ValueError) as error:
        allowed = "a mapping of class to share, or shares by column"
        raise ParameterError(parameter="class_mix", allowed=allowed, received=class_mix) from error
    return check_mix(shares, len(classes))


def check_mix(shares: tuple[float, ...], n_classes: int) -> tuple[float, ...]:
    """Return shares, or refuse them."""
    are_shares = all(isinstance(share, float) and 0 <= share <= 1 for share in shares)
    if len(shares) != n_classes or not are_shares or abs(sum(shares) - 1) > 1e-6:
        allowed = f"{n_classes} shares that sum to 1"
        raise ParameterError(parameter="class_mix", allowed=allowed, received=shares)
    return shares
