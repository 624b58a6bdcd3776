"""Somebody has to be the first: manage.py add_person."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from audit.models import LedgerEntry
from kvadmin import actions as a
from tests import factories
from vaults import policy
from vaults.models import Person, Role, RoleAssignment

PASSWORD = "correct-horse-battery"
pytestmark = pytest.mark.django_db


def add(*arguments: str, password: str = PASSWORD) -> str:
    """What the command says, with the password as the first line of its standard input."""
    said = StringIO()
    call_command("add_person", *arguments, stdin=StringIO(f"{password}\n"), stdout=said)
    return said.getvalue().strip()


def test_the_first_administrator_can_sign_in_and_give_roles() -> None:
    said = add("ada", "--first-name", "Ada", "--last-name", "Stern", "--administrator")

    assert said == "Ada Stern can sign in and is the administrator."
    assert Client().login(username="ada", password=PASSWORD)
    assert policy.may(Person.objects.get(username="ada"), a.ROLE_ASSIGN)


def test_the_first_administrators_role_is_on_record_as_kvadmins_own_act() -> None:
    add("ada", "--administrator")

    entry = LedgerEntry.objects.get()
    assert (entry.action, entry.person) == ("role:assign", "kvadmin")
    assert entry.note == "Administrator on everything, to ada: the first administrator, by manage.py"


def test_there_is_no_second_first_administrator() -> None:
    factories.person("ada", "administrator")

    with pytest.raises(CommandError, match="There is an administrator already"):
        add("bob", "--administrator")

    assert not Person.objects.filter(username="bob").exists()


def test_anybody_else_can_sign_in_and_may_do_nothing() -> None:
    assert add("bob") == "bob can sign in."

    assert Client().login(username="bob", password=PASSWORD)
    assert list(RoleAssignment.objects.filter(role=Role.ADMINISTRATOR)) == []


@pytest.mark.parametrize(
    ("name", "password", "why"),
    [
        ("ada", PASSWORD, "A user with that username already exists."),
        ("bob jr", PASSWORD, "Enter a valid username."),
        ("bob", "short", "This password is too short."),
        ("bob", "", "This password is too short."),
    ],
)
def test_a_name_that_is_taken_or_a_weak_password_adds_nobody(name: str, password: str, why: str) -> None:
    factories.person("ada")

    with pytest.raises(CommandError, match=f"^{why}"):
        add(name, password=password)

    assert [str(person) for person in Person.objects.all()] == ["ada"]
