"""Nothing that a record says is left out by a template, also where the same text stands elsewhere."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.errors import RecordsError
from iterit.records.chat_messages import Message
from iterit.records.instruction_records import Record, Records
from iterit.templates.named_templates import template_for
from tests.support.refusals import refused
from tests.support.small_templates import (
    CHATML,
    HEADERS,
    ONE_SYSTEM,
    PARTS,
    QUOTING,
    ROLES_KNOWN,
    STRIPPED_THOUGHTS,
    TOOLS,
    chat_tokenizer,
)

WHOLE = {
    name: template_for(chat_tokenizer(template), "chat")
    for name, template in {"chatml": CHATML, "trims": HEADERS, "parts": PARTS, "quotes": QUOTING}.items()
}
KNOWN = template_for(chat_tokenizer(ROLES_KNOWN))
ROLES = ("system", "user", "tool", "assistant")


def refusals(template, *messages: tuple[str, str], **others: str) -> dict[int, str]:
    """Why a conversation is refused; other fields are those of its last message."""
    said = [{"role": role, "content": content} for role, content in messages]
    records = Records.from_rows([{"messages": [*said[:-1], said[-1] | others]}])
    return template.encode_all(records).refused


WEATHER = (("user", "Weather in Oslo?"), ("tool", "3 degrees"), ("assistant", "It is 3 degrees."))
FRENCH = (("system", "Answer in French."), ("user", "Answer in French. Hi"), ("assistant", "Salut"))


@pytest.mark.parametrize(
    "messages",
    [
        WEATHER,
        FRENCH,
        (("user", "3"), ("tool", "A"), ("assistant", "3")),  # the template writes an A itself
        (("user", "a"), ("tool", "a"), ("assistant", "b")),
        (("user", "a"), ("assistant", "b"), ("tool", " a\n"), ("assistant", "b")),
    ],
)
def test_a_message_that_is_left_out_is_noticed_where_its_text_is_said_elsewhere(messages):
    assert refusals(KNOWN, *messages)
    for template in WHOLE.values():
        assert not refusals(template, *messages)


def test_thoughts_that_are_left_out_are_noticed_where_the_answer_repeats_them():
    asked, answer = ("user", "Capital of France?"), ("assistant", "Paris is it.")
    assert refusals(WHOLE["chatml"], asked, answer, reasoning_content="Paris")
    tools = template_for(chat_tokenizer(TOOLS))
    assert not refusals(tools, asked, answer, reasoning_content="Paris")
    assert refusals(tools, asked, answer, reasoning="Paris") and not refusals(tools, asked, answer)


def test_a_part_of_an_answer_that_is_cut_out_is_noticed():
    template = template_for(chat_tokenizer(STRIPPED_THOUGHTS))
    asked, thought = ("user", "Sea?"), ("assistant", "<think>Sea</think>Sea")
    assert not refusals(template, asked, thought)
    assert refusals(template, asked, thought, asked, thought)


def test_a_system_message_may_stand_elsewhere_and_what_a_tool_says_may_be_json():
    template = template_for(chat_tokenizer(ONE_SYSTEM))
    assert not refusals(template, *FRENCH) and refusals(template, *WEATHER)
    json_said = ("user", "a"), ("tool", '{"a": "3 \\u00b0\n"}'), ("assistant", "b")
    assert not refusals(WHOLE["quotes"], *json_said)


texts = st.text("aA:3 Q\n\ue001\ue002", max_size=4)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(ROLES), texts), min_size=1, max_size=5))
def test_a_template_is_refused_exactly_what_it_leaves_out(turns):
    said = [Message(role, text) for role, text in [("user", "a"), *turns, ("assistant", "b")]]
    lost = any(m.role in ("system", "tool") and m.content.strip() for m in said)
    for name, template in {"known": KNOWN, **WHOLE}.items():
        one = Record(0, tuple(said))
        if lost and name == "known":
            with refused(RecordsError, row=0, fix=str):
                template.layout(one)
        else:
            assert template.layout(one)[1]
