"""The ``debias`` command; what parses it is imported when it is used, so that Ctrl-C is understood first."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Return the command, ``app``, when it is first asked for."""
    if name != "app":
        raise AttributeError(name)
    from debias.cli.commands import app

    return app
