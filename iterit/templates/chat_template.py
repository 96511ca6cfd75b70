"""Reads the chat template of a tokenizer as turns: where each answer begins and ends.

What the template leaves out of a record (tools, thoughts, a role it does not know) refuses the record.
"""

import datetime
import json
import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from debias.errors import DebiasWarning, ParameterError, RecordsError, param
from iterit.records.chat_messages import Message
from iterit.records.instruction_records import Record
from iterit.templates.rendered_texts import ChatMessages, RenderedTexts, Tools, rendering_errors
from iterit.templates.template import Borders, Template, answered_places

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MARK = "\ue000"  # marks the place of an answer: a private character
_ALPACA = param("template", "'alpaca'")
_DAY = datetime.date(2024, 7, 26)
"""The day that a template is told which states today's: tokens must not change while a run is interrupted."""


class ChatTemplate(Template):
    """The chat template of a tokenizer.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase

    Raises
    ------
    ParameterError
        The tokenizer has no chat template, or none that can be read as turns.
    """

    name = "chat"

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        super().__init__(tokenizer)
        if not getattr(tokenizer, "chat_template", None):
            raise _unusable("the tokenizer has no chat template")
        self._rendered = RenderedTexts()
        self._in_parts, self._tail, self._end_within, self._opening_within = False, "", "", ""
        is_dated = "strftime_now" in str(tokenizer.chat_template)
        self._days: dict[str, Any] = {"strftime_now": _DAY.strftime} if is_dated else {}
        try:
            self._find_turns()
        except ParameterError:
            raise
        except rendering_errors() as error:
            raise _unusable(
                f"the tokenizer's chat template cannot render a question and its answer: {error}"
            ) from error
        if not (self.ending or self._tail):
            warnings.warn(
                "the tokenizer's chat template puts no token after an answer, so training does not teach the"
                f" model to end one; add its end-of-text token to the template, or use {_ALPACA}.",
                DebiasWarning,
                stacklevel=4,
            )

    def _find_turns(self) -> None:
        """Find what opens an answer and what ends it, by a question and its answer."""
        asked: ChatMessages = [{"role": "user", "content": "?"}]
        answered: ChatMessages = [*asked, {"role": "assistant", "content": _MARK}]
        self._in_parts = self._takes_parts(answered)
        done = self._render(answered)
        self._tail = self._end_of_last(self._render(asked), done) or self._end_of_last(
            done, self._render([*answered, *asked])
        )
        before, done = self._render(asked), self._render(answered)
        asking = self._render(asked, is_asking=True)
        if not done.startswith(before) or _MARK not in done:
            raise _unusable("the tokenizer's chat template changes a question when it is answered")
        self.opening = os.path.commonprefix([asking, done])[len(before) :]
        self._opening_within = self._opening_before(asked, answered)
        after = done[done.index(_MARK) + len(_MARK) :]
        self.ending = after.rstrip()
        self._n_trailing = len(after) - len(self.ending)
        if self._tail and not self.ending:
            self._end_within = self._end_before(asked, answered)
        self._find_leading(done)

    def _opening_before(self, asked: ChatMessages, answered: ChatMessages) -> str:
        """Return what opens an answer that a question follows, where only the last one opens a thought."""
        try:
            before, said = self._render(asked), self._render([*answered, *asked])
        except rendering_errors():  # some templates insist on turns
            return self.opening
        opening = said.partition(_MARK)[0].removeprefix(before)
        return opening if said.startswith(before) and self.opening.startswith(opening) else self.opening

    def _takes_parts(self, answered: ChatMessages) -> bool:
        """Tell whether the template walks over the parts of a content, and omits or refuses a text."""
        try:
            return _MARK not in self._render(answered)
        except rendering_errors():
            return True

    def _end_before(self, asked: ChatMessages, answered: ChatMessages) -> str:
        """Return what ends an answer that a question follows, where the last answer has an end of its own."""
        try:
            question = self._render([*asked, *asked]).removeprefix(self._render(asked))
        except rendering_errors():  # some templates insist on turns
            return ""
        after = self._render([*answered, *asked]).rpartition(_MARK)[2]
        return after.removesuffix(question).rstrip() if question and after.endswith(question) else ""

    def _render(self, messages: ChatMessages, is_asking: bool = False, tools: Tools = ()) -> str:
        """Return the text of a conversation, without what stands after the last message of any."""
        if self._in_parts:
            messages = [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in messages]
        text = str(
            self.tokenizer.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=is_asking,
                tools=list(tools) or None,
                **self._days,
            )
        )
        return text.removesuffix(self._tail)

    def _end_of_last(self, short: str, long: str) -> str:
        """Return what stands after the last message only, from a conversation and a longer one.

        It is the shortest end without which the short text opens the long one, and with a special token
        at its beginning, or shared by both.
        """
        if long.startswith(short):
            return ""
        least = len(short) - len(os.path.commonprefix([short, long]))
        ends = [end for place in range(len(short) - least + 1) if _MARK not in (end := short[place:])][::-1]
        special = tuple(token for token in self.tokenizer.all_special_tokens if token)
        shared = (end for end in ends if long.endswith(end))
        return next((end for end in ends if end.startswith(special)), next(shared, ""))

    def _find_leading(self, done: str) -> None:
        """Find the token that opens every text, whether the tokenizer adds it or the template."""
        added = "".join(self.tokenizer.convert_ids_to_tokens(self._leading))
        own = self.tokenizer.bos_token or ""
        self._stripped = ""
        if added and done.startswith(added):
            self._stripped = added
        elif own and not added and done.startswith(own) and not self.opening.startswith(own):
            self._stripped = self._before = own
            self._leading = [int(self.tokenizer.bos_token_id)]

    @property
    def _words(self) -> object:
        return self.tokenizer.chat_template

    def layout(self, record: Record) -> tuple[str, list[Borders]]:
        """Return the text of a record in the chat template, and the places of its answers."""
        answers = answered_places(record.messages)
        said = record.messages[: answers[-1] + 1]
        messages = [_for_template(message) for message in said]

        def render(messages: ChatMessages, tools: Tools = record.tools) -> str:
            try:
                return self._render(messages, tools=tools)
            except rendering_errors():
                if not any("tool_calls" in message for message in messages):
                    raise
                return self._render([_with_text_arguments(one) for one in messages], tools=tools)

        try:
            whole = render(messages)
            borders = [self._borders(messages, place, whole, render) for place in answers]
            self._rendered.check(messages, record.tools, whole, render)
        except rendering_errors() as error:
            problem = f"the tokenizer's chat template cannot render the record: {error}"
            fix = f"omit it, or use {_ALPACA}"
            raise RecordsError(problem, row=record.row, fix=fix) from error
        n_stripped = len(self._stripped)
        moved = [Borders(*(place - n_stripped for place in one)) for one in borders]
        end = "" if self.ending else self._tail
        moved[-1] = moved[-1]._replace(stop=moved[-1].stop + len(end))
        return whole[n_stripped : borders[-1].stop] + end, moved

    def _borders(
        self, messages: ChatMessages, place: int, whole: str, render: Callable[[ChatMessages], str]
    ) -> Borders:
        """Return the place of an answer: from the text rendered without it to the text rendered with it."""
        before = render(messages[:place])
        opening = self._opened(whole, len(before)) if whole.startswith(before) else None
        if opening is None:
            return self._borders_by_marks(messages, place, whole, render)
        start = len(before) + len(opening)
        rendered = whole if place == len(messages) - 1 else render(messages[: place + 1])
        if whole.startswith(rendered):
            n_space = len(rendered) - len(rendered.rstrip())
            stop = len(rendered) - min(self._n_trailing, n_space)
            stop += len(self._end_within) if whole.startswith(self._end_within, stop) else 0
        else:  # some templates put thoughts into the last answer only
            content = messages[place]["content"]
            answers = [text + self.ending for text in (content, content.strip())]
            found = [answer for answer in answers if whole.startswith(answer, start)]
            if not found:
                return self._borders_by_marks(messages, place, whole, render)
            stop = start + len(found[0])
        return Borders(len(before), start, stop)

    def _opened(self, whole: str, place: int) -> str | None:
        """Return the opening of an answer that stands at a place of a text, None where none does."""
        openings = (self.opening, self._opening_within)
        return next((one for one in openings if whole.startswith(one, place)), None)

    def _borders_by_marks(
        self, messages: ChatMessages, place: int, whole: str, render: Callable[[ChatMessages], str]
    ) -> Borders:
        """Return the place of an answer whose turn, and those before it, change when a question follows.

        It begins where a mark in its place stands in the whole text, and ends at the last ending before the
        text of the next message.
        """
        start = _place_of_mark(messages, place, whole, render)
        following = _place_of_mark(messages, place + 1, whole, render)
        openings = (self.opening, self._opening_within)
        opening = next((one for one in openings if whole.endswith(one, 0, start)), None)
        stop = whole.rfind(self.ending, start, following) + len(self.ending)
        if opening is None or not (0 < start < stop and self.ending):
            raise ValueError(f"message {place}, or the text before it, is changed by what follows")
        return Borders(start - len(opening), start, stop)


def _place_of_mark(
    messages: ChatMessages, place: int, whole: str, render: Callable[[ChatMessages], str]
) -> int:
    """Return where the text of a message begins in the text of all, 0 where it is not known."""
    if place >= len(messages):
        return 0
    marked = [*messages[:place], {**messages[place], "content": _MARK}, *messages[place + 1 :]]
    before, mark, _ = render(marked).partition(_MARK)
    return len(before) if mark and whole.startswith(before) else 0


def _for_template(message: Message) -> dict[str, Any]:
    """Return a message as chat templates take it."""
    calls = {"tool_calls": list(message.tool_calls)} if message.tool_calls else {}
    return {"role": message.role, "content": message.content, **message.others, **calls}


def _with_text_arguments(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message with the arguments of its calls as JSON, for templates that add them to a text."""
    calls = []
    for call in message.get("tool_calls", ()):
        given = call["function"]["arguments"]
        text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        calls.append({**call, "function": {**call["function"], "arguments": text}})
    return {**message, "tool_calls": calls} if calls else message


def _unusable(problem: str) -> ParameterError:
    return ParameterError(problem, parameter="tokenizer", fix=f"use {_ALPACA}")
