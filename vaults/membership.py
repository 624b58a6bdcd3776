"""People whom Entra vouches for: their accounts, and the groups that Entra says they are in.

An account is found by tenant and object id and nothing else: a local one with the same e-mail is somebody else's. Its
groups are exactly those that Entra told last, and each change is a row in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import Q

from audit import ledger
from kvadmin import actions as a
from kvadmin.entra.claims import Identity
from vaults.models import Person

ENTRA_SAYS = "as Entra says"


def prepare(groups: Iterable[str]) -> None:
    """Have these groups, so that roles can be given to them before the first of their members comes."""
    Group.objects.bulk_create([Group(name=name) for name in sorted(set(groups))], ignore_conflicts=True)


def known(identity: Identity) -> Person | None:
    """The account of this identity, if there is one."""
    return Person.objects.filter(tenant_id=identity.tenant_id, object_id=identity.object_id).first()


def join(identity: Identity, groups: Iterable[str]) -> Person:
    """The account of this identity, made at the first sign-in, with its names of today, in exactly these groups."""
    names = set(groups)
    try:
        return _join(identity, names)
    except IntegrityError:  # somebody was given the same name in this moment: now that is seen, and another is free
        return _join(identity, names)


def _join(identity: Identity, groups: set[str]) -> Person:
    with transaction.atomic():
        person, made = Person.objects.get_or_create(
            tenant_id=identity.tenant_id,
            object_id=identity.object_id,
            defaults={"username": _free_name(identity), "password": "!"},
        )
        person = Person.objects.select_for_update().get(pk=person.pk)
        _rename(person, identity)
        if made:
            note = (
                f"{person} ({identity.object_id} of tenant {identity.tenant_id}) signs in with Entra for the first time"
            )
            ledger.record(a.ROLE_ASSIGN, ledger.CLOCK, note=note)
        _set_groups(person, groups)
    return person


def leave(person: Person, why: str = ENTRA_SAYS) -> None:
    """This person is in no group of kvadmin's any more."""
    with transaction.atomic():
        _set_groups(Person.objects.select_for_update().get(pk=person.pk), set(), why)


def forget(before: datetime) -> int:
    """Take everybody out of their groups whom Entra has not vouched for since then; how many. A sign-in brings back.

    Nobody can use a role without a session, which Entra confirms. But whoever has left would go on counting among those
    who can decide requests, and be written to.
    """
    absent = Q(last_login__lt=before) | Q(last_login=None, date_joined__lt=before)
    people = list(Person.objects.filter(absent, groups__isnull=False).exclude(object_id="").distinct())
    for person in people:
        leave(person, f"as there was no sign-in since {(person.last_login or person.date_joined):%Y-%m-%d}")
    return len(people)


def _rename(person: Person, identity: Identity) -> None:
    if person.username not in _names(identity):
        person.username = _free_name(identity)
    person.first_name, person.last_name, person.email = identity.first_name, identity.last_name, identity.email
    person.save(update_fields=["username", "first_name", "last_name", "email"])


def _free_name(identity: Identity) -> str:
    """The name that Microsoft shows; with a part of the object id where another account, or a local one, has it."""
    others = Person.objects.exclude(tenant_id=identity.tenant_id, object_id=identity.object_id)
    names = _names(identity)
    return next((name for name in names if not others.filter(username__iexact=name).exists()), names[-1])


def _names(identity: Identity) -> list[str]:
    """What an account may be called, the first that is free; the last has the whole object id."""
    shown, own = identity.user_name, identity.object_id
    return [shown or own, f"{shown or 'entra'}+{own[:8]}", f"entra+{own}"]


def _set_groups(person: Person, wanted: set[str], why: str = ENTRA_SAYS) -> None:
    held = {group.name: group for group in person.groups.all()}
    joins, leaves = sorted(wanted - held.keys()), sorted(held.keys() - wanted)
    prepare(joins)
    person.groups.add(*Group.objects.filter(name__in=joins))
    person.groups.remove(*(held[name] for name in leaves))
    for name in joins:
        _record(person, f"joined the group {name}, {why}")
    for name in leaves:
        _record(person, f"left the group {name}, {why}")


def _record(person: Person, what: str) -> None:
    ledger.record(a.ROLE_ASSIGN, ledger.CLOCK, note=f"{person} ({person.username}) {what}")
