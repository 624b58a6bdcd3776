"""Reads names and values from a .env, JSON or CSV file, exactly, and says of each line that it cannot read which it is.

No sentence here quotes a line: what could not be read may be a value.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from kvadmin.gateway.values import SecretValue

FORMATS = {"env": ".env", "json": "JSON", "csv": "CSV"}
_KEY = re.compile(r"(?:export[ \t]+)?([^\s=#'\"]+)[ \t]*=[ \t]*")
_AFTER = re.compile(r"[ \t]*(#[^\n]*)?\r?(\n|$)")
_COMMENT = re.compile(r"(^|[ \t])#")
_DOLLAR = re.compile(r"(?<!\\)\$[A-Za-z_{(]")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}
NOT_EXPANDED = "A $ is taken as it stands: nothing is filled in for $NAME."


@dataclass(frozen=True, slots=True)
class Entry:
    """One name and its value, and the line where it begins. `note`: what a person should know of how it was read."""

    line: int
    name: str
    value: SecretValue
    note: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that could not be read."""

    line: int
    sentence: str


@dataclass(slots=True)
class Parsed:
    """What a file holds. With problems, the entries are those that could be read all the same.

    `unit`: what their `line` counts, since the lines of JSON are lost: "line", or "entry" for the first, the second ...
    """

    entries: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unit: str = "line"


def format_of(file_name: str) -> str:
    """The format that the file's name speaks of; without one of ours, that of a .env file."""
    ending = file_name.lower().rpartition(".")[2]
    return ending if ending in FORMATS else "env"


def read(content: bytes, format_word: str) -> Parsed:
    """All entries of a file in one of FORMATS. A byte order mark is no part of the first name."""
    text = _text(content)
    if text is None:
        return Parsed(problems=[Problem(1, "This file is not text in UTF-8, so that its characters are not known.")])
    return _READERS[format_word](text)


def _text(content: bytes) -> str | None:
    wide = content[:2] in {b"\xff\xfe", b"\xfe\xff"}
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        return None


# --- .env ----------------------------------------------------------------------------------------------------------
def _env(text: str) -> Parsed:
    """NAME=value, NAME='exactly so' or NAME="with \\n and \\"", over several lines if quoted; # begins a comment."""
    found, at, line, counted = Parsed(), 0, 1, 0
    while at < len(text):
        line, counted = line + text.count("\n", counted, at), at  # on from there: a whole file of lines has to be quick
        end = _end(text, at)
        stripped = text[at:end].strip()
        if not stripped or stripped.startswith("#"):
            at = end + 1
            continue
        key = _KEY.match(text, at + len(text[at:end]) - len(text[at:end].lstrip()))
        if key is None:
            found.problems.append(Problem(line, "There is no NAME=VALUE in this line."))
            at = end + 1
            continue
        at = _env_value(text, key.end(), key[1], line, found)
    return found


def _env_value(text: str, at: int, name: str, line: int, found: Parsed) -> int:
    """Add the entry whose value begins at `at`, or the problem with it; where to read on."""
    quote = text[at : at + 1]
    if quote not in {"'", '"'}:
        return _unquoted(text, at, name, line, found)
    closed = _closing(text, at + 1, quote)
    if closed < 0:
        found.problems.append(Problem(line, "The quote that opens here is never closed; nothing after it was read."))
        return len(text)
    raw = text[at + 1 : closed]
    after = _AFTER.match(text, closed + 1)
    if after is None:
        found.problems.append(Problem(line, "Something follows the quote that closes this value."))
        return _end(text, closed) + 1
    value = raw if quote == "'" else re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), raw, flags=re.DOTALL)
    found.entries.append(Entry(line, name, SecretValue(value), _note(raw) if quote == '"' else ""))
    return after.end()


def _unquoted(text: str, at: int, name: str, line: int, found: Parsed) -> int:
    """To the line's end, without the blanks around it, and without a comment behind a blank."""
    end = _end(text, at)
    raw = text[at:end]
    comment = _COMMENT.search(raw)
    value = (raw[: comment.start()] if comment else raw).strip()
    found.entries.append(Entry(line, name, SecretValue(value), _note(value)))
    return end + 1


def _end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _closing(text: str, at: int, quote: str) -> int:
    """Where the quote closes; -1: nowhere. A backslash hides a double quote, and no single one."""
    while at < len(text):
        if text[at] == "\\" and quote == '"':
            at += 2
            continue
        if text[at] == quote:
            return at
        at += 1
    return -1


def _note(raw: str) -> str:
    return NOT_EXPANDED if _DOLLAR.search(raw) else ""


# --- JSON ----------------------------------------------------------------------------------------------------------
class _Pairs(list[tuple[str, Any]]):
    """An object with its keys as they stand there: a dictionary would silently keep the last of two alike."""


def _json(text: str) -> Parsed:
    """{"name": "value", ...} or [{"name": ..., "value": ...}, ...]. A value is a string: a number has no exact text."""
    try:
        document = json.loads(text, object_pairs_hook=_Pairs)
    except json.JSONDecodeError as error:
        return Parsed(problems=[Problem(error.lineno, "This is where the file stops being JSON.")])
    except ValueError:
        return Parsed(problems=[Problem(1, "This file holds a number that is too long.")])
    except RecursionError:
        return Parsed(problems=[Problem(1, "This file is nested too deeply.")])
    if isinstance(document, _Pairs):
        return _checked(document)
    if isinstance(document, list):
        return _checked(_named(item) for item in document)
    return Parsed(problems=[Problem(1, "This is neither an object of names and values nor a list of such objects.")])


def _named(item: Any) -> tuple[Any, Any]:
    facts = dict(item) if isinstance(item, _Pairs) else {}
    return facts.get("name"), facts.get("value")


def _checked(pairs: Any) -> Parsed:
    found = Parsed(unit="entry")
    for place, (name, value) in enumerate(pairs, 1):
        if isinstance(name, str) and isinstance(value, str):
            found.entries.append(Entry(place, name, SecretValue(value)))
        else:
            found.problems.append(Problem(place, "Here is no name with a text as its value."))
    return found


# --- CSV -----------------------------------------------------------------------------------------------------------
def _csv(text: str) -> Parsed:
    """A first line with the columns name and value, in any order and among others; quotes as RFC 4180 has them."""
    first = text[: _end(text, 0)]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    found = Parsed()
    try:
        head = [column.strip().lower() for column in next(reader, [])]
        if sorted(column for column in head if column in {"name", "value"}) != ["name", "value"]:
            return Parsed(problems=[Problem(1, "The first line has to name the columns, with “name” and “value”.")])
        for entry in _rows(reader, head.index("name"), head.index("value"), len(head)):
            (found.entries if isinstance(entry, Entry) else found.problems).append(entry)  # type: ignore[arg-type]
    except csv.Error:
        found.problems.append(Problem(reader.line_num, "A quote in this line is not closed, or stands in the middle."))
    return found


def _rows(reader: Any, name: int, value: int, width: int) -> Iterator[Entry | Problem]:
    line = reader.line_num + 1
    for cells in reader:
        if cells and len(cells) != width:
            yield Problem(line, f"This row has {len(cells)} cells, and the first line has {width}.")
        elif cells:
            yield Entry(line, cells[name].strip(), SecretValue(cells[value]))
        line = reader.line_num + 1


_READERS: dict[str, Callable[[str], Parsed]] = {"env": _env, "json": _json, "csv": _csv}
