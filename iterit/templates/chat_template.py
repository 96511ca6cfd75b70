"""Reads the chat template of a tokenizer as turns: where each answer begins and ends."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from debias.errors import ParameterError, RecordsError, param
from iterit.records.instruction_records import Record
from iterit.templates.template import Borders, Template, answered_places

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MARK = "\ue000"  # marks the place of an answer: a private character
_ALPACA = param("template", "'alpaca'")


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
        asked = [{"role": "user", "content": "?"}]
        before, asking = self._render(asked), self._render(asked, is_asking=True)
        done = self._render([*asked, {"role": "assistant", "content": _MARK}])
        if not done.startswith(before) or _MARK not in done:
            raise _unusable("the tokenizer's chat template changes a question when it is answered")
        self.opening = os.path.commonprefix([asking, done])[len(before) :]
        after = done[done.index(_MARK) + len(_MARK) :]
        self.ending = after.rstrip()
        self._n_trailing = len(after) - len(self.ending)
        self._find_leading(done)

    def _render(self, messages: Sequence[dict[str, str]], is_asking: bool = False) -> str:
        """Return the text of a conversation."""
        return str(
            self.tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=is_asking
            )
        )

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
        from jinja2 import TemplateError

        answers = answered_places(record.messages)
        messages = [{"role": m.role, "content": m.content} for m in record.messages[: answers[-1] + 1]]
        try:
            whole = self._render(messages)
            borders = [self._borders(messages, place, whole) for place in answers]
        except (TemplateError, TypeError, ValueError) as error:
            problem = f"the tokenizer's chat template cannot render the record: {error}"
            fix = f"omit it, or use {_ALPACA}"
            raise RecordsError(problem, row=record.row, fix=fix) from error
        n_stripped = len(self._stripped)
        moved = [Borders(*(place - n_stripped for place in one)) for one in borders]
        return whole[n_stripped : borders[-1].stop], moved

    def _borders(self, messages: Sequence[dict[str, str]], place: int, whole: str) -> Borders:
        """Return the place of an answer: from the text rendered without it to the text rendered with it."""
        before = self._render(messages[:place])
        start = len(before) + len(self.opening)
        if not whole.startswith(before + self.opening):
            raise ValueError(f"the text before message {place} is changed by what follows")
        rendered = whole if place == len(messages) - 1 else self._render(messages[: place + 1])
        if whole.startswith(rendered):
            stop = len(rendered) - self._n_trailing
        else:  # some templates put thoughts into the last answer only
            content = messages[place]["content"]
            answers = [text + self.ending for text in (content, content.strip())]
            found = [answer for answer in answers if whole.startswith(answer, start)]
            if not found:
                raise ValueError(f"message {place} is changed by what follows")
            stop = start + len(found[0])
        return Borders(len(before), start, stop)


def _unusable(problem: str) -> ParameterError:
    return ParameterError(problem, parameter="tokenizer", fix=f"use {_ALPACA}")
