"""Generated values: what they are made of, how rules are told, and who may have one made."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

import pytest
from django.http import HttpResponse
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from audit.models import LedgerEntry
from tests import factories
from vaults.generator import LOOK_ALIKES, SYMBOLS, BadRules, Rules, generate
from vaults.models import Person

ClientOf = Callable[[Person], Client]
HTMX = {"HX-Request": "true"}
ASKED = {"kind": "characters", "length": "24", "lower": "on", "digits": "on"}


@given(
    st.builds(Rules, length=st.integers(8, 40), lower=st.booleans(), upper=st.booleans(), digits=st.just(value=True),
              symbols=st.booleans(), clear=st.booleans())
)  # fmt: skip
def test_a_value_has_the_length_and_every_kind_of_character_that_was_asked_for_and_no_other(rules: Rules) -> None:
    made = generate(rules)
    assert len(made) == rules.length
    assert [bool(set(made) & set(kind)) for kind in rules.classes] == [True] * len(rules.classes)
    assert set(made) - set("".join(rules.classes)) == set()


def test_nothing_that_looks_like_another_character_occurs() -> None:
    made = "".join(generate(Rules(length=1024, symbols=True)) for _ in range(5))
    assert set(made) & LOOK_ALIKES == set()


def test_no_symbol_has_a_meaning_to_a_shell_or_an_env_file() -> None:
    assert set(SYMBOLS) & set("$`\\\"' &;|<>(){}\n") == set()


@pytest.mark.parametrize(("kind", "read"), [("hex", bytes.fromhex), ("base64", base64.b64decode)])
def test_random_bytes_are_written_as_hexadecimal_or_base64(kind: str, read: Callable[[str], bytes]) -> None:
    assert len(read(generate(Rules(kind=kind, length=32)))) == 32


def test_two_values_are_never_the_same() -> None:
    assert len({generate() for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("rules", "words", "bits"),
    [
        (Rules(), "24 characters: small letters, capital letters, digits, none that look alike", 136),
        (Rules("hex", 32), "32 random bytes as hex", 256),
        (Rules(length=10, lower=False, upper=False, clear=False), "10 characters: digits", 33),
    ],
)
def test_rules_say_what_they_are_and_what_they_are_worth(rules: Rules, words: str, bits: int) -> None:
    assert (str(rules), rules.bits) == (words, bits)


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        (Rules(length=7), "The length is a number from 8 to 1,024."),
        (Rules(lower=False, upper=False, digits=False), "Choose at least one kind of character."),
    ],
)
def test_rules_that_allow_nothing_are_refused(rules: Rules, sentence: str) -> None:
    with pytest.raises(BadRules, match=re.escape(sentence)):
        generate(rules)


# --- The answer ------------------------------------------------------------------------------------------------------
def ask(client: Client, **fields: str) -> HttpResponse:
    return client.post("/generate/", {**ASKED, **fields}, headers=HTMX)


@pytest.mark.django_db
def test_an_officer_gets_a_value_in_an_answer_that_nothing_may_store(officer: Person, client_of: ClientOf) -> None:
    answer = ask(client_of(officer))
    value = answer.json()["value"]
    assert re.fullmatch("[a-z0-9]{24}", value)
    assert answer.json()["words"] == "24 characters: small letters, digits; about 124 bits."
    assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.django_db
def test_whoever_may_write_nothing_gets_none(reader: Person, nobody: Person, client_of: ClientOf) -> None:
    elsewhere = factories.person("bob", "secrets-officer", environment="test")
    answers = [ask(client_of(person)) for person in (elsewhere, reader, nobody)]
    assert [answer.status_code for answer in answers] == [200, 403, 403]
    assert ["value" in answer.content.decode() for answer in answers[1:]] == [False, False]
    assert list(LedgerEntry.objects.values_list("action", flat=True)) == ["secret:set", "secret:set"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "field"), [({"length": "7"}, "length"), ({"length": "x"}, "length"), ({"kind": "words"}, "kind")]
)
def test_rules_that_are_wrong_are_told_at_their_field(
    officer: Person, client_of: ClientOf, fields: dict[str, str], field: str
) -> None:
    answer = ask(client_of(officer), **fields)
    assert (answer.status_code, answer.json()["field"], "value" in answer.json()) == (422, field, False)


@pytest.mark.django_db
def test_without_any_kind_of_character_it_says_so(officer: Person, client_of: ClientOf) -> None:
    answer = client_of(officer).post("/generate/", {"kind": "characters", "length": "24"}, headers=HTMX)
    assert (answer.status_code, answer.json()["error"]) == (422, "Choose at least one kind of character.")


@pytest.mark.django_db
def test_a_plain_form_gets_no_page_with_a_value_on_it(officer: Person, client_of: ClientOf) -> None:
    answer = client_of(officer).post("/generate/", ASKED)
    assert (answer.status_code, "value" in answer.json()) == (400, False)
