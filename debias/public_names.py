"""Public names of a package, imported when they are first used, so that importing it is quick."""

import importlib
import sys
from collections.abc import Callable, Mapping


def lazy_names(
    package: str, homes: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package (PEP 562).

    Parameters
    ----------
    package : str
        Its name.
    homes : mapping of str to tuple of str
        Public names by the module that holds them, relative to the package.

    Examples
    --------
    >>> load, names, exported = lazy_names("debias", {"errors": ("DebiasError",)})
    >>> load("DebiasError").__name__, names() == exported
    ('DebiasError', True)
    """
    home_of = {name: home for home, names in homes.items() for name in names}
    exported = sorted(home_of)

    def load(name: str) -> object:
        """Import a public name from its home."""
        if name not in home_of:
            problem = f"module {package!r} has no attribute {name!r}; it has {', '.join(exported)}"
            raise AttributeError(problem, name=name)
        value = getattr(importlib.import_module(f"{package}.{home_of[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return load, lambda: list(exported), exported
