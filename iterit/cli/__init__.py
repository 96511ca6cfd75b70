"""The ``iterit`` command; what parses it is imported when it is used, so that Ctrl-C is understood first."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"commands": ("app",)})
