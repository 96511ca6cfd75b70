"""Parses the messages of a conversation in the spellings of the usual data sets.

Roles are system, user, assistant and tool. A message also carries the calls of tools and the thoughts
that a chat template renders, and whether it is trained.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from debias.rows.json_rows import to_json
from iterit.records.row_fields import Fields, RefusedRow, flag, is_empty, parsed, written

_ROLES = {
    name: role
    for role, names in {
        "system": ("system", "developer"),
        "user": ("user", "human", "prompter", "question", "instruction", "input", "prompt"),
        "assistant": (
            "assistant", "gpt", "chatgpt", "model", "bot", "ai", "bing", "bard", "claude", "answer",
            "response", "output",
        ),
        "tool": ("tool", "observation", "function", "tool_response", "function_response", "ipython"),
        "call": ("function_call", "tool_call"),
    }.items()
    for name in names
}  # fmt: skip
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""Names of the thoughts before an answer."""
_NAMES = ("name", "tool_call_id")
_TRAINED = ("weight", "train", "training", "trainable", "loss", "loss_weight", "loss_mask")
_TEXT_PARTS = ("text", "input_text", "output_text")
_MEDIA_FIELD = re.compile(r"(image|img|video|audio)(?P<many>s|_?(url|path|file|bytes|base64)s?)?")
_MEDIA_TEXT = re.compile(
    r"data:[\w.+-]+/|[a-z][a-z0-9+.-]*://|[a-z0-9+/_-]{100,}=*\Z"
    r"|[^?#]*\.(png|jpe?g|webp|gif|bmp|tiff?|heic|heif|avif|svg|ico|mp[34]|m4[av]|mpe?g|wav|flac|ogg|opus|aac"
    r"|avi|mov|mkv|webm|wmv|flv)([?#]|\Z)"
)
_MEDIA = ("image", "image_url", "input_image", "audio", "input_audio", "video", "file")


@dataclass(frozen=True)
class Message:
    """One message of a conversation.

    Parameters
    ----------
    role : {"system", "user", "assistant", "tool"}
    content : str
    is_trained : bool, default=True
        Whether an answer counts: False for one that the data keep out of training, and for a greeting
        before the first question.
    tool_calls : tuple of dict
        Calls of tools that are part of an answer, as ``{"type": "function", "function": {...}}``.
    others : mapping
        Thoughts and names that go to the chat template, by their usual names.
    """

    role: str
    content: str
    is_trained: bool = True
    tool_calls: tuple[Mapping[str, object], ...] = ()
    others: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_answer(self) -> bool:
        """Whether the assistant says something here, or calls a tool."""
        return self.role == "assistant" and (bool(self.content.strip()) or bool(self.tool_calls))

    @property
    def said(self) -> str:
        """The content, with calls of tools as JSON after it."""
        return "\n".join([self.content, *map(to_json, self.tool_calls)]) if self.tool_calls else self.content

    @property
    def thoughts(self) -> list[str]:
        """The thoughts before an answer."""
        return [str(self.others[name]) for name in THOUGHTS if name in self.others]


def read_turns(turns: object, unread: set[str]) -> tuple[Message, ...]:
    """Read the messages of a conversation: a list of messages, of pairs, or of texts in turn.

    Parameters
    ----------
    turns : object
        A list, or a text that holds one.
    unread : set of str
        Receives the fields of messages that are not read.

    Raises
    ------
    RefusedRow
        It is no conversation.

    Examples
    --------
    >>> read_turns([["Hi", "Hello"]], set()) == read_turns(["Hi", "Hello"], set())
    True
    """
    turns = parsed(turns)
    if turns is None:
        raise RefusedRow("no answer", "no messages")
    if not isinstance(turns, list | tuple):
        raise RefusedRow("wrong type", f"messages are {type(turns).__name__}")
    if len(turns) > 1 and len(turns) % 2 == 0 and all(isinstance(turn, str) for turn in turns):
        turns = [turns[place : place + 2] for place in range(0, len(turns), 2)]
    return tuple(message for turn in with_roles(turns) for message in _messages(turn, unread))


def with_roles(turns: Sequence[object]) -> Sequence[object]:
    """Return turns as they are, or as messages where each is a pair of a role and a text.

    Pairs of a question and its answer do not all begin with the name of a role.

    Examples
    --------
    >>> with_roles([["user", "Hi"], ["bot", "Hello"]])
    [{'role': 'user', 'content': 'Hi'}, {'role': 'bot', 'content': 'Hello'}]
    >>> with_roles([["user", "Hi"], ["Who?", "Me"]])
    [['user', 'Hi'], ['Who?', 'Me']]
    """
    pairs = [turn for turn in turns if isinstance(turn, list | tuple) and len(turn) == 2]
    roles = {_role(pair[0]) for pair in pairs}
    if len(pairs) < len(turns) or None in roles or not {"user", "assistant"} <= roles:
        return turns
    return [dict(zip(("role", "content"), pair, strict=True)) for pair in pairs]


def _role(said: object) -> str | None:
    """Return the role that a name means; None where it is none."""
    return _ROLES.get(said.strip().lower()) if isinstance(said, str) else None


def _messages(turn: object, unread: set[str]) -> list[Message]:
    """Read one message, or a question with its answer."""
    if isinstance(turn, list | tuple) and len(turn) == 2:
        pair = [written(text, "a text of a pair") or "" for text in turn]
        return [Message("user", pair[0]), Message("assistant", pair[1])]
    if not isinstance(turn, Mapping):
        raise RefusedRow("wrong type", f"a message is {type(turn).__name__}")
    fields = Fields(turn)
    said = fields.first("role", "from")
    if said is None and not ({"role", "from"} & {str(name).lower() for name in turn}):
        return _named_by_role(fields, unread)
    role = _role(said)
    if role is None:
        raise RefusedRow("unknown role", repr(said))
    content = _content(fields, role, unread)
    calls = _calls(fields.first("tool_calls"), fields.first("function_call"))
    if role == "call":
        if not (calls := _calls(content)):
            raise _no_call(content)
        role, content = "assistant", ""
    message = _carrying(Message(role, content, tool_calls=calls), fields)
    _note_unread(fields, [message], unread)
    return [message]


def _carrying(message: Message, fields: Fields) -> Message:
    """Return a message with whether it is trained, and with thoughts and names."""
    carried: dict[str, object] = {name: _thought(fields, name) for name in THOUGHTS}
    carried |= {name: fields.first(name) for name in _NAMES}
    others = {name: value for name, value in carried.items() if not is_empty(value)}
    if "name" in others and message.role != "tool":  # hardly a template says who speaks
        fields.give_back("name")
    return replace(message, is_trained=_is_trained(fields, message.role), others=others)


def _thought(fields: Fields, name: str) -> str | None:
    """Return a thought; a switch of that name is none, and stays unread."""
    if isinstance(value := fields.first(name), bool):
        fields.give_back(name)
        return None
    return None if is_empty(value) else written(value, name)


def _note_unread(fields: Fields, messages: Sequence[Message], unread: set[str]) -> None:
    """Add the fields of a turn that were not read; media are refused."""
    refuse_media(fields, messages)
    unread |= {f"messages.{name}" for name in fields.unread}


def refuse_media(fields: Fields, messages: Sequence[Message]) -> None:
    """Raise RefusedRow where a field that was not read refers to an image, a video or a sound.

    Examples
    --------
    >>> refuse_media(Fields({"image": "a red house"}), [])
    >>> refuse_media(Fields({"image": "https://a.b/c?size=1"}), [])
    Traceback (most recent call last):
    iterit.records.row_fields.RefusedRow: has images or other media
    """
    has_place = any("<image>" in message.content for message in messages)
    media = [name for name, value in fields.left.items() if _is_media(name, value, has_place)]
    if media:
        raise RefusedRow("has images or other media", ", ".join(media))


def _is_media(name: str, value: object, has_place: bool) -> bool:
    """Tell whether a field refers to an image, a video or a sound."""
    found = _MEDIA_FIELD.fullmatch(name)
    if found is None:
        return False
    is_place = isinstance(value, str) and bool(_MEDIA_TEXT.match(value.strip().lower()))
    return found["many"] is not None or has_place or is_place or isinstance(value, Mapping | list)


def _named_by_role(fields: Fields, unread: set[str]) -> list[Message]:
    """Read a turn such as {"human": "Hi", "assistant": "Hello"}: fields are named by roles."""
    order = ("system", "user", "tool", "assistant")
    found = [
        Message(role, text)
        for role in order
        for name in (name for name, one in _ROLES.items() if one == role and name in fields)
        if (text := fields.text(name)) is not None and (text.strip() or role in ("user", "assistant"))
    ]
    filled = {message.role for message in found if message.content.strip()}
    found = [one for one in found if one.content.strip() or one.role not in filled]
    if [message.role for message in found if message.role != "system"] != ["user", "assistant"]:
        raise RefusedRow("unknown role", "a message without a role")
    calls = _calls(fields.first("tool_calls"), fields.first("function_call"))
    found[-1] = _carrying(replace(found[-1], tool_calls=calls), fields)
    _note_unread(fields, found, unread)
    return found


def _content(fields: Fields, role: str, unread: set[str]) -> str:
    """Return the text of a message, which may be a list of parts."""
    content = fields.first("content", "value", "text")
    if isinstance(content, list | tuple):
        return "".join(_part(part, role, unread) for part in content)
    return written(content, "the content of a message") or ""


def _part(part: object, role: str, unread: set[str]) -> str:
    """Return the text of one part of a message that is a list of parts."""
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping):
        if part.get("type") in _MEDIA:
            raise RefusedRow("has images or other media", str(part["type"]))
        if part.get("type") in _TEXT_PARTS and isinstance(part.get("text"), str):
            for name in part.keys() - {"type", "text"}:
                if name in _TRAINED and role == "assistant" and flag(part[name]) is False:
                    raise RefusedRow(
                        "wrong type", f"a part of an answer has {name}: it is trained as a whole"
                    )
                if not is_empty(part[name]):
                    unread.add(f"messages.content.{name}")
            return str(part["text"])
    raise RefusedRow("wrong type", "a part of a message is not a text")


def _calls(*given: object) -> tuple[Mapping[str, object], ...]:
    """Return calls of tools in the form that chat templates take: arguments as a mapping."""
    calls = []
    for value in map(parsed, given):
        for call in value if isinstance(value, list | tuple) else [value]:
            if is_empty(call):
                continue
            function = call.get("function", call) if isinstance(call, Mapping) else call
            if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
                raise _no_call(call)
            arguments = parsed(function.get("arguments"))
            inner = {**function, "arguments": {} if arguments in (None, "") else arguments}
            name = call.get("id") if isinstance(call, Mapping) and function is not call else None
            kept = {"id": name} if name else {}
            calls.append({**kept, "type": "function", "function": inner})
    return tuple(calls)


def _no_call(value: object) -> RefusedRow:
    return RefusedRow("wrong type", f"a call of a tool must have a name, got {value!r}")


def _is_trained(fields: Fields, role: str) -> bool:
    """Tell whether a message may be trained; where a user's message is to be, the field counts as unread."""
    kept = True
    for name in _TRAINED:
        value = fields.first(name)
        if value is None:
            continue
        if (is_kept := flag(value)) is None:
            raise RefusedRow("wrong type", f"{name} of a message must be 0 or 1, got {value!r}")
        if role == "assistant":
            kept = kept and is_kept
        elif is_kept:
            fields.give_back(name)
    return kept


def read_tools(value: object) -> tuple[dict[str, object], ...]:
    """Read descriptions of tools: a list, or a text of JSON, of mappings.

    Raises
    ------
    RefusedRow
        They are something else.

    Examples
    --------
    >>> read_tools('[{"name": "weather"}]')
    ({'type': 'function', 'function': {'name': 'weather'}},)
    """
    value = parsed(value)
    listed = value if isinstance(value, list | tuple) else [value]
    tools = [parsed(tool) for tool in listed if not is_empty(tool)]
    if not all(isinstance(tool, Mapping) for tool in tools):
        raise RefusedRow("wrong type", f"tools must be a list of objects, got {value!r}")
    return tuple(
        {"type": "function", "function": tool} if "name" in tool and "function" not in tool else dict(tool)
        for tool in tools
        if isinstance(tool, Mapping)
    )


def in_training(messages: Sequence[Message]) -> list[Message]:
    """Return the answers that are trained."""
    return [message for message in messages if message.is_answer and message.is_trained]
