"""The readers of the environment: what they take, and the one line with which they refuse."""

from __future__ import annotations

from pathlib import Path

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured

from kvadmin import env


@pytest.fixture
def variable(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("X", raising=False)
    monkeypatch.delenv("X_FILE", raising=False)
    return monkeypatch


def refused(call: object, *arguments: object, **named: object) -> str:
    """The sentence with which the reader refuses what the environment holds."""
    with pytest.raises(ImproperlyConfigured) as error:
        call(*arguments, **named)  # type: ignore[operator]
    return str(error.value)


def test_text_is_stripped_and_falls_back_to_its_default(variable: pytest.MonkeyPatch) -> None:
    assert env.text("X", "default") == "default"
    variable.setenv("X", "  word \n")
    assert env.text("X", "default") == "word"


def test_a_value_may_come_from_a_file(variable: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("from the file\n", encoding="utf-8")
    variable.setenv("X", "from the variable")
    variable.setenv("X_FILE", str(tmp_path / "x"))

    assert env.text("X") == "from the file"


def test_a_file_that_cannot_be_read_is_named(variable: pytest.MonkeyPatch) -> None:
    variable.setenv("X_FILE", "/nowhere/x")

    assert refused(env.text, "X") == "X_FILE: cannot read '/nowhere/x': No such file or directory."


@pytest.mark.parametrize("word", ["1", "true", "True", "YES", "on"])
def test_a_switch_can_be_on(word: str, variable: pytest.MonkeyPatch) -> None:
    variable.setenv("X", word)

    assert env.switch("X") is True


@pytest.mark.parametrize("word", ["0", "false", "No", "OFF"])
def test_a_switch_can_be_off(word: str, variable: pytest.MonkeyPatch) -> None:
    variable.setenv("X", word)

    assert env.switch("X", default=True) is False


def test_a_switch_that_is_not_set_has_its_default(variable: pytest.MonkeyPatch) -> None:
    assert (env.switch("X"), env.switch("X", default=True)) == (False, True)


def test_anything_else_is_no_switch(variable: pytest.MonkeyPatch) -> None:
    variable.setenv("X", "maybe")

    assert refused(env.switch, "X") == "X: 'maybe' is not a switch; use true or false."


@pytest.mark.parametrize(("value", "number"), [("1", 1), ("9", 9), (" 5 ", 5)])
def test_a_number_may_be_as_low_and_as_high_as_its_bounds(
    value: str, number: int, variable: pytest.MonkeyPatch
) -> None:
    variable.setenv("X", value)

    assert env.number("X", 3, low=1, high=9) == number


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("0", "X: 0 is outside 1 to 9."),
        ("10", "X: 10 is outside 1 to 9."),
        ("ten", "X: 'ten' is not a whole number."),
        ("1.5", "X: '1.5' is not a whole number."),
    ],
)
def test_a_number_outside_its_bounds_is_refused(value: str, sentence: str, variable: pytest.MonkeyPatch) -> None:
    variable.setenv("X", value)

    assert refused(env.number, "X", 3, low=1, high=9) == sentence


def test_a_choice_is_one_of_those_offered(variable: pytest.MonkeyPatch) -> None:
    assert env.choice("X", "a", ("a", "b")) == "a"
    variable.setenv("X", "c")
    assert refused(env.choice, "X", "a", ("a", "b")) == "X: 'c' is not one of a, b."


def test_words_are_separated_by_commas_and_empty_ones_do_not_count(variable: pytest.MonkeyPatch) -> None:
    assert env.words("X") == []
    variable.setenv("X", " a, ,b,")
    assert env.words("X") == ["a", "b"]


def test_pairs_are_separated_by_commas(variable: pytest.MonkeyPatch) -> None:
    assert env.pairs("X") == {}
    variable.setenv("X", "Kv.Readers = Readers,b=Platform Team=1,")
    assert env.pairs("X") == {"Kv.Readers": "Readers", "b": "Platform Team=1"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a", "X: 'a' is not of the form KEY=VALUE."),
        ("a=", "X: 'a=' is not of the form KEY=VALUE."),
        ("=b", "X: '=b' is not of the form KEY=VALUE."),
        ("a=b, a=c", "X: 'a' is named twice."),
    ],
)
def test_a_pair_that_is_none_is_refused(text: str, sentence: str, variable: pytest.MonkeyPatch) -> None:
    variable.setenv("X", text)

    assert refused(env.pairs, "X") == sentence


def test_a_database_url_becomes_djangos_dictionary(variable: pytest.MonkeyPatch) -> None:
    variable.setenv("X", "postgres://ada:hunter2@db.example.com:5433/kvadmin")

    found = env.url_config("X", "sqlite://:memory:", environ.Env.db_url_config)

    assert (found["ENGINE"], found["HOST"], found["PORT"], found["NAME"]) == (
        "django.db.backends.postgresql",
        "db.example.com",
        5433,
        "kvadmin",
    )


@pytest.mark.parametrize(
    "url", ["postgres://ada:hunter2@[db", "postgres://ada:hunter2@db", "what://ada:hunter2@db/x", "hunter2"]
)
def test_a_url_that_cannot_be_read_is_refused_without_showing_its_password(
    url: str, variable: pytest.MonkeyPatch
) -> None:
    variable.setenv("X", url)

    sentence = refused(env.url_config, "X", "sqlite://:memory:", environ.Env.db_url_config)

    assert sentence == "X: cannot be read as a URL of that kind."
