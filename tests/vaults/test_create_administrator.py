"""Somebody has to be the first, and nobody becomes it by coming first: manage.py create_administrator."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.test import Client

from audit.models import LedgerEntry
from kvadmin import actions as a
from tests import factories
from vaults import policy
from vaults.models import Person, Role, RoleAssignment, ScopeKind

PASSWORD = "correct-horse-battery"
pytestmark = pytest.mark.django_db


def create(*arguments: str, password: str = PASSWORD) -> str:
    """What the command says, with the password as the first line of its standard input."""
    said = StringIO()
    call_command("create_administrator", *arguments, stdin=StringIO(f"{password}\n"), stdout=said)
    return said.getvalue().strip()


def test_the_first_administrator_can_sign_in_and_give_roles() -> None:
    said = create("ada", "--first-name", "Ada", "--last-name", "Stern")

    assert said == "Ada Stern can sign in and is an administrator of everything."
    assert Client().login(username="ada", password=PASSWORD)
    assert policy.may(Person.objects.get(username="ada"), a.ROLE_ASSIGN)


def test_the_role_is_on_record_as_kvadmins_own_act(caplog: pytest.LogCaptureFixture) -> None:
    create("ada")

    entry = LedgerEntry.objects.get()
    assert (entry.action, entry.person) == ("role:assign", "kvadmin")
    assert entry.note == "Administrator on everything, to ada: the first administrator, by manage.py"
    assert PASSWORD not in f"{entry.__dict__}{caplog.text}"


def test_there_is_no_second_first_administrator() -> None:
    factories.person("ada", "administrator")

    with pytest.raises(CommandError, match="There is an administrator already"):
        create("bob")

    assert not Person.objects.filter(username="bob").exists()


def test_an_administrator_by_a_group_is_one() -> None:
    group = Group.objects.create(name="platform")
    factories.person("ada").groups.add(group)
    RoleAssignment.objects.create(group=group, role=Role.ADMINISTRATOR, scope_kind=ScopeKind.EVERYTHING)

    with pytest.raises(CommandError, match="There is an administrator already"):
        create("bob")


def test_one_whose_account_is_closed_or_who_administers_a_part_is_none() -> None:
    Person.objects.filter(pk=factories.person("ada", "administrator").pk).update(is_active=False)
    factories.person("cleo", "administrator", environment="dev")

    assert create("bob") == "bob can sign in and is an administrator of everything."


def test_in_an_emergency_another_is_made_and_the_record_says_so() -> None:
    factories.person("ada", "administrator")

    create("bob", "--another")

    assert LedgerEntry.objects.get().note == "Administrator on everything, to bob: another administrator, by manage.py"


def test_a_weak_password_makes_nobody() -> None:
    with pytest.raises(CommandError, match="This password is too short"):
        create("ada", password="short")

    assert (Person.objects.count(), RoleAssignment.objects.count()) == (0, 0)


@pytest.mark.parametrize("path", ["/", "/sign-in/", "/people/", "/roles/assign/", "/sign-up/", "/setup/"])
def test_nobody_becomes_one_by_visiting_first(path: str) -> None:
    client = Client()

    client.get(path)
    client.post(path, {"username": "eve", "login": "eve", "password": PASSWORD, "password1": PASSWORD})

    assert (Person.objects.count(), RoleAssignment.objects.count()) == (0, 0)
