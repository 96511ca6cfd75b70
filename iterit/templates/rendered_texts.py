"""Checks that a chat template renders all that a record says, each text at its own place.

A rendering with a mark in place of every text is the outline; with the texts put back it must be the
rendering of the record, white space aside. Looking for a text in the whole would find it elsewhere, too.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from iterit.records.chat_messages import THOUGHTS

ChatMessages = list[dict[str, Any]]
Tools = Sequence[dict[Any, Any]]
Render = Callable[..., str]

_MOST_OUTLINES = 1024
_MARK = re.compile("\ue001([0-9]+)\ue002")  # private characters


class RenderedTexts:
    """What a template renders; outlines of plain conversations are kept by their roles."""

    def __init__(self) -> None:
        self._outlines: dict[tuple[tuple[str, str], ...], list[str]] = {}

    def check(self, messages: ChatMessages, tools: Tools, whole: str, render: Render) -> None:
        """Raise ValueError where a template leaves out something that a record says.

        Parameters
        ----------
        messages : list of dict
            As the template takes them.
        tools : sequence of dict
        whole : str
            What the template made of them.
        render : callable
            Renders messages, with these tools or with others.

        Examples
        --------
        >>> chat = [{"role": "tool", "content": "3 degrees"}, {"role": "user", "content": "3 degrees?"}]
        >>> def render(messages, tools=()):
        ...     return "".join(f"Q: {one['content']}" for one in messages if one["role"] == "user")
        >>> RenderedTexts().check(chat[1:], (), render(chat[1:]), render)
        >>> RenderedTexts().check(chat, (), render(chat), render)
        Traceback (most recent call last):
        ValueError: it omits a text of message 0 (tool)
        """
        texts = [
            (place, name)
            for place, message in enumerate(messages)
            for name in ("content", *THOUGHTS)
            if str(message.get(name, "")).strip()
        ]
        if not self._is_filled_outline(messages, tools, texts, whole, render):
            closed = _closed(whole)
            for place, name in texts:
                if not _is_at_its_place(messages, place, name, closed, render):
                    raise ValueError(f"it omits a text of message {place} ({messages[place]['role']})")
        for place, message in enumerate(messages):
            if "tool_calls" in message and render(_with(messages, place, tool_calls=[])) == whole:
                raise ValueError(f"it omits the calls of tools in message {place}")
        if tools and render(messages, ()) == whole:
            raise ValueError("it omits the tools")

    def _is_filled_outline(
        self, messages: ChatMessages, tools: Tools, texts: list[tuple[int, str]], whole: str, render: Render
    ) -> bool:
        """Tell whether the outline with the texts put back is the whole, and has a place for each."""
        marked = [dict(message) for message in messages]
        for number, (place, name) in enumerate(texts):
            marked[place][name] = f"\ue001{number}\ue002"
        is_plain = not tools and all(len(message) == 2 for message in messages)
        key = tuple((message["role"], message["content"]) for message in marked) if is_plain else ()
        parts = self._outlines.get(key)
        if parts is None:
            parts = _MARK.split(_rendered(marked, render))
            if is_plain:
                if len(self._outlines) >= _MOST_OUTLINES:
                    self._outlines.clear()
                self._outlines[key] = parts
        numbers = [int(part) for part in parts[1::2]]
        if set(numbers) != set(range(len(texts))):
            return False
        said = [str(messages[place][name]) for place, name in texts]
        filled = [*parts]
        filled[1::2] = [said[number] for number in numbers]
        joined = "".join(filled)
        return joined == whole or _closed(joined) == _closed(whole)


def _is_at_its_place(messages: ChatMessages, place: int, name: str, closed: str, render: Render) -> bool:
    """Tell whether one text is rendered where a mark in its place is."""
    said, mark = str(messages[place][name]), "\ue0010\ue002"
    text, quoted = _closed(said), _closed(json.dumps(said, ensure_ascii=False)[1:-1])
    around = _closed(_rendered(_with(messages, place, **{name: mark}), render))
    before, after = around.partition(mark)[0], around.rpartition(mark)[2]
    if around and mark not in around:
        return False
    if around and closed.startswith(before) and closed[len(before) :].endswith(after):
        own = closed[len(before) : len(closed) - len(after)]
        return text in own or quoted in own  # some templates write what a tool says as JSON
    return text in closed  # what stands around it depends on the text


def _rendered(messages: ChatMessages, render: Render) -> str:
    """Return what messages with marks become; "" where the template refuses marks."""
    try:
        return render(messages)
    except rendering_errors():
        return ""


def rendering_errors() -> tuple[type[Exception], ...]:
    """Return what a template raises at messages, or at tools, that it does not take."""
    from jinja2 import TemplateError

    return TemplateError, TypeError, ValueError, LookupError, AttributeError


def _with(messages: ChatMessages, place: int, **fields: object) -> ChatMessages:
    """Return messages, one of them with other fields; an empty one is omitted."""
    changed = {name: value for name, value in {**messages[place], **fields}.items() if value != []}
    return [*messages[:place], changed, *messages[place + 1 :]]


def _closed(text: str) -> str:
    return "".join(text.split())
