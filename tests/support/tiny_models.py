"""Tiny random models of several architectures, small tokenizers, and the naive referee.

Weights are drawn with a large deviation, so that positions and masks matter to every answer.
"""

import functools
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from debias.inference.transformers.transformers_engine import TransformersEngine

CORPUS = [
    "Question: Who wrote the book ?\nAnswer Type: Person",
    "Question: How many planets are there in the sky ?\nAnswer Type: Number of things",
    "Question: Where is the Nile ?\nAnswer Type: Number of places",
    "Please classify the questions by their answer type.\n\n====\n\n",
    "very good, very bad, not good at all, abbreviation, description",
] * 4
LABELS = (" Number of things", " Number of places", " Person", " Description", " not good at all", " not bad")
OPENING = (
    "Please classify the questions by their answer type.\n\n"
    "Question: Who wrote it ?\nAnswer Type: Person\n\n====\n\n"
)
PROMPTS = [
    f"{OPENING}Question: {text} ?\nAnswer Type:"
    for text in (
        "Who wrote the book",
        "How many planets are there in the sky above the river Nile at night",
        "Where is it",
        "Who",
        "How many books are there about the planets",
    )
]

_SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
_ROTARY = {**_SIZE, "num_key_value_heads": 2, "max_position_embeddings": 512, "initializer_range": 0.3}
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512, "initializer_range": 0.3}),
    "qwen2": ("Qwen2", _ROTARY),
    "llama": ("Llama", _ROTARY),
    "qwen3": ("Qwen3", {**_ROTARY, "head_dim": 16}),
    "opt": (
        "OPT",
        {**_SIZE, "ffn_dim": 48, "max_position_embeddings": 512, "init_std": 0.3, "word_embed_proj_dim": 32},
    ),
    "gpt_neox": ("GPTNeoX", {**_SIZE, "max_position_embeddings": 512, "initializer_range": 0.3}),
    "bloom": ("Bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3}),
    "phi": ("Phi", {**_SIZE, "max_position_embeddings": 512, "initializer_range": 0.3}),
    "gemma2": ("Gemma2", {**_ROTARY, "head_dim": 8, "sliding_window": 24, "final_logit_softcapping": 5.0}),
    "mistral_window": ("Mistral", {**_ROTARY, "sliding_window": 24}),
    "mamba": (
        "Mamba",
        {"hidden_size": 16, "num_hidden_layers": 1, "state_size": 4, "initializer_range": 0.3},
    ),
    "dynamic_rotary": (
        "Llama",
        {**_ROTARY, "rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}},
    ),
}


@functools.cache
def byte_tokenizer() -> Any:
    """A byte-level BPE tokenizer, as GPT-2's, that adds nothing."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, initial_alphabet=alphabet, special_tokens=["<end>"], show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")


@functools.cache
def merging_tokenizer() -> Any:
    """A tokenizer as SentencePiece's: an opening token, a space put before the text, merges across words."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    trainer = trainers.BpeTrainer(
        vocab_size=200, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    opening = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", opening)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def tiny_model(name: str, tokenizer: Any = None, seed: int = 0, **changes: Any) -> Any:
    """A random float32 model of an architecture."""
    family, settings = ARCHITECTURES[name]
    config_class = getattr(transformers, f"{family}Config")
    special = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    config = config_class(
        **{**settings, "vocab_size": len(tokenizer or byte_tokenizer()), **special, **changes}
    )
    torch.manual_seed(seed)
    return transformers.AutoModelForCausalLM.from_config(config).eval()


def tiny_engine(name: str, tokenizer: Any = None, seed: int = 0, **options: Any) -> TransformersEngine:
    """An engine over a random model."""
    tokenizer = tokenizer or byte_tokenizer()
    return TransformersEngine(tiny_model(name, tokenizer, seed), tokenizer, **options)


def naive_token_logprobs(engine: TransformersEngine, prompt: str, continuation: str) -> np.ndarray:
    """One prompt, one text, the whole float32 logits: no batch, no cache, no mask."""
    alone = list(engine.tokenizer(prompt)["input_ids"])
    whole = list(engine.tokenizer(prompt + continuation)["input_ids"])
    start = next(
        (i for i, (a, b) in enumerate(zip(alone, whole, strict=False)) if a != b), min(len(alone), len(whole))
    )
    with torch.no_grad():
        logits = engine.model(input_ids=torch.tensor([whole])).logits.double()
    table = torch.log_softmax(logits[0], -1)
    return np.array([table[i - 1, whole[i]].item() for i in range(start, len(whole))])


def naive_label_logprobs(
    engine: TransformersEngine, prompts: list[str], labels: tuple[str, ...]
) -> np.ndarray:
    """Sum of the naive token log-probabilities for every pair, shape (n, K)."""
    return np.array([[naive_token_logprobs(engine, p, label).sum() for label in labels] for p in prompts])
