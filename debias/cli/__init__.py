"""The ``debias`` command; what parses it is imported when it is used, so that Ctrl-C is understood first."""

from debias.public_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {"commands": ("app",)})
