"""Chat templates of the usual kinds, written small, and tokenizers to try them with."""

from typing import Any

import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tests.support.tiny_models import CORPUS

CHATML = (
    "{% for m in messages %}"
    "{% if loop.first and m.role != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HEADERS = (  # the text is trimmed, and the template puts the opening token itself
    "{{ bos_token }}{% for m in messages %}<|start|>{{ m.role }}<|end|>\n\n{{ m.content | trim }}<|eot|>"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant<|end|>\n\n{% endif %}"
)
BRACKETS = (  # no opening of an assistant's turn at all, and alternation is insisted on
    "{{ bos_token }}{% for m in messages %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}"
    "{% endif %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}"
    "{% endfor %}"
)
THOUGHTS = (  # the last answer, and only the last, has a place for thoughts
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
FORCED_THOUGHT = (  # the generation prompt begins a thought that no answer of the data has
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
MOVING = (  # only the last question has this mark
    "{% for m in messages %}[{{ m.role }}]{% if m.role == 'user' and loop.revindex0 <= 1 %}(last){% endif %}"
    "{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)
JOINED = (  # question and answer touch, so that a token may be of both
    "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}<end>{% endif %}{% endfor %}"
)
END_OF_TEXT = (  # an end token after the last message, whosever it is
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% else %}{{ eos_token }}{% endif %}"
)
END_OF_ANSWER = (  # nothing ends an answer but the end token after the last one
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% if m.role == 'assistant' and loop.last %}"
    "{{ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)
PARTS = (  # the content of a message is a list of parts
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for part in m.content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STRICT = (  # no system message, and questions and answers in turn
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + BRACKETS
)
TOOLS = (  # tools, their calls and their answers, and the thoughts of the last answer
    "{% if tools %}<|im_start|>system\n{% for t in tools %}{{ t | tojson }}{% endfor %}<|im_end|>\n"
    "{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content and loop.last %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{{ m.content }}"
    "{% for call in m.tool_calls or [] %}<call>{{ call.function | tojson }}</call>{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ROLES_KNOWN = (  # system messages and tools are left out without an error
    "{% for m in messages %}{% if m.role == 'user' %}Q: {{ m.content }}{% elif m.role == 'assistant' %}"
    " A: {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %} A: {% endif %}"
)
QUOTING = (  # what a tool says is written as JSON, as some templates do
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'tool' %}{{ m.content | tojson }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STRIPPED_THOUGHTS = (  # thoughts inside an answer are cut out of all but the last one
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if '</think>' in m.content and not loop.last %}{{ m.content.split('</think>')[-1] | trim }}"
    "{% else %}{{ m.content | trim }}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ONE_SYSTEM = (  # the system message stands within the last question
    "{% for m in messages %}{% if m.role == 'user' %}[INST] "
    "{% if messages[0].role == 'system' and loop.revindex0 <= 1 %}{{ messages[0].content }}\n\n{% endif %}"
    "{{ m.content }} [/INST]{% elif m.role == 'assistant' %} {{ m.content }}{{ eos_token }}{% endif %}"
    "{% endfor %}"
)
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|start|>", "<|end|>", "<|eot|>", "<think>", "</think>", "</s>"]


def chat_tokenizer(template: str | None, opens: bool = False) -> Any:
    """A byte-level tokenizer with a chat template; ``opens`` puts ``<s>`` before every text.

    The character U+200B is omitted from every text, as some tokenizers omit characters they do not know.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace("\u200b", "")
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<end>", "<s>", *SPECIAL],
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    if opens:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    whole = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="<end>", additional_special_tokens=SPECIAL
    )
    whole.chat_template = template
    return whole


def pair_tokenizer() -> Any:
    """A tokenizer that knows letters and the pairs "ab" and "cd", and cuts nowhere beforehand."""
    letters = {sign: number for number, sign in enumerate(["<end>", *"abcdxyz .", "ab", "cd"])}
    tokenizer = Tokenizer(models.BPE(vocab=letters, merges=[("a", "b"), ("c", "d")]))
    tokenizer.add_special_tokens(["<end>"])
    whole = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")
    whole.chat_template = JOINED
    return whole
