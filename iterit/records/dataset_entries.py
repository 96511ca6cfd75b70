"""Writes the entry by which axolotl or LLaMA-Factory reads a file of records as they are.

The keys are those of the two projects' documentation. Records of two shapes, or whose meaning the
entry could not carry, are refused: another trainer would then train something else.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, cast

from debias.errors import ParameterError, RecordsError, param
from debias.files.atomic_file import atomic_path
from debias.settings import check_choice
from iterit.records.instruction_records import Records
from iterit.records.record_formats import ALPACA_OPENINGS, ANSWERS, INPUTS, QUESTIONS, parse_row
from iterit.records.row_fields import RefusedRow

TRAINERS = ("axolotl", "llama-factory")
INFO = "dataset_info.json"
_CHATS = ("messages", "conversations", "conversation", "dialogue", "dialog")
_USERS, _ASSISTANTS = ("user", "human"), ("assistant", "gpt")
_AXOLOTL_FIELDS = {"prompt": "field_instruction", "query": "field_input", "response": "field_output"}
_MEANING = ("tools", "functions", "tool_calls", "function_call", "reasoning_content", "weight", "loss_mask")
_FLAGS = ("train", "training", "trainable", "loss", "loss_weight")


class Shape(NamedTuple):
    """What rows of a file have in common.

    Attributes
    ----------
    kind : {"alpaca", "qa", "messages"}
    columns : dict
        Fields of a row by their meaning: prompt, query, response, system and history, or messages.
    role, content : str
        Fields of a message.
    names : dict
        The one name of each role in the messages: user, assistant and, if there is one, system.
    """

    kind: str
    columns: Mapping[str, str]
    role: str = ""
    content: str = ""
    names: Mapping[str, str] = {}  # noqa: RUF012 - a NamedTuple has no factory


def shape_of(row: Mapping[str, object]) -> Shape:
    """Return the shape of a row.

    Raises
    ------
    ValueError
        It has none that an entry can describe; the message says why.

    Examples
    --------
    >>> shape_of({"instruction": "Add.", "input": "1 and 2", "output": "3"}).columns
    {'prompt': 'instruction', 'query': 'input', 'response': 'output'}
    >>> shape_of({"instruction": "Add.", "context": "", "response": "3", "category": "sums"}).columns
    {'prompt': 'instruction', 'query': 'context', 'response': 'response'}
    >>> turns = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    >>> shape_of({"conversations": turns}).names
    {'user': 'human', 'assistant': 'gpt'}
    """
    filled = {name: value for name, value in row.items() if value not in (None, "", [], {})}
    for name in filled:
        if name in _MEANING:
            raise ValueError(f"it has {name}")
    chat = next((name for name in _CHATS if name in filled), None)
    if chat is not None:
        return _shape_of_chat(chat, filled)
    kind, asked = ("alpaca", ("instruction",)) if "instruction" in row else ("qa", QUESTIONS)
    given, answers = (INPUTS, ("output", "response", *ANSWERS)) if kind == "alpaca" else ((), ANSWERS)
    meanings = {"prompt": asked, "query": given, "response": answers}
    found = {meaning: next((one for one in names if one in row), None) for meaning, names in meanings.items()}
    columns = {meaning: name for meaning, name in found.items() if name is not None}
    if not all(isinstance(row.get(columns.get(meaning, "")), str) for meaning in ("prompt", "response")):
        raise ValueError(f"its fields are {', '.join(map(str, row))}"[:200])
    return Shape(kind, columns | {name: name for name in ("system", "history") if name in filled})


def _shape_of_chat(chat: str, row: Mapping[str, object]) -> Shape:
    """Return the shape of a row with messages."""
    turns = row[chat]
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise ValueError(f"its {chat} are not a list of objects")
    role, content = ("from", "value") if any("from" in turn for turn in turns) else ("role", "content")
    if "system" in row:
        raise ValueError("its system text is beside the messages")
    names: dict[str, str] = {}
    for turn in turns:
        named, text = turn.get(role), turn.get(content)
        is_known = named in (*_USERS, *_ASSISTANTS, "system")
        if not is_known or not isinstance(text, str):
            raise ValueError(f"a message has {role} {named!r}, and {content} of {type(text).__name__}"[:200])
        if odd := [name for name in (*_MEANING, *_FLAGS) if turn.get(name) not in (None, "", [], {})]:
            raise ValueError(f"a message has {odd[0]}")
        kind = "user" if named in _USERS else "assistant" if named in _ASSISTANTS else "system"
        if names.setdefault(kind, str(named)) != named:
            raise ValueError(f"messages of the {kind} are called {names[kind]} and {named}")
    return Shape("messages", {"messages": chat}, role, content, names)


def _check_same(row: Mapping[str, object], shape: Shape, format: str) -> None:
    """Raise ValueError where the fields that an entry names do not say all that the row says."""
    named = {name: row.get(name) for name in shape.columns.values()}
    for name in named if shape.kind != "messages" else ():
        if not isinstance(named[name], str | None) and name != shape.columns.get("history"):
            raise ValueError(f"its {name} is {type(named[name]).__name__} and not text")
    if not isinstance(named.get(shape.columns.get("history", "")), list | None):
        raise ValueError("its history is not a list")
    if (chat := shape.columns.get("messages")) is not None:
        turns = cast("list[dict[str, object]]", row[chat])
        named[chat] = [{name: turn.get(name) for name in (shape.role, shape.content)} for turn in turns]
    try:
        said = parse_row(named)
    except RefusedRow as refusal:
        raise ValueError(f"without its other fields it has {refusal.reason}") from refusal
    whole = parse_row(row, format)
    answers = [message for message in whole.messages if message.role == "assistant"]
    if not all(message.is_answer and message.is_trained for message in answers):
        raise ValueError("an answer that is empty, or before the first question, would be trained")
    if (said.messages, said.tools) != (whole.messages, whole.tools):
        others = sorted(set(row) - set(named) - set(whole.unread))
        raise ValueError(
            f"it says more than {', '.join(named)}: {', '.join(others) or 'fields of messages'}"[:200]
        )


def common_shape(records: Records) -> Shape:
    """Return the shape that all records have; a field that only some have counts.

    Raises
    ------
    RecordsError
        A record has none, or another one: the message names its row.
    """
    found: Shape | None = None
    for row in range(len(records)):
        original = records.original(row)
        try:
            own = shape_of(original)
            _check_same(original, own, records.format)
        except ValueError as error:
            raise _no_entry(row, str(error)) from error
        if found is None:
            found = own
        elif (own.kind, own.role, own.content) != (found.kind, found.role, found.content):
            raise _no_entry(row, f"it is of the kind {own.kind}, but those before it are {found.kind}")
        for known, new in ((found.columns, own.columns), (found.names, own.names)):
            other = [name for name in new if name in known and known[name] != new[name]]
            if other:
                raise _no_entry(row, f"its {other[0]} is {new[other[0]]}, and before it {known[other[0]]}")
        found = found._replace(columns={**found.columns, **own.columns}, names={**found.names, **own.names})
    if found is None:
        raise RecordsError("there is no record to describe", fix="pick some")
    return found


def axolotl_entry(shape: Shape, path: str | os.PathLike[str]) -> dict[str, object]:
    """Return an entry of axolotl's ``datasets``.

    Raises
    ------
    ParameterError
        axolotl has no type for the shape.

    Examples
    --------
    >>> axolotl_entry(shape_of({"instruction": "Add.", "output": "3"}), "picked.jsonl")
    {'path': 'picked.jsonl', 'ds_type': 'json', 'type': 'alpaca'}
    """
    ending = Path(path).suffix.lower()
    entry: dict[str, object] = {
        "path": os.fspath(path),
        "ds_type": "parquet" if ending == ".parquet" else "json",
    }
    if shape.kind == "messages":
        roles = {kind: [name] for kind, name in shape.names.items()}
        return {
            **entry,
            "type": "chat_template",
            "field_messages": shape.columns["messages"],
            "message_property_mappings": {"role": shape.role, "content": shape.content},
            "roles": roles,
            "roles_to_train": ["assistant"],
        }
    columns = set(shape.columns.values())
    if shape.kind == "alpaca" and columns <= {"instruction", "input", "output"}:
        return {**entry, "type": "alpaca"}
    if columns == {"question", "answer"}:
        return {**entry, "type": "alpaca_chat.load_qa"}
    if not shape.columns.keys() <= _AXOLOTL_FIELDS.keys():
        raise ParameterError(
            f"axolotl has no type for the fields {', '.join(sorted(columns))}",
            parameter="for",
            received="axolotl",
            fix="give records with an instruction, an input and an output, with a question and an answer, or"
            " with messages",
        )
    named = {_AXOLOTL_FIELDS[meaning]: name for meaning, name in shape.columns.items()}
    unnamed = {"system_prompt": "", "field_system": "", "field_input": ""}  # else axolotl looks for some
    return {**entry, "type": {**unnamed, **named, **_plain_formats()}}


def _plain_formats() -> dict[str, str]:
    """Return Alpaca's plain prompt as axolotl's own type has it, for fields of other names."""
    asked, given, answer = "### Instruction:\n{instruction}", "### Input:\n{input}", "### Response:\n"
    return {
        "format": "\n\n".join((ALPACA_OPENINGS[1], asked, given, answer)),
        "no_input_format": "\n\n".join((ALPACA_OPENINGS[0], asked, answer)),
    }


def llama_factory_entry(shape: Shape, path: str | os.PathLike[str]) -> dict[str, object]:
    """Return an entry of LLaMA-Factory's ``dataset_info.json``.

    Examples
    --------
    >>> llama_factory_entry(shape_of({"question": "1 + 1?", "answer": "2"}), "out/picked.jsonl")
    {'file_name': 'picked.jsonl', 'formatting': 'alpaca',
     'columns': {'prompt': 'question', 'response': 'answer'}}
    """
    entry: dict[str, object] = {
        "file_name": Path(path).name,
        "formatting": "sharegpt" if shape.kind == "messages" else "alpaca",
        "columns": dict(shape.columns),
    }
    if shape.kind == "messages":
        tags = {"role_tag": shape.role, "content_tag": shape.content}
        entry["tags"] = tags | {f"{kind}_tag": name for kind, name in shape.names.items()}
    return entry


def entry_path(path: str | os.PathLike[str], trainer: str) -> Path:
    """Return where the entry for a file of records is written: beside it.

    Raises
    ------
    ParameterError
        The trainer is unknown, or reads no such file.

    Examples
    --------
    >>> entry_path("out/picked.jsonl", "axolotl").name, entry_path("out/picked.jsonl", "llama-factory").name
    ('picked.axolotl.yml', 'dataset_info.json')
    """
    check_choice("for", trainer, TRAINERS)
    file = Path(path)
    if file.suffix.lower() not in (".jsonl", ".json", ".parquet"):
        allowed = "a name that ends in .jsonl, .json or .parquet"
        raise ParameterError(parameter="out", received=str(path), allowed=allowed)
    return file.with_suffix(".axolotl.yml") if trainer == "axolotl" else file.with_name(INFO)


def write_entry(records: Records, path: str | os.PathLike[str], trainer: str) -> Path:
    """Write the entry by which a trainer reads a file of these records.

    Parameters
    ----------
    records : Records
        Those in the file.
    path : str or path-like
        The file; it may be written later.
    trainer : {"axolotl", "llama-factory"}
        For axolotl a YAML file with ``datasets``; for LLaMA-Factory an entry in the
        ``dataset_info.json`` beside the records, which keeps its other entries.

    Returns
    -------
    Path

    Raises
    ------
    ParameterError
        The trainer cannot read such records.
    RecordsError
        The records are of different shapes, or there is a ``dataset_info.json`` that is none.
    """
    target = entry_path(path, trainer)
    shape = common_shape(records)
    if trainer == "axolotl":
        text = _yaml({"datasets": [axolotl_entry(shape, path)]})
    else:
        _check_alternating(records, shape)
        known = _info(target) | {Path(path).stem: llama_factory_entry(shape, path)}
        text = json.dumps(known, indent=2, ensure_ascii=False) + "\n"
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return target


def _check_alternating(records: Records, shape: Shape) -> None:
    """Refuse a conversation that LLaMA-Factory empties: user and assistant must alternate, the user first."""
    if shape.kind != "messages":
        return
    wanted = [shape.names.get("user"), shape.names.get("assistant")]
    for row in range(len(records)):
        turns = cast("list[dict[str, object]]", records.original(row)[shape.columns["messages"]])
        roles = [turn.get(shape.role) for turn in turns]
        if roles[:1] == [shape.names.get("system")]:
            del roles[0]
        if roles != wanted * (len(roles) // 2):
            said = ", ".join(map(str, roles[:6]))
            raise _no_entry(row, f"LLaMA-Factory skips messages whose roles do not alternate ({said})"[:200])


def _info(target: Path) -> dict[str, object]:
    """Read the entries that are there."""
    if not target.exists():
        return {}
    try:
        known = json.loads(target.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecordsError(f"it cannot be read: {error}"[:200], file=target, fix="repair it") from error
    if not isinstance(known, dict):
        raise RecordsError(
            "it is not an object of entries", file=target, fix=f"choose another {param('out')}"
        )
    return known


def _yaml(content: object) -> str:
    """Write nested objects and lists of texts as YAML."""
    return "".join(_lines(content, 0))


def _lines(content: object, depth: int) -> list[str]:
    """Write the items of an object or a list, each on a line."""
    space, lines = "  " * depth, list[str]()
    if isinstance(content, dict):
        for name, value in content.items():
            is_text = isinstance(value, str)
            lines += [f"{space}{name}: {_quoted(value)}\n"] if is_text else [f"{space}{name}:\n"]
            lines += [] if is_text else _lines(value, depth + 1)
    elif isinstance(content, list):
        for one in content:
            first, *others = _lines(one, depth + 1) if isinstance(one, dict) else [f"{_quoted(one)}\n"]
            lines += [f"{space}- {first.lstrip()}", *others]
    return lines


def _quoted(text: object) -> str:
    """Quote a text: YAML reads all but plain characters by their numbers."""
    plain = (c if " " <= c <= "~" and c not in '"\\' else f"\\U{ord(c):08x}" for c in str(text))
    return f'"{"".join(plain)}"'


def _no_entry(row: int, problem: str) -> RecordsError:
    return RecordsError(
        f"a trainer reads records of one shape: {problem}",
        row=row,
        fix="omit --for, or give records of one shape without tools, flags or thoughts",
    )
