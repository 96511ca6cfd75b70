"""The chat template that comes with a tokenizer, read as turns: where each answer begins and ends."""

import os
from collections.abc import Sequence
from typing import Any

from debias.errors import ParameterError, RecordsError
from iterit.records.instruction_records import Record
from iterit.templates.template import Borders, Template, answered_places

_MARK = "\ue000"  # stands for an answer, in no text of anyone's


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

    def __init__(self, tokenizer: Any) -> None:
        super().__init__(tokenizer)
        if not getattr(tokenizer, "chat_template", None):
            raise ParameterError("the tokenizer has no chat template; use the template 'alpaca'")
        asked = [{"role": "user", "content": "?"}]
        before, asking = self._render(asked), self._render(asked, add_generation_prompt=True)
        done = self._render([*asked, {"role": "assistant", "content": _MARK}])
        if not done.startswith(before) or _MARK not in done:
            raise ParameterError(
                "the tokenizer's chat template changes a question when it is answered; use the template"
                " 'alpaca'"
            )
        self.opening = os.path.commonprefix([asking, done])[len(before) :]
        after = done[done.index(_MARK) + len(_MARK) :]
        self.ending = after.rstrip()
        self._n_trailing = len(after) - len(self.ending)
        self._find_leading(done)

    def _render(self, messages: Sequence[dict[str, str]], **options: Any) -> str:
        """Text of a conversation, as the template has it."""
        return str(self.tokenizer.apply_chat_template(list(messages), tokenize=False, **options))

    def _find_leading(self, done: str) -> None:
        """Know the token that opens every text, whether the tokenizer adds it or the template."""
        added = "".join(self.tokenizer.convert_ids_to_tokens(self._leading))
        own = self.tokenizer.bos_token or ""
        self._stripped = ""
        if added and done.startswith(added):
            self._stripped = added
        elif own and not added and done.startswith(own) and not self.opening.startswith(own):
            self._stripped = self._before = own
            self._leading = [int(self.tokenizer.bos_token_id)]

    @property
    def _words(self) -> Any:
        return self.tokenizer.chat_template

    def layout(self, record: Record) -> tuple[str, list[Borders]]:
        """Return the text of a record as the chat template has it, and where its answers are."""
        from jinja2 import TemplateError

        answers = answered_places(record.messages)
        messages = [{"role": m.role, "content": m.content} for m in record.messages[: answers[-1] + 1]]
        try:
            whole = self._render(messages)
            borders = [self._borders(messages, place, whole) for place in answers]
        except (TemplateError, TypeError, ValueError) as error:
            raise RecordsError(
                f"record {record.row}: the tokenizer's chat template cannot take it: {error}; leave it out,"
                " or use the template 'alpaca'"
            ) from error
        n_stripped = len(self._stripped)
        moved = [Borders(*(place - n_stripped for place in one)) for one in borders]
        return whole[n_stripped : borders[-1].stop], moved

    def _borders(self, messages: Sequence[dict[str, str]], place: int, whole: str) -> Borders:
        """Where an answer is: after what is rendered without it, up to what is rendered with it."""
        before = self._render(messages[:place])
        start = len(before) + len(self.opening)
        if not whole.startswith(before + self.opening):
            raise ValueError(f"what stands before message {place} is changed by what follows")
        rendered = whole if place == len(messages) - 1 else self._render(messages[: place + 1])
        if whole.startswith(rendered):
            stop = len(rendered) - self._n_trailing
        else:  # some templates put thoughts into the last answer only
            content = messages[place]["content"]
            said = next(
                (one for one in (content, content.strip()) if whole.startswith(one + self.ending, start)),
                None,
            )
            if said is None:
                raise ValueError(f"message {place} is changed by what follows")
            stop = start + len(said + self.ending)
        return Borders(len(before), start, stop)
