"""Files of names and values: what is read, to the byte, and what is said of a line that cannot be read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaults import import_files
from vaults.import_files import NOT_EXPANDED, Parsed, format_of, read

AWKWARD = [
    "", " ", "a b", "line one\nline two", "crlf\r\nhere", "tab\there", "trailing\n", "\\", "\\n", 'say "hi"', "it's",
    "$$", "ABC\"$$123==)", "-secret", "a&b", "%0A", "<script>", "{{7*7}}", "#not a comment", "a #b", "zażółć 🔑",
    "-----BEGIN KEY-----\nMIIB\n-----END KEY-----\n", "=", "a=b=c", "\ufeffbom inside",
]  # fmt: skip


def pairs(parsed: Parsed) -> list[tuple[str, str]]:
    return [(entry.name, entry.value.expose()) for entry in parsed.entries]


def env(text: str) -> list[tuple[str, str]]:
    return pairs(read(text.encode(), "env"))


def said(parsed: Parsed) -> list[tuple[int, str]]:
    return [(problem.line, problem.sentence) for problem in parsed.problems]


# --- .env ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=b", "b"),
        ("export A=b", "b"),
        ("A = b ", "b"),
        ("  A=b", "b"),
        ("A=", ""),
        ("A=b c", "b c"),
        ("A=b # a comment", "b"),
        ("A=b#no-comment", "b#no-comment"),
        ("A=b\\nc", "b\\nc"),
        ("A='b # c'", "b # c"),
        ("A='b\\nc'  # why", "b\\nc"),
        ("A='b\nc'", "b\nc"),
        ('A="b\\nc"', "b\nc"),
        ('A="b\nc"', "b\nc"),
        ('A="b\r\nc"', "b\r\nc"),
        ('A="a \\"b\\" \\\\ \\t"', 'a "b" \\ \t'),
        ('A="\\d+"', "\\d+"),
        ('A="\\$HOME"', "$HOME"),
        ("A=postgres://u:p@h/d?x=1&y=2", "postgres://u:p@h/d?x=1&y=2"),
        ("\ufeffA=b", "b"),
        ("A=b\r\n", "b"),
    ],
)
def test_a_value_of_an_env_file_is_read_as_it_is_meant(text: str, value: str) -> None:
    assert env(text) == [("A", value)]


def test_lines_are_told_apart_whatever_stands_between_them() -> None:
    text = "# head\n\nA=1\r\n\nB=\"two\nlines\"\nexport C='3'\n#D=4\nE=5"
    parsed = read(text.encode(), "env")
    assert pairs(parsed) == [("A", "1"), ("B", "two\nlines"), ("C", "3"), ("E", "5")]
    assert [entry.line for entry in parsed.entries] == [3, 5, 7, 9]


@given(st.lists(st.text(st.characters(exclude_characters="'\r", exclude_categories=["Cs"])), max_size=5))
def test_what_stands_in_single_quotes_is_taken_exactly(values: list[str]) -> None:
    text = "\n".join(f"N{n}='{value}'" for n, value in enumerate(values))
    assert [value for _, value in env(text)] == values


@pytest.mark.parametrize("text", ["A=$HOME", 'A="${HOME}/x"'])
def test_a_dollar_is_taken_as_it_stands_and_that_is_said(text: str) -> None:
    parsed = read(text.encode(), "env")
    assert "HOME" in parsed.entries[0].value.expose()
    assert parsed.entries[0].note == NOT_EXPANDED


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("A=1\nhunter2", 2, "There is no NAME=VALUE in this line."),
        ("A=1\n=hunter2", 2, "There is no NAME=VALUE in this line."),
        ('A=1\nB="hunter2', 2, "The quote that opens here is never closed; nothing after it was read."),
        ("A=1\nB='x' hunter2\nC=3", 2, "Something follows the quote that closes this value."),
    ],
)
def test_what_cannot_be_read_is_told_by_its_line_and_never_quoted(text: str, line: int, sentence: str) -> None:
    parsed = read(text.encode(), "env")
    assert said(parsed) == [(line, sentence)]
    assert pairs(parsed)[0] == ("A", "1")


# --- JSON ------------------------------------------------------------------------------------------------------------
def test_every_awkward_value_comes_through_json() -> None:
    document = {f"n{n}": value for n, value in enumerate(AWKWARD)}
    assert pairs(read(json.dumps(document).encode(), "json")) == list(document.items())


def test_a_list_of_objects_is_read_as_well() -> None:
    text = '[{"name": "a", "value": "1"}, {"value": "2", "name": "b", "other": 3}]'
    assert pairs(read(text.encode(), "json")) == [("a", "1"), ("b", "2")]


def test_a_name_that_stands_twice_in_json_is_seen_twice() -> None:
    assert pairs(read(b'{"a": "1", "a": "2"}', "json")) == [("a", "1"), ("a", "2")]


@pytest.mark.parametrize("value", ["1", "null", "true", '{"b": "c"}', '["c"]'])
def test_what_is_no_text_in_json_is_told_and_not_turned_into_one(value: str) -> None:
    parsed = read(f'{{"a": {value}, "b": "x"}}'.encode(), "json")
    assert (pairs(parsed), said(parsed)) == ([("b", "x")], [(1, "Here is no name with a text as its value.")])


@pytest.mark.parametrize("text", ['{"a": "hunter2"', "hunter2", '"hunter2"', "[" * 100_000, "9" * 5000])
def test_a_file_that_is_no_json_is_told_without_a_word_of_it(text: str) -> None:
    parsed = read(text.encode(), "json")
    assert (parsed.entries, len(parsed.problems)) == ([], 1)
    assert "hunter2" not in parsed.problems[0].sentence


class Watched(str):
    """A text that knows how many of its characters were looked at to count lines."""

    looked = 0

    def count(self, sub: str, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        end = len(self) if end is None else end
        self.looked += end - start
        return super().count(sub, start, end)


@pytest.mark.parametrize("line", ["#\n", "A=\n", "a\n", "A='\n'\n"])
def test_a_file_of_very_many_lines_is_gone_through_once(line: str) -> None:
    text = Watched(line * 500)
    parsed = import_files._env(text)
    assert text.looked <= len(text)
    assert [one.line for one in (*parsed.entries, *parsed.problems)][-1:] in ([], [499 * line.count("\n") + 1])


# --- CSV -------------------------------------------------------------------------------------------------------------
def test_csv_is_read_by_its_head_with_quotes_and_lines_within_them() -> None:
    text = 'value,note,name\r\n"a ""b"", c\r\nd",x,first\r\n\r\n=1+1,,second\r\n'
    parsed = read(text.encode("utf-8-sig"), "csv")
    assert pairs(parsed) == [("first", 'a "b", c\r\nd'), ("second", "=1+1")]
    assert [entry.line for entry in parsed.entries] == [2, 5]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_may_be_parted_by_commas_semicolons_or_tabs(delimiter: str) -> None:
    assert pairs(read(f"name{delimiter}value\na{delimiter}1".encode(), "csv")) == [("a", "1")]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("key,value\na,hunter2", "The first line has to name the columns, with “name” and “value”."),
        ("", "The first line has to name the columns, with “name” and “value”."),
        ("name,value\na,b,hunter2", "This row has 3 cells, and the first line has 2."),
        ('name,value\na,"hunter2', "A quote in this line is not closed, or stands in the middle."),
    ],
)
def test_csv_that_cannot_be_read_is_told(text: str, sentence: str) -> None:
    assert [words for _, words in said(read(text.encode(), "csv"))] == [sentence]


# --- Any file --------------------------------------------------------------------------------------------------------
def test_a_file_of_another_encoding_is_refused_and_one_of_windows_is_read() -> None:
    assert len(read("A=zażółć".encode("iso-8859-2"), "env").problems) == 1
    assert pairs(read("A=zażółć".encode("utf-16"), "env")) == [("A", "zażółć")]


@pytest.mark.parametrize(
    ("name", "word"),
    [(".env", "env"), ("prod.env", "env"), ("a.JSON", "json"), ("a.csv", "csv"), ("a.txt", "env"), ("", "env")],
)
def test_the_format_follows_the_files_name(name: str, word: str) -> None:
    assert format_of(name) == word


@given(st.binary(max_size=200), st.sampled_from(["env", "json", "csv"]))
def test_no_file_breaks_the_reader(content: bytes, word: str) -> None:
    parsed = read(content, word)
    assert all(isinstance(entry.value.expose(), str) for entry in parsed.entries)
