"""Parses one row of an instruction data set into messages: Alpaca, ShareGPT, chats, questions and answers.

A row from which nothing can be learned is refused with a reason, such as "empty answer", and so is one
that means more than its texts say: images, preferences. Fields that are not read are named.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from iterit.records.chat_messages import (
    Message,
    in_training,
    read_tools,
    read_turns,
    refuse_media,
    with_roles,
)
from iterit.records.row_fields import Fields, RefusedRow, flag, parsed, written

FORMATS = ("auto", "alpaca", "sharegpt", "messages", "qa")
_CHATS = ("messages", "conversations", "conversation", "dialogue", "dialog")
QUESTIONS = ("question", "prompt", "query")
ANSWERS = ("answer", "response", "completion", "output")
_ALPACA = {"instruction", "input", "output"}
INPUTS = ("input", "context")
_SYSTEMS = ("system", "system_prompt")
_TOOLS = ("tools", "functions")
ALPACA_OPENINGS = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the"
    " request.",
    "Below is an instruction that describes a task, paired with an input that provides further context."
    " Write a response that appropriately completes the request.",
)
"""Of Alpaca's plain prompt: without an input, and with one."""
_KEPT_OUT = ("weight", "loss_weight", "loss_mask", "train", "training", "trainable")
_PREFERENCES = ("label", "kto_tag")


@dataclass(frozen=True)
class Content:
    """What a row says.

    Parameters
    ----------
    messages : tuple of Message
    instruction, input : str
        The two parts of the question of an Alpaca row; empty in other formats.
    tools : tuple of dict
        Tools that the assistant may call.
    unread : tuple of str
        Fields with a value that were not read.
    """

    messages: tuple[Message, ...]
    instruction: str = ""
    input: str = ""
    tools: tuple[dict[str, object], ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def response(self) -> str:
        """The answer that is trained; several answers are joined by newlines."""
        return "\n".join(message.said for message in in_training(self.messages))

    @property
    def n_characters(self) -> int:
        """Characters of all messages."""
        return sum(len(message.content) for message in self.messages)


def parse_row(row: object, format: str = "auto", source_field: str | None = None) -> Content:
    r"""Return the messages of a row.

    Parameters
    ----------
    row : mapping
        As JSON has it; the names of its fields may have capitals.
    format : {"auto", "alpaca", "sharegpt", "messages", "qa"}
        "auto" looks for a list of messages, then for an instruction, then for a question.
    source_field : str, optional
        A field that is read elsewhere.

    Raises
    ------
    RefusedRow
        With the reason.

    Examples
    --------
    >>> parse_row({"instruction": "Add.", "input": "1 and 2", "output": 3}).messages
    (Message(role='user', content='Add.\n\n1 and 2', ...), Message(role='assistant', content='3', ...))
    >>> parse_row({"question": "Name a colour.", "answer": "Red.", "id": 7}).unread
    ('id',)
    >>> parse_row({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": " "}]})
    Traceback (most recent call last):
    iterit.records.row_fields.RefusedRow: empty answer
    """
    if not isinstance(row, Mapping):
        raise RefusedRow("not an object", type(row).__name__)
    if format in ("auto", "alpaca"):
        plain = _plain_alpaca(row)
        if plain is not None:
            return plain
    fields = Fields(row)
    try:
        return _content(fields, format, source_field)
    except RefusedRow as refusal:
        if refusal.reason in ("no answer", "unknown fields", "wrong type") and "rejected" in fields:
            raise RefusedRow("preference pair", refusal.detail) from refusal
        raise


def _plain_alpaca(row: Mapping[str, object]) -> Content | None:
    """Return what a row of three texts says, as most do; None where more must be looked at.

    Without it, reading Alpaca takes three times as long (experiments/results/two_checkouts.md).
    """
    if row.keys() != _ALPACA:
        return None
    instruction, given, answer = row["instruction"], row["input"], row["output"]
    if not (isinstance(instruction, str) and isinstance(given, str) and isinstance(answer, str)):
        return None
    question = "\n\n".join(part for part in (instruction, given) if part.strip())
    if not question or not answer.strip():
        return None
    content = Content((Message("user", question), Message("assistant", answer)), instruction, given)
    _check_unicode(content)
    return content


def _content(fields: Fields, format: str, source_field: str | None) -> Content:
    """Return what the fields of a row say."""
    unread = set[str]()
    kind = _kind(fields) if format == "auto" else format
    if kind == "alpaca":
        content = _alpaca(fields)
    elif kind == "qa":
        content = _question_and_answer(fields, unread)
    elif kind in ("sharegpt", "messages"):
        content = Content(_with_system(fields, read_turns(fields.first(*_CHATS), unread)))
    else:
        raise RefusedRow("unknown fields", ", ".join(fields.names))
    tools = read_tools(fields.first(*_TOOLS))
    messages = _greeted(content.messages)
    if source_field is not None:
        fields.first(source_field.strip().lower())
    content = replace(content, messages=messages, tools=tools, unread=(*fields.unread, *sorted(unread)))
    _check_meaning(fields, messages, kind)
    _check_turns(messages)
    _check_unicode(content)
    return content


def _kind(fields: Fields) -> str:
    """Return the format of a row by its fields: by those that are filled, else by those there are."""
    for there in (fields.is_filled, fields.__contains__):
        if any(map(there, _CHATS)):
            return "messages"
        if there("instruction"):
            return "alpaca"
        if any(map(there, QUESTIONS)):
            return "qa"
    return ""


def _with_system(fields: Fields, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Put the text of a system field before a conversation that has no system message."""
    if any(message.role == "system" for message in messages):
        return messages
    system = fields.text(*_SYSTEMS)
    return (Message("system", system), *messages) if system else messages


def _answered(fields: Fields, question: str, answer: str | None) -> tuple[Message, ...]:
    """Put an answer after its question, and both after the turns before them."""
    if answer is None:
        raise RefusedRow("no answer", ", ".join(fields.names))
    turns = (*_history(fields), Message("user", question), Message("assistant", answer))
    return _with_system(fields, turns)


def _history(fields: Fields) -> list[Message]:
    """Read the turns before a question: pairs of a question and its answer."""
    turns = parsed(fields.first("history"))
    if turns in (None, ""):
        return []
    if isinstance(turns, list) and (messages := with_roles(turns)) is not turns:
        return list(read_turns(messages, set()))
    if not isinstance(turns, list) or not all(isinstance(turn, list) and len(turn) == 2 for turn in turns):
        raise RefusedRow("wrong type", f"history must be a list of pairs, got {turns!r}")
    return [
        Message(role, written(text, "a text of history") or "")
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]


def _alpaca(fields: Fields) -> Content:
    """Read instruction, input and output; an input follows the instruction after an empty line."""
    instruction, given = fields.text("instruction") or "", fields.text(*INPUTS) or ""
    question = "\n\n".join(part for part in (instruction, given) if part.strip())
    answer = fields.text("output", "response", *ANSWERS)
    return Content(_answered(fields, question, answer), instruction, given)


def _question_and_answer(fields: Fields, unread: set[str]) -> Content:
    """Read a question and its answer, each a text or a list of messages; answers within it are context."""
    question, answer = fields.first(*QUESTIONS), fields.first(*ANSWERS)
    if isinstance(question, list) and isinstance(answer, list):
        asked = [replace(m, is_trained=False) if m.is_answer else m for m in read_turns(question, unread)]
        return Content(_with_system(fields, (*asked, *read_turns(answer, unread))))
    return Content(_answered(fields, fields.text(*QUESTIONS) or "", fields.text(*ANSWERS)))


def _greeted(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Keep what the assistant says before the first question out of training: it answers nothing."""
    asked = [n for n, message in enumerate(messages) if message.role == "user" and message.content.strip()]
    first = asked[0] if asked else len(messages)
    greetings = [replace(m, is_trained=False) if m.is_answer else m for m in messages[:first]]
    return (*greetings, *messages[first:])


def _check_meaning(fields: Fields, messages: Sequence[Message], kind: str) -> None:
    """Refuse a row whose texts alone do not say what it means."""
    refuse_media(fields, messages)
    left = fields.left
    if {"chosen", "rejected"} <= left.keys() and not (messages and messages[-1].role == "assistant"):
        raise RefusedRow("preference pair", "the last question has the answers chosen and rejected")
    for name in _KEPT_OUT:
        if flag(left.get(name)) is False:
            raise RefusedRow("no answer to train", f"{name} of the row is {left[name]}")
    for name in _PREFERENCES:
        value = left.get(name)
        is_class = name == "label" and kind == "alpaca" and str(value).lower() not in ("true", "false")
        if flag(value) is not None and not is_class:
            problem = f"{name} is {value}, which says whether the answer is wanted"
            raise RefusedRow("preference label", f"{problem}; rename the field if it is a class")
    for name in ("chosen", "rejected"):
        if isinstance(left.get(name), bool):
            problem = f"{name} is {left[name]}, which says whether the answer is wanted"
            raise RefusedRow("preference label", problem)


def _check_turns(messages: Sequence[Message]) -> None:
    """Refuse a conversation without an answer to train."""
    if not any(message.is_answer for message in messages):
        has_turn = any(message.role == "assistant" for message in messages)
        raise RefusedRow("empty answer" if has_turn else "no answer")
    last = max(n for n, message in enumerate(messages) if message.is_answer)
    if not any(message.role == "user" and message.content.strip() for message in messages[:last]):
        raise RefusedRow("no question")
    if not in_training(messages):
        raise RefusedRow("no answer to train", "the data exclude every answer from training")


def _check_unicode(content: Content) -> None:
    """Refuse halves of surrogate pairs, which no tokenizer accepts."""
    others = [(message.tool_calls, message.others) for message in content.messages]
    try:
        for message in content.messages:
            message.content.encode()
        if content.tools or any(calls or more for calls, more in others):
            json.dumps([content.tools, others], ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise RefusedRow("not Unicode", str(error)) from None
