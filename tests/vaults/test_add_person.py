"""A local account: manage.py add_person."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from tests import factories
from vaults.models import Person, RoleAssignment

PASSWORD = "correct-horse-battery"
pytestmark = pytest.mark.django_db


def add(*arguments: str, password: str = PASSWORD) -> str:
    """What the command says, with the password as the first line of its standard input."""
    said = StringIO()
    call_command("add_person", *arguments, stdin=StringIO(f"{password}\n"), stdout=said)
    return said.getvalue().strip()


def test_anybody_else_can_sign_in_and_may_do_nothing() -> None:
    assert add("bob") == "bob can sign in."

    assert Client().login(username="bob", password=PASSWORD)
    assert RoleAssignment.objects.count() == 0


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
