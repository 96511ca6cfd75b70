"""Parses a GGUF file once while a model is loaded.

transformers parses the file for the configuration, the tokenizer and the weights, each time whole, and
builds the table of its tensors' names anew for each module of the model. A vocabulary is read string by
string: for the demo model all this takes most of the time of loading.
"""

import contextlib
import functools
import threading
from collections.abc import Iterator

_LOCK = threading.RLock()


@contextlib.contextmanager
def parsed_once() -> Iterator[None]:
    """Give all readers of one GGUF file the same parsed file until the end of the block.

    Neither a parsed file nor a table of names is changed by what reads it, and none outlives the block here.
    Other threads that load a GGUF file wait, since functions are replaced in their module.
    """
    import gguf

    with _LOCK:
        own = {name: getattr(gguf, name) for name in ("GGUFReader", "get_tensor_name_map")}
        for name, function in own.items():
            setattr(gguf, name, functools.cache(function))
        try:
            yield
        finally:
            for name, function in own.items():
                setattr(gguf, name, function)
