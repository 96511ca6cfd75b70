"""Parses one row of an instruction data set into messages: Alpaca, ShareGPT, chats, questions and answers.

A row from which nothing can be learned is refused with a reason, such as "empty answer".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from debias.errors import ParameterError

FORMATS = ("auto", "alpaca", "sharegpt", "messages", "qa")
_ROLES = {
    name: role
    for role, names in {
        "system": ("system", "developer"),
        "user": ("user", "human", "prompter"),
        "assistant": ("assistant", "gpt", "chatgpt", "model", "bot"),
    }.items()
    for name in names
}
_CHATS = ("messages", "conversations", "conversation")
_QUESTIONS = ("question", "prompt", "query")
_ANSWERS = ("answer", "response", "completion", "output")
_INPUTS = ("input", "context")
_SYSTEMS = ("system", "system_prompt")


@dataclass(frozen=True)
class Message:
    """One message of a conversation.

    Parameters
    ----------
    role : {"system", "user", "assistant"}
    content : str
    """

    role: str
    content: str


@dataclass(frozen=True)
class Content:
    """Messages of a row.

    Parameters
    ----------
    messages : tuple of Message
    instruction, input : str
        The two parts of the question of an Alpaca row; empty in other formats.
    """

    messages: tuple[Message, ...]
    instruction: str = ""
    input: str = ""

    @property
    def response(self) -> str:
        """The answer; several answers are joined by newlines."""
        said = [message.content for message in self.messages if message.role == "assistant"]
        return "\n".join(content for content in said if content.strip())

    @property
    def n_characters(self) -> int:
        """Characters of all messages."""
        return sum(len(message.content) for message in self.messages)


class RefusedRow(Exception):
    """A row is not usable.

    Parameters
    ----------
    reason : str
        Such as "empty answer": rows are counted by it.
    detail : str, optional
        What was found.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


def check_format(format: str) -> str:
    """Return the name of a format, or raise ParameterError."""
    if format not in FORMATS:
        allowed = "one of " + ", ".join(map(repr, FORMATS))
        raise ParameterError(parameter="format", received=format, allowed=allowed)
    return format


def parse_row(row: object, format: str = "auto") -> Content:
    r"""Return the messages of a row.

    Parameters
    ----------
    row : mapping
    format : {"auto", "alpaca", "sharegpt", "messages", "qa"}
        "auto" looks for a list of messages, then for an instruction, then for a question.

    Raises
    ------
    RefusedRow
        With the reason.

    Examples
    --------
    >>> parse_row({"instruction": "Add.", "input": "1 and 2", "output": "3"}).messages
    (Message(role='user', content='Add.\n\n1 and 2'), Message(role='assistant', content='3'))
    >>> parse_row({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": " "}]})
    Traceback (most recent call last):
    iterit.records.record_formats.RefusedRow: empty answer
    """
    if not isinstance(row, Mapping):
        raise RefusedRow("not an object", type(row).__name__)
    kind = _kind(row) if format == "auto" else format
    if kind == "alpaca":
        content = _alpaca(row)
    elif kind == "qa":
        content = _question_and_answer(row)
    elif kind in ("sharegpt", "messages"):
        content = Content(_with_system(row, _chat(_first(row, _CHATS))))
    else:
        raise RefusedRow("unknown fields", ", ".join(map(str, row)))
    _check_turns(content.messages)
    _check_unicode(content)
    return content


def _kind(row: Mapping[str, object]) -> str:
    """Return the format of a row by its fields."""
    if any(name in row for name in _CHATS):
        return "messages"
    if "instruction" in row:
        return "alpaca"
    return "qa" if any(name in row for name in _QUESTIONS) else ""


def _first(row: Mapping[str, object], names: Sequence[str]) -> object:
    """Return the value of the first of some fields that is there and not null."""
    return next((row[name] for name in names if row.get(name) is not None), None)


def _text(row: Mapping[str, object], names: Sequence[str]) -> str | None:
    """Return the text of the first of some fields that is there."""
    value = _first(row, names)
    if value is not None and not isinstance(value, str):
        raise RefusedRow("wrong type", f"{names[0]} is {type(value).__name__}")
    return value


def _with_system(row: Mapping[str, object], messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Put the text of a system field before a conversation that has no system message."""
    system = _text(row, _SYSTEMS)
    has_one = any(message.role == "system" for message in messages)
    return messages if has_one or not system else (Message("system", system), *messages)


def _answered(row: Mapping[str, object], question: str, answer: str | None) -> tuple[Message, ...]:
    """Put an answer after its question."""
    if answer is None:
        raise RefusedRow("no answer", ", ".join(map(str, row)))
    return _with_system(row, (Message("user", question), Message("assistant", answer)))


def _alpaca(row: Mapping[str, object]) -> Content:
    """Read instruction, input and output; an input follows the instruction after an empty line."""
    instruction, given = _text(row, ("instruction",)) or "", _text(row, _INPUTS) or ""
    question = "\n\n".join(part for part in (instruction, given) if part.strip())
    return Content(_answered(row, question, _text(row, ("output", "response"))), instruction, given)


def _question_and_answer(row: Mapping[str, object]) -> Content:
    """Read a question and its answer, each a text or a list of messages."""
    question, answer = _first(row, _QUESTIONS), _first(row, _ANSWERS)
    if isinstance(question, list) and isinstance(answer, list):
        return Content(_with_system(row, (*_chat(question), *_chat(answer))))
    return Content(_answered(row, _text(row, _QUESTIONS) or "", _text(row, _ANSWERS)))


def _chat(turns: object) -> tuple[Message, ...]:
    """Read a list of messages in either of the two usual spellings."""
    if turns is None:
        raise RefusedRow("no answer", "no messages")
    if not isinstance(turns, list):
        raise RefusedRow("wrong type", f"messages are {type(turns).__name__}")
    return tuple(_message(turn) for turn in turns)


def _message(turn: object) -> Message:
    """Read one message: role and content, or from and value."""
    if not isinstance(turn, Mapping):
        raise RefusedRow("wrong type", f"a message is {type(turn).__name__}")
    said, content = _first(turn, ("role", "from")), _first(turn, ("content", "value"))
    role = _ROLES.get(said.lower()) if isinstance(said, str) else None
    if role is None:
        raise RefusedRow("unknown role", repr(said))
    if isinstance(content, list):
        content = "".join(_part(part) for part in content)
    if not isinstance(content, str | None):
        raise RefusedRow("wrong type", f"the content of a message is {type(content).__name__}")
    return Message(role, content or "")


def _part(part: object) -> str:
    """Return the text of one part of a message that is a list of parts."""
    if isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    raise RefusedRow("wrong type", "a part of a message is not a text")


def _check_turns(messages: Sequence[Message]) -> None:
    """Refuse a conversation without an answer, or with an answer before the first question."""
    said = [message.role for message in messages if message.content.strip()]
    if "assistant" not in said:
        has_turn = any(message.role == "assistant" for message in messages)
        raise RefusedRow("empty answer" if has_turn else "no answer")
    if "user" not in said[: said.index("assistant")]:
        raise RefusedRow("no question")


def _check_unicode(content: Content) -> None:
    """Refuse halves of surrogate pairs, which no tokenizer accepts."""
    try:
        for message in content.messages:
            message.content.encode()
    except UnicodeEncodeError as error:
        raise RefusedRow("not Unicode", str(error)) from None
