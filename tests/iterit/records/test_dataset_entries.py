"""Entries for other trainers: keys as documented, fields that the written rows have, refusals."""

import json

import pytest
import yaml
from hypothesis import given, settings
from typer.testing import CliRunner

from debias.errors import ParameterError, RecordsError
from iterit.cli import app
from iterit.records.dataset_entries import (
    axolotl_entry,
    common_shape,
    llama_factory_entry,
    shape_of,
    write_entry,
)
from iterit.records.instruction_records import Records
from iterit.templates.named_templates import AlpacaTemplate
from tests.support.hostile import hostile_texts
from tests.support.refusals import refused
from tests.support.tiny_models import byte_tokenizer

AXOLOTL = {
    "path", "ds_type", "type", "field_messages", "message_property_mappings", "roles", "roles_to_train",
}  # fmt: skip
LLAMA_FACTORY = {
    "file_name": None,
    "formatting": {"alpaca", "sharegpt"},
    "columns": {"prompt", "query", "response", "history", "messages", "system", "tools"},
    "tags": {"role_tag", "content_tag", "user_tag", "assistant_tag", "system_tag"},
}
ALPACA = [
    {"instruction": "Add.", "input": "1 and 2", "output": "3"},
    {"instruction": "Hi", "output": "Hello"},
]
SHAREGPT = [
    {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
    {"conversations": [{"from": "system", "value": "Be kind."}, {"from": "human", "value": "Hi"},
                       {"from": "gpt", "value": "Hello"}]},
]  # fmt: skip
MESSAGES = [{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}]
QA = [{"question": "1 + 1?", "answer": "2", "id": 7}]


DOLLY = [
    {"instruction": "Add.", "context": "1 and 2", "response": "3", "category": "sums"},
    {"instruction": "Hi", "context": "", "response": "Hello", "category": "talk"},
]
PROMPTS = [{"prompt": "1 + 1?", "completion": "2"}, {"prompt": "Hi", "completion": "Hello"}]


@pytest.mark.parametrize("rows", [ALPACA, SHAREGPT, MESSAGES, QA, DOLLY, PROMPTS])
def test_entries_have_known_keys_and_name_fields_of_the_rows(rows, tmp_path):
    records = Records.from_rows(rows)
    shape = common_shape(records)
    axolotl, factory = axolotl_entry(shape, "a/picked.jsonl"), llama_factory_entry(shape, "a/picked.jsonl")
    assert set(axolotl) <= AXOLOTL
    assert set(factory) <= set(LLAMA_FACTORY)
    assert factory["file_name"] == "picked.jsonl"
    assert factory["formatting"] in LLAMA_FACTORY["formatting"]
    assert set(factory["columns"]) <= LLAMA_FACTORY["columns"]
    assert set(factory.get("tags", {})) <= LLAMA_FACTORY["tags"]
    names = {name for row in rows for name in row}
    assert set(factory["columns"].values()) <= names
    for row in rows:  # what the entries name reads the same question and answer as here
        message = Records.from_rows([row])[0].messages[-1]
        if factory["formatting"] == "alpaca":
            assert row[factory["columns"]["response"]] == message.content
        else:
            tags, turn = factory["tags"], row[factory["columns"]["messages"]][-1]
            assert turn[tags["role_tag"]] == tags["assistant_tag"]
            assert turn[tags["content_tag"]] == message.content
            mapping = axolotl["message_property_mappings"]
            assert turn[mapping["content"]] == message.content
            assert turn[mapping["role"]] in axolotl["roles"]["assistant"]
            assert row[axolotl["field_messages"]]


@pytest.mark.parametrize("rows", [DOLLY, PROMPTS])
def test_fields_of_other_names_have_alpacas_plain_prompt_in_axolotl(rows, tmp_path):
    records = Records.from_rows(rows)
    written = yaml.safe_load(write_entry(records, tmp_path / "p.jsonl", "axolotl").read_text())
    kind = written["datasets"][0]["type"]
    template = AlpacaTemplate(byte_tokenizer())
    for row, record in zip(rows, records, strict=True):  # as axolotl builds a prompt from such a type
        given = row.get(kind["field_input"]) if kind["field_input"] else ""
        layout = kind["format"] if given else kind["no_input_format"]
        prompt = kind["system_prompt"] + layout.format(
            instruction=row[kind["field_instruction"]], input=given
        )
        (turn,) = template.turns(record)
        assert (turn.prompt, turn.answer) == (prompt, row[kind["field_output"]] + template.ending)
    assert not kind["field_system"]


def test_the_entries_by_hand():
    assert axolotl_entry(shape_of(QA[0]), "p.parquet") == {
        "path": "p.parquet", "ds_type": "parquet", "type": "alpaca_chat.load_qa",
    }  # fmt: skip
    shape = common_shape(Records.from_rows(SHAREGPT))
    assert llama_factory_entry(shape, "p.json") == {
        "file_name": "p.json",
        "formatting": "sharegpt",
        "columns": {"messages": "conversations"},
        "tags": {
            "role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt",
            "system_tag": "system",
        },
    }  # fmt: skip
    history = [{**ALPACA[0], "system": "Be kind.", "history": [["a", "b"]]}]
    shape = common_shape(Records.from_rows(history))
    assert llama_factory_entry(shape, "p.json")["columns"] == {
        "prompt": "instruction", "query": "input", "response": "output", "system": "system",
        "history": "history",
    }  # fmt: skip
    with refused(ParameterError, parameter="for", received="axolotl", fix=str):
        axolotl_entry(shape, "p.json")


@pytest.mark.parametrize(
    "rows",
    [
        [ALPACA[0], QA[0]],
        [SHAREGPT[0], MESSAGES[0]],
        [{"messages": [{"role": "user", "content": "Hi"},
                       {"role": "assistant", "content": "Hello", "weight": 0},
                       {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}],
        [{**ALPACA[0], "tools": [{"name": "add"}]}],
        [MESSAGES[0], {"messages": [{"role": "human", "content": "Hi"}, {"role": "gpt", "content": "Ho"}]}],
        [{"conversations": [["Hi", "Hello"]]}],
        [{"system": "Be kind.", **MESSAGES[0]}],
        [{"Instruction": "Add.", "Output": "3"}],
        [{"messages": [{"role": "assistant", "content": "Welcome."}, *MESSAGES[0]["messages"]]}],
        [{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": " "},
                       *MESSAGES[0]["messages"]]}],
        [{"messages": [*MESSAGES[0]["messages"], {"role": "user", "content": "Hi"},
                       {"role": "assistant", "content": ""}]}],
        [{**ALPACA[0], "history": [["Hi", ""]]}],
    ],
)  # fmt: skip
def test_what_an_entry_cannot_carry_is_refused(rows, tmp_path):
    with refused(RecordsError, row=len(rows) - 1, fix=str):
        write_entry(Records.from_rows(rows), tmp_path / "picked.jsonl", "llama-factory")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("roles", ["aua", "uua", "uau", "usa", "suaa"])
def test_roles_that_do_not_alternate_are_refused_for_llama_factory_alone(tmp_path, roles):
    names = {"u": "user", "a": "assistant", "s": "system"}
    turns = [{"role": names[role], "content": f"{n}."} for n, role in enumerate(roles)]
    records = Records.from_rows([*MESSAGES, {"messages": turns}])
    with refused(RecordsError, row=1):
        write_entry(records, tmp_path / "picked.jsonl", "llama-factory")
    assert not list(tmp_path.iterdir())
    if roles.startswith("a"):  # what is said before the first question is not trained, but axolotl would
        with refused(RecordsError, row=1, mentions="would be trained"):
            write_entry(records, tmp_path / "picked.jsonl", "axolotl")
        return
    assert write_entry(records, tmp_path / "picked.jsonl", "axolotl").is_file()


def test_other_entries_of_a_file_stay(tmp_path):
    info = tmp_path / "dataset_info.json"
    info.write_text(json.dumps({"mine": {"file_name": "mine.json"}, "picked": {"file_name": "old.json"}}))
    assert write_entry(Records.from_rows(ALPACA), tmp_path / "picked.jsonl", "llama-factory") == info
    known = json.loads(info.read_text())
    assert known["mine"] == {"file_name": "mine.json"}
    assert known["picked"]["columns"]["query"] == "input"
    for text in ("[]", "{", "\xff"):
        info.write_text(text, encoding="latin-1")
        with refused(RecordsError, file=str(info)):
            write_entry(Records.from_rows(ALPACA), tmp_path / "picked.jsonl", "llama-factory")
        assert info.read_text(encoding="latin-1") == text
    with refused(ParameterError, parameter="out", received=str(tmp_path / "picked.jsonl.gz")):
        write_entry(Records.from_rows(ALPACA), tmp_path / "picked.jsonl.gz", "axolotl")
    with refused(ParameterError, parameter="for", received="torchtune"):
        write_entry(Records.from_rows(ALPACA), tmp_path / "picked.jsonl", "torchtune")


@settings(max_examples=100, deadline=None)
@given(hostile_texts)
def test_the_yaml_is_read_as_it_was_meant(tmp_path_factory, name):
    from iterit.records import dataset_entries

    name = name.encode("utf-8", "replace").decode()
    entry = {"datasets": [axolotl_entry(common_shape(Records.from_rows(SHAREGPT)), name)]}
    assert yaml.safe_load(dataset_entries._yaml(entry)) == entry


@pytest.mark.parametrize(
    ("trainer", "written"), [("axolotl", "picked.axolotl.yml"), ("llama-factory", "dataset_info.json")]
)
def test_the_command_writes_the_entry_and_datasets_reads_the_records(tmp_path, monkeypatch, trainer, written):
    import datasets

    rows = [
        {"instruction": f"Question {n}", "input": "", "output": f"Answer {n % 7} of {n}"} for n in range(30)
    ]
    (tmp_path / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    words = [
        "select",
        "all.jsonl",
        "--mode",
        "longest",
        "--ratio",
        "0.2",
        "--out",
        "picked.jsonl",
        "--for",
        trainer,
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.stderr
    assert f"Wrote {written}." in done.stdout
    text = (tmp_path / written).read_text()
    entry = yaml.safe_load(text)["datasets"][0] if trainer == "axolotl" else json.loads(text)["picked"]
    data = datasets.load_dataset("json", data_files=entry.get("path", entry.get("file_name")), split="train")
    assert len(data) == 6
    assert set(data.column_names) == set(rows[0])


CHAT = MESSAGES[0]["messages"]


@pytest.mark.parametrize(
    "row",
    [
        {"question": "q", "answer": "a", "system_prompt": "Be kind."},
        {"instruction": "q", "output": "a", "system_prompt": "Be kind."},
        {"instruction": "q", "output": "", "response": "a"},
        {"instruction": "q", "output": None, "Output": "a"},
        {"instruction": "q", "input": "", "context": "c", "output": "a"},
        {"instruction": "q", "output": 2},
        {"instruction": "q", "output": "a", "history": '[["b", "c"]]'},
        {"messages": CHAT, "system_prompt": "Be kind."},
        {"messages": [CHAT[0], CHAT[1] | {"thinking": "Hm."}]},
        {"messages": [CHAT[0], {"role": "assistant", "content": "", "value": "Hello"}]},
    ],
)
@pytest.mark.parametrize("trainer", ["axolotl", "llama-factory"])
def test_a_row_that_says_more_than_the_fields_of_the_entry_is_refused(tmp_path, row, trainer):
    records = Records.from_rows([row])
    assert len(records) == 1
    with refused(RecordsError, row=0, fix=str):
        write_entry(records, tmp_path / "p.jsonl", trainer)
    assert not list(tmp_path.iterdir())


def test_system_and_history_beside_a_question_are_named(tmp_path):
    row = {"question": "q", "answer": "a", "system": "Be kind.", "history": [["b", "c"]], "id": 7}
    shape = common_shape(Records.from_rows([row]))
    assert llama_factory_entry(shape, "p.jsonl")["columns"] == {
        "prompt": "question", "response": "answer", "system": "system", "history": "history",
    }  # fmt: skip
    with refused(ParameterError, parameter="for", received="axolotl"):
        axolotl_entry(shape, "p.jsonl")


def test_the_format_that_was_named_counts(tmp_path):
    both = {"instruction": "i", "output": "o", "question": "q", "answer": "a"}
    common_shape(Records.from_rows([both]))
    with refused(RecordsError, row=0):
        common_shape(Records.from_rows([both], format="qa"))
