"""Reads rows from JSON of any shape: one object per line, a list, columns, or a list inside an object.

A row keeps the text it was written as. Memory is bounded: a hostile text is refused before it is parsed.
"""

import codecs
import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import BinaryIO, NamedTuple

from debias.errors import RecordsError, shortened
from debias.rows.bounded_json import RepeatedNameError, parse_json, parse_rows
from debias.rows.json_containers import rows_of_object

LONGEST_ROW = 2**25
"""Characters of a row, or of a field of a table."""
RAW_BYTES = "base64"
"""The only field of an object that stands for bytes that are no text in UTF-8."""
_LONGEST_WHOLE = 2**27
_MOST_VALUES = 2**23
_SPACE = " \t\r\n"
_UNCUT = 64  # an error this far before the end of what was read is no cut

Open = Callable[[], BinaryIO]


class RawRow(NamedTuple):
    """A row as it was found.

    Attributes
    ----------
    line : int
        Number of the line, or of the row in a list or table; the first is 1.
    text : str
        The row as JSON, or the unreadable text.
    value : object
        The parsed row; None where it is refused.
    refused : str
        Why it cannot be read; empty where it can.
    """

    line: int
    text: str
    value: object
    refused: str = ""


def row_of_text(number: int, text: str) -> RawRow:
    """Read one JSON text; one with a field twice, or with what is no Unicode, is refused.

    Examples
    --------
    >>> row_of_text(7, '{"n": 1}'), row_of_text(8, "[" * 10**5).refused
    (RawRow(line=7, text='{"n": 1}', value={'n': 1}, refused=''), 'not JSON')
    """
    text = text.removeprefix("\ufeff")  # files that were joined have one at the beginning of each
    if len(text) > LONGEST_ROW or n_values(text) > _MOST_VALUES:
        return RawRow(number, as_unicode(text[:LONGEST_ROW]), None, "too large")
    try:
        text.encode()
        return RawRow(number, text, parse_json(text))
    except UnicodeError:
        return RawRow(number, as_unicode(text), None, "not Unicode")
    except RepeatedNameError:
        return RawRow(number, text, None, "a field twice")
    except ValueError:
        return RawRow(number, as_unicode(text), None, "not JSON")


def row_of_value(number: int, value: object) -> RawRow:
    """Return a row that is no text yet, its value as JSON has it."""
    try:
        return row_of_text(number, to_json(value))
    except (ValueError, TypeError, RecursionError):
        return RawRow(number, as_unicode(shortened(value)), None, "not JSON")


def to_json(value: object) -> str:
    r"""Return a row as a JSON text; values that JSON does not have (dates, bytes in UTF-8) become strings.

    Other bytes become an object, so that no one takes their base64 for a text.

    Examples
    --------
    >>> to_json({"output": "Größe", "n": 1})
    '{"output": "Größe", "n": 1}'
    >>> to_json([b"no", b"\xff"])
    '["no", {"base64": "/w=="}]'
    """
    text = _WRITER.encode(value)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair can only be kept escaped
        text = json.dumps(value, default=_plain)
    return text


def _plain(value: object) -> object:
    """Return a value of numpy, pandas or Arrow as one of Python, anything else as a string."""
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {RAW_BYTES: codecs.encode(value, "base64").decode().replace("\n", "")}
    return value.tolist() if hasattr(value, "tolist") else str(value)


_WRITER = json.JSONEncoder(ensure_ascii=False, default=_plain)


def as_unicode(text: str) -> str:
    """Return a text with a question mark for each half of a surrogate pair, which no file can hold."""
    return text.encode(errors="replace").decode()


def n_values(text: str) -> int:
    """Return at least the number of values in a JSON text, before it is parsed."""
    return text.count(",") + text.count("[") + text.count("{")


def read_json(open_file: Open, is_lines: bool, file: object) -> Iterator[RawRow]:
    """Read the rows of a JSON text, whatever its shape.

    Parameters
    ----------
    open_file : callable
        Opens the file as UTF-8 bytes, from its beginning.
    is_lines : bool
        Whether the name says that there is one object per line; the text decides where it is clear.
    file : path-like
        For errors.

    Raises
    ------
    RecordsError
        A list or an object is not valid: the error has the row.
    """
    is_list, whole, follows = False, "", True
    with open_file() as stream:
        window = _Window(stream)
        first = window.next_sign()
        if first == "[":
            window.place += 1
            is_list = window.next_sign() in "{]" or not is_lines
        elif first == "{":
            whole, follows = window.try_value()
    if is_list:
        yield from _read_list(open_file, file)
    elif not follows:
        yield from _read_object(whole, is_lines, file)
    elif "\n" in whole:
        yield from _read_values(open_file, file)
    else:
        yield from _read_lines(open_file)


def _read_object(text: str, is_lines: bool, file: object) -> Iterator[RawRow]:
    """Yield the rows of a text that is one object."""
    try:
        rows = rows_of_object(parse_rows(text), is_lines)
    except RecordsError as error:
        raise error.at(file=file) from error
    except ValueError as error:
        raise _not_valid(file, 0, str(error)) from error
    if rows is None:
        yield row_of_text(1, text)
    else:
        yield from map(row_of_value, count(1), rows)


def _read_lines(open_file: Open) -> Iterator[RawRow]:
    """Yield one object per line; empty lines are skipped."""
    number = 0
    with open_file() as stream:
        while line := stream.readline(LONGEST_ROW):
            number, rest = number + 1, line
            while len(rest) == LONGEST_ROW and not rest.endswith(b"\n"):
                rest = stream.readline(LONGEST_ROW)
            if rest is not line:
                yield RawRow(number, line.decode(errors="replace"), None, "too large")
            elif text := line.decode(errors="surrogateescape").strip():
                yield row_of_text(number, text)


def _read_list(open_file: Open, file: object) -> Iterator[RawRow]:
    """Yield the values of a list."""
    with open_file() as stream:
        window, number = _Window(stream), 0
        window.next_sign()
        window.place += 1
        sign = window.next_sign()
        while sign and sign != "]":
            text = _value_after(window, number, file)
            number += 1
            yield row_of_text(number, text)
            sign = window.next_sign()
            if sign == ",":
                window.place += 1
                sign = window.next_sign()
                if sign == "]":
                    raise _not_valid(file, number, "a comma before the end")
            elif sign != "]":
                raise _not_valid(file, number, "no comma or end")
        if not sign:
            raise _not_valid(file, number, "it has no end")
        window.place += 1
        if window.next_sign():
            raise _not_valid(file, number, "something follows its end")


def _read_values(open_file: Open, file: object) -> Iterator[RawRow]:
    """Yield objects that follow each other, each over several lines."""
    with open_file() as stream:
        window, number = _Window(stream), 0
        while window.next_sign():
            text = _value_after(window, number, file)
            number += 1
            yield row_of_text(number, text)


def _value_after(window: "_Window", number: int, file: object) -> str:
    try:
        return window.value(LONGEST_ROW)
    except RecursionError:
        raise _not_valid(file, number, "the next one is nested too deeply") from None
    except ValueError as error:
        raise _not_valid(file, number, str(error)) from error


def _not_valid(file: object, number: int, problem: str) -> RecordsError:
    return RecordsError(
        f"the JSON is not valid after {number:,} row{'' if number == 1 else 's'}: {problem}",
        file=file,
        row=number,
        fix="repair it there, or write one object per line (.jsonl), where a bad line affects no other",
    )


class _Window:
    """A part of a text that is read as it is needed."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.text, self.place, self.is_ended = stream, "", 0, False
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        # Any number is found; whether it can be read is up to the row that it stands in.
        self._find = json.JSONDecoder(parse_int=len, parse_float=len).raw_decode

    def more(self, size: int = 2**16) -> None:
        """Read on, and forget what stands before the place."""
        content = self.stream.read(size)
        self.is_ended = not content
        self.text, self.place = self.text[self.place :] + self._decode(content, self.is_ended), 0

    def next_sign(self) -> str:
        """Return the next character that is no space, at which the place is then; "" at the end."""
        while True:
            while self.place < len(self.text):
                if self.text[self.place] not in _SPACE:
                    return self.text[self.place]
                self.place += 1
            if self.is_ended:
                return ""
            self.more()

    def value(self, longest: int) -> str:
        """Return the text of the next value, and move behind it.

        Raises
        ------
        ValueError, RecursionError
            It is no JSON, or too long or nested too deeply.
        """
        size = 2**16
        while True:
            try:
                _, end = self._find(self.text, self.place)
                if end < len(self.text) or self.is_ended or self.text[end - 1] in '}]"':
                    text, self.place = self.text[self.place : end], end
                    return text
            except json.JSONDecodeError as error:
                is_cut = error.pos > len(self.text) - _UNCUT or error.msg.startswith("Unterminated string")
                if self.is_ended or not is_cut:
                    problem = "a string has no end" if error.msg.startswith("Unterm") else error.msg
                    raise ValueError(problem.removesuffix(" at")) from error
            if len(self.text) - self.place > longest or n_values(self.text) > _MOST_VALUES:
                raise ValueError(f"the next one has more than {longest:,} characters or too many values")
            self.more(size)
            size *= 2

    def try_value(self) -> tuple[str, bool]:
        """Return the text of the next value, "" where it is not valid, and whether another follows."""
        try:
            return self.value(_LONGEST_WHOLE), bool(self.next_sign())
        except (ValueError, RecursionError):
            return "", True
