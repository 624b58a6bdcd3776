"""Accounts of people whom Entra vouches for, and the groups that they are in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from audit.models import LedgerEntry
from kvadmin.entra.claims import Identity
from tests.entra import ADA, BOB, OTHER_TENANT, TENANT
from vaults import membership, tasks
from vaults.models import Person

WHO = Identity(
    tenant_id=TENANT, object_id=ADA, user_name="ada@contoso.example", first_name="Ada", last_name="Lovelace",
    email="ada@contoso.example", hint="", auth_time=None, roles=frozenset(), groups=frozenset(), groups_left_out=False,
    contexts=frozenset(),
)  # fmt: skip


def names(person: Person) -> list[str]:
    return sorted(group.name for group in person.groups.all())


@pytest.mark.django_db
def test_joining_again_changes_nothing_and_records_nothing() -> None:
    person = membership.join(WHO, ["Readers"])
    rows = LedgerEntry.objects.count()

    assert membership.join(WHO, ["Readers"]) == person
    assert LedgerEntry.objects.count() == rows == 2


@pytest.mark.django_db
def test_a_local_group_that_entra_does_not_tell_is_not_kept() -> None:
    """Its groups are Entra's word: what somebody added here by hand would outlive the reason for it."""
    person = membership.join(WHO, ["Readers"])
    person.groups.add(Group.objects.create(name="By hand"))

    membership.join(WHO, ["Readers"])

    assert names(person) == ["Readers"]


@pytest.mark.django_db
def test_groups_of_others_stay_as_they_are() -> None:
    bob = membership.join(replace(WHO, object_id=BOB, user_name="bob"), ["Readers", "Payments"])

    membership.leave(membership.join(WHO, ["Readers"]))

    assert names(bob) == ["Payments", "Readers"]


@pytest.mark.django_db
def test_somebody_without_a_user_name_is_called_by_the_object_id() -> None:
    assert membership.join(replace(WHO, user_name="", first_name="", last_name=""), ["Readers"]).username == ADA


@pytest.mark.django_db
def test_a_name_that_is_free_again_is_taken_back() -> None:
    other = Person.objects.create_user("Ada@contoso.example")
    assert membership.join(WHO, ["Readers"]).username == f"ada@contoso.example+{ADA[:8]}"
    other.delete()

    renamed = replace(WHO, user_name="ada.king@contoso.example")

    assert membership.join(renamed, ["Readers"]).username == "ada.king@contoso.example"


@pytest.mark.django_db
def test_where_others_have_both_names_the_whole_object_id_is_one() -> None:
    for name in ("Ada@contoso.example", f"ada@contoso.example+{ADA[:8]}"):
        Person.objects.create_user(name)

    assert membership.join(WHO, ["Readers"]).username == f"entra+{ADA}"
    assert membership.join(WHO, ["Readers"]).username == f"entra+{ADA}"


@pytest.mark.django_db
def test_the_same_object_id_and_name_in_another_tenant_is_another_account() -> None:
    Person.objects.create(username="ada@contoso.example", tenant_id=OTHER_TENANT, object_id=ADA)

    assert membership.join(WHO, ["Readers"]).username == f"ada@contoso.example+{ADA[:8]}"


@pytest.mark.django_db
@pytest.mark.parametrize(("days", "left"), [(29, ["Readers"]), (31, [])])
def test_who_has_not_come_for_a_month_is_in_no_group_until_the_next_sign_in(days: int, left: list[str]) -> None:
    person = membership.join(WHO, ["Readers"])
    Person.objects.update(last_login=timezone.now() - timedelta(days=days))

    assert tasks.forget_absent.call() == (0 if left else 1)
    assert names(person) == left
    assert names(membership.join(WHO, ["Readers"])) == ["Readers"]


@pytest.mark.django_db
def test_the_ledger_says_since_when_somebody_has_not_come() -> None:
    membership.join(WHO, ["Readers"])
    Person.objects.update(last_login=datetime(2026, 3, 1, tzinfo=UTC))

    membership.forget(datetime(2026, 4, 1, tzinfo=UTC))

    note = LedgerEntry.objects.latest("seq").note
    assert note == "Ada Lovelace (ada@contoso.example) left the group Readers, as there was no sign-in since 2026-03-01"


@pytest.mark.django_db
def test_local_accounts_are_never_forgotten() -> None:
    local = Person.objects.create_user("bob", last_login=timezone.now() - timedelta(days=4000))
    local.groups.add(Group.objects.create(name="Readers"))

    assert membership.forget(timezone.now()) == 0
    assert names(local) == ["Readers"]


@pytest.mark.django_db(transaction=True)
def test_two_first_sign_ins_at_once_make_one_account() -> None:
    start = Barrier(2)

    def sign_in() -> int:
        start.wait()
        try:
            return membership.join(WHO, ["Readers"]).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        made = [future.result() for future in [pool.submit(sign_in) for _ in range(2)]]

    assert made[0] == made[1]
    assert [entry.note for entry in LedgerEntry.objects.order_by("seq")] == [
        f"Ada Lovelace ({ADA} of tenant {TENANT}) signs in with Entra for the first time",
        "Ada Lovelace (ada@contoso.example) joined the group Readers, as Entra says",
    ]


@pytest.mark.django_db
def test_mapped_groups_are_there_after_migrating_so_that_roles_can_be_given(settings) -> None:
    settings.KVADMIN_OIDC_GROUPS = {"Kv.Readers": "Readers", "Kv.More": "Readers", "Kv.Admins": "Platform"}

    call_command("migrate", verbosity=0)
    call_command("migrate", verbosity=0)

    assert sorted(Group.objects.values_list("name", flat=True)) == ["Platform", "Readers"]
