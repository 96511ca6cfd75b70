"""Chat templates as models have them: two ends of an answer, ends of calls, days, and what is refused."""

import datetime

import pytest

from debias.errors import ParameterError
from iterit.records.instruction_records import Records
from iterit.templates.named_templates import template_for
from tests.support.refusals import refused
from tests.support.small_templates import CHATML, PARTS, chat_tokenizer

TWO_ENDS = (  # an answer that is followed has another end than the last one
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}"
    "{% if loop.last and m.role == 'assistant' %}<|eot|>{% else %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
CALL_IS_FOLLOWED = (  # a call of a tool ends with the opening of what the tool says, and with no new line
    "{% for m in messages %}{% if m.role == 'tool' %}{{ m.content }}\n{% else %}<|im_start|>{{ m.role }}\n"
    "{{ m.content }}{% for call in m.tool_calls or [] %}{{ call.function | tojson }}{% endfor %}"
    "{% if m.tool_calls %}<|start|>{% else %}<|im_end|>\n{% endif %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THOUGHTS = (  # a thought is opened after the last question, and before a new answer
    "{% set ns = namespace(last=0) %}"
    "{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.index0 > ns.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}{% for call in m.tool_calls or [] %}{{ call.function | tojson }}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n\n</think>\n\n{% endif %}"
)
FIRST_PART = PARTS.replace(
    "{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}",
    "{{ m.content[0].text + '' }}",
)
DATED = "<|start|>Today is {{ strftime_now('%d %b %Y, %H:%M:%S.%f') }}.<|end|>" + CHATML
TWO_TURNS = [
    {"role": role, "content": text}
    for role, text in zip(("user", "assistant") * 2, ("q", "a", "r", "b"), strict=True)
]


def answers(template: str, messages: list[dict[str, object]]) -> list[str]:
    """What is trained."""
    records = Records.from_rows([{"messages": messages}])
    return [turn.answer for turn in template_for(chat_tokenizer(template)).turns(records[0])]


def test_each_answer_is_trained_with_the_end_that_it_has():
    assert answers(TWO_ENDS, TWO_TURNS) == ["a<|end|>", "b<|eot|>"]
    assert answers(TWO_ENDS, TWO_TURNS[:2]) == ["a<|eot|>"]
    told = [{"role": "system", "content": "s<|end|>"}, *TWO_TURNS]
    assert answers(TWO_ENDS, told) == ["a<|end|>", "b<|eot|>"]


def test_an_earlier_answer_has_no_opened_thought():
    records = Records.from_rows([{"messages": [*TWO_TURNS, {"role": "tool", "content": "t"}, TWO_TURNS[1]]}])
    tokenizer = chat_tokenizer(THOUGHTS)
    turns = template_for(tokenizer).turns(records[0])
    assert [turn.answer for turn in turns] == ["a<|im_end|>", "b<|im_end|>", "a<|im_end|>"]
    opened = [turn.opening.removeprefix("<|im_start|>assistant\n") for turn in turns]
    assert opened == ["", *["<think>\n\n</think>\n\n"] * 2]


@pytest.mark.parametrize("said", ["", "<|im_end|>\n", "b", " a "])
def test_calls_of_an_earlier_turn_are_found_where_later_turns_change_it(said):
    call = {
        "role": "assistant",
        "content": said,
        "tool_calls": [{"function": {"name": "f", "arguments": {}}}],
    }
    messages = [TWO_TURNS[0], call, {"role": "tool", "content": "b"}, TWO_TURNS[1], *TWO_TURNS[2:]]
    expected = [said + '{"name": "f", "arguments": {}}<|im_end|>', "a<|im_end|>", "b<|im_end|>"]
    assert answers(THOUGHTS, messages) == expected


def test_a_template_that_adds_arguments_to_a_text_receives_json():
    call = {"function": {"name": "now", "arguments": {"zone": "é"}}}
    messages = [TWO_TURNS[0], {"role": "assistant", "content": "", "tool_calls": [call]}]
    adds = CHATML.replace(
        "{{ m.content }}",
        "{{ m.content }}{% for c in m.tool_calls or [] %}{{ '>' + c.function.arguments }}{% endfor %}",
    )
    assert adds != CHATML
    assert answers(adds, messages) == ['>{"zone": "é"}<|im_end|>']


def test_no_character_of_a_call_is_taken_for_the_space_after_an_answer():
    call = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"function": {"name": "now", "arguments": {}}}],
    }
    messages = [TWO_TURNS[0], call, {"role": "tool", "content": "3"}, TWO_TURNS[1]]
    assert answers(CALL_IS_FOLLOWED, messages) == [
        '{"name": "now", "arguments": {}}<|start|>',
        "a<|im_end|>",
    ]


def test_a_template_may_refuse_a_content_that_is_no_list():
    assert "part" not in FIRST_PART
    assert answers(FIRST_PART, TWO_TURNS) == ["a<|im_end|>", "b<|im_end|>"]


def test_a_template_that_states_the_day_gives_the_same_tokens_on_every_day(monkeypatch):
    template = template_for(chat_tokenizer(DATED))
    (record,) = Records.from_rows([{"messages": TWO_TURNS}])
    first = template.encode(record)

    class Tomorrow(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + datetime.timedelta(days=1)

    monkeypatch.setattr("transformers.utils.chat_template_utils.datetime", Tomorrow)
    again = template_for(chat_tokenizer(DATED)).encode(record)
    assert first.input_ids == again.input_ids and first.labels == again.labels
    assert "Today is 26 Jul 2024" in template.turns(record)[0].prompt


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ raise_exception('a system message is required') }}", "a system message is required"),
        ("{% for m in messages %}{{ m.content }", "unexpected"),
        ("{{ messages[0].content.of.it }}", "no attribute"),
        ({"rag": CHATML}, "no default"),
    ],
    ids=["it refuses a question", "it is no template", "it asks for more", "it has other names"],
)
def test_a_template_that_renders_no_question_is_refused_in_our_words(template, problem):
    with refused(ParameterError, parameter="tokenizer", mentions=problem, fix=str):
        template_for(chat_tokenizer(template))
