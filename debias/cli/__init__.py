"""The ``debias`` command; what parses it is imported when it is used, so that Ctrl-C is understood first."""


def __getattr__(name: str) -> object:
    """Return ``app``."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from debias.cli.commands import app

    return app
