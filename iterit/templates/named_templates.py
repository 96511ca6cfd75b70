"""Returns a template by its name: the tokenizer's own for chats, or Alpaca's plain one for base models."""

from typing import TYPE_CHECKING

from debias.errors import ParameterError, RecordsError
from debias.settings import check_choice
from iterit.records.chat_messages import Message
from iterit.records.instruction_records import Record
from iterit.records.record_formats import ALPACA_OPENINGS
from iterit.templates.chat_template import ChatTemplate
from iterit.templates.template import Borders, Template, answered_places

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TEMPLATES = ("auto", "chat", "alpaca")


class AlpacaTemplate(Template):
    """The plain template of Alpaca, for base models without a chat template.

    A system message takes the place of the opening sentence; later turns follow after an empty line.
    Every answer ends with the tokenizer's end-of-text token.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase

    Raises
    ------
    ParameterError
        The tokenizer has no end-of-text token.
    """

    name = "alpaca"
    opening = "### Response:\n"

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        super().__init__(tokenizer)
        self.ending = tokenizer.eos_token or ""
        if not self.ending:
            allowed = "a tokenizer with an end-of-text token (eos_token)"
            raise ParameterError(parameter="tokenizer", received=tokenizer, allowed=allowed)

    @property
    def _words(self) -> object:
        return [*ALPACA_OPENINGS, self.opening, self.ending]

    def layout(self, record: Record) -> tuple[str, list[Borders]]:
        """Return the text of a record with plain headings, and the places of its answers."""
        last = answered_places(record.messages)[-1]
        asked = max(n for n, message in enumerate(record.messages) if message.role == "user")
        self._check_plain(record)
        system = [m.content for m in record.messages if m.role == "system"]
        text = "\n".join(system) or ALPACA_OPENINGS[bool(record.input.strip())]
        borders = []
        for place, message in enumerate(record.messages[: last + 1]):
            if message.role == "user":
                text += f"\n\n{self._question(record if place == asked else None, message)}"
            elif message.role == "assistant":
                opening, start = len(text) + 2, len(text) + 2 + len(self.opening)
                text += f"\n\n{self.opening}{message.content}{self.ending}"
                if message.is_answer and message.is_trained:
                    borders.append(Borders(opening, start, len(text)))
        return text, borders

    def _check_plain(self, record: Record) -> None:
        """Refuse a record that says more than texts."""
        for place, message in enumerate(record.messages):
            found = "a tool" if message.role == "tool" or message.tool_calls else ""
            if found := found or ("a thought" if message.thoughts else ""):
                problem = f"the plain template has no place for {found} (message {place})"
                raise RecordsError(problem, row=record.row, fix="omit it, or use a chat template")
        if record.tools:
            problem = "the plain template has no place for tools"
            raise RecordsError(problem, row=record.row, fix="omit it, or use a chat template")

    def _question(self, record: Record | None, message: Message) -> str:
        """Return a question under its heading; the input of the record has a heading of its own."""
        if record is None or not record.input.strip():
            return f"### Instruction:\n{message.content}"
        return f"### Instruction:\n{record.instruction}\n\n### Input:\n{record.input}"


def template_for(tokenizer: "PreTrainedTokenizerBase", name: str = "auto") -> Template:
    r"""Return the template for a tokenizer.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
    name : {"auto", "chat", "alpaca"}, default="auto"
        The tokenizer's chat template, or Alpaca's plain one; "auto" is the former where there is one.

    Raises
    ------
    ParameterError
        The name is unknown, or the template is not usable with the tokenizer.

    Examples
    --------
    >>> from debias.inference.models.loading import load_tokenizer  # doctest: +SKIP
    >>> template = template_for(load_tokenizer("demo"))  # doctest: +SKIP
    >>> records = Records.from_rows([{"question": "1 + 1?", "answer": "2"}])  # doctest: +SKIP
    >>> template.turns(records[0])[0].opening, template.turns(records[0])[0].answer  # doctest: +SKIP
    ('<|im_start|>assistant\n', '2<|im_end|>')
    >>> template_for(None, "plain")
    Traceback (most recent call last):
    debias.errors.ParameterError: template must be one of 'auto', 'chat', 'alpaca', got 'plain'.
    """
    check_choice("template", name, TEMPLATES)
    if name == "auto":
        name = "chat" if getattr(tokenizer, "chat_template", None) else "alpaca"
    return ChatTemplate(tokenizer) if name == "chat" else AlpacaTemplate(tokenizer)
