"""Somebody leaves: roles, groups, requests, votes and sessions end in one act, and the account is closed."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q

from audit import ledger
from kvadmin import actions as a
from vaults import policy, requests, roles, sessions
from vaults.models import OPEN, Person, RoleAssignment, ScopeKind, Vote
from vaults.policy import Decision, Refused

NEEDED = (a.ROLE_ASSIGN, a.SESSION_REVOKE)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person holds at this moment. `roles` are their own and those by a group, as far as the reader may know."""

    roles: list[RoleAssignment]
    groups: list[str]
    requests: int
    votes: int
    sessions: int
    is_active: bool
    partly: bool  # whether there may be roles that the reader does not see

    @property
    def holds_something(self) -> bool:
        return bool(self.is_active or self.roles or self.groups or self.requests or self.votes or self.sessions)


@dataclass(frozen=True, slots=True)
class Ended:
    """How much of each was ended."""

    roles: int
    groups: int
    requests: int
    votes: int
    sessions: int

    def __str__(self) -> str:
        parts = {"role": self.roles, "group": self.groups, "request": self.requests, "vote": self.votes}
        parts["session"] = self.sessions
        return ", ".join(f"{n} {noun}{'s' if n != 1 else ''}" for noun, n in parts.items())


def standing(reader: Person, person: Person) -> Standing:
    """What the person holds. Whoever gives roles somewhere only is told of no role elsewhere, which names places."""
    mine = Q(person=person) | Q(group__in=person.groups.values("pk"))
    seen = policy.visible_scopes(reader, a.ROLE_ASSIGN)
    held = RoleAssignment.objects.in_force().filter(mine).filter(seen)
    held = held.select_related("vault", "subscription", "group", "person")
    return Standing(
        roles=list(held.order_by("id")),
        groups=list(person.groups.order_by("name").values_list("name", flat=True)),
        requests=person.reveal_requests.filter(state__in=OPEN).count(),
        votes=Vote.objects.filter(voter=person, dropped_at=None, request__state__in=OPEN).count(),
        sessions=sessions.live(person).count(),
        is_active=person.is_active,
        partly=not policy.may_everywhere(reader, a.ROLE_ASSIGN),
    )


def may_end(by: Person, person: Person) -> Decision:
    """Whether this administrator may end that person's access: their roles must reach everything."""
    for action in NEEDED:
        if not any(role.scope_kind == ScopeKind.EVERYTHING for role in _held(by, action)):
            why = f"To end all of a person's access you need a role that may {action.label.lower()} everywhere."
            return Decision(allowed=False, reason=why, code="beyond-reach")
    if by.pk == person.pk:
        return Decision(
            allowed=False, reason="Nobody ends their own access: ask another administrator.", code="oneself"
        )
    return Decision(allowed=True, reason="Your role reaches everything.")


def _held(by: Person, action: a.Action) -> list[RoleAssignment]:
    return [role for role in policy.assignments(by) if action in role.actions]


def end_access(by: Person, actor: ledger.Actor, person: Person, *, reason: str) -> Ended:
    """End all that this person holds, at once and on record: all of it or, if anything fails, none. Raises Refused.

    Requests are locked before the first row of the ledger, as every other verb does it, so that none waits crosswise.
    """
    decision = may_end(by, person)
    if not decision:
        ledger.refuse(a.SESSION_REVOKE, actor, code=decision.code, note=decision.reason, reason=reason)
        raise Refused(decision)
    with transaction.atomic():
        if not (last := roles.is_last(leaver=person)):
            ended = _end_all(by, actor, person, reason)
    if last:
        ledger.refuse(a.SESSION_REVOKE, actor, code="last-administrator", note=roles.LAST, reason=reason)
        raise Refused(Decision(allowed=False, reason=roles.LAST, code="last-administrator"))
    return ended


def _end_all(by: Person, actor: ledger.Actor, person: Person, reason: str) -> Ended:
    leaver = Person.objects.select_for_update().get(pk=person.pk)
    touched = requests.locked_of(leaver)
    groups = list(leaver.groups.order_by("name").values_list("name", flat=True))
    _close(leaver)
    ended = Ended(
        roles=roles.end_all(by, actor, leaver, reason),
        groups=len(groups),
        votes=requests.drop_votes(actor, leaver, touched, reason),
        requests=requests.end_all(by, actor, leaver, touched, reason),
        sessions=_end_sessions(leaver),
    )
    in_groups = f" Groups: {', '.join(groups)}." if groups else ""
    note = f"Closed the account of {leaver} ({leaver.username}): ended {ended}.{in_groups}"
    ledger.record(a.SESSION_REVOKE, actor, reason=reason, note=note)
    return ended


def _close(leaver: Person) -> None:
    leaver.is_active = False
    leaver.save(update_fields=["is_active"])
    leaver.groups.clear()


def _end_sessions(leaver: Person) -> int:
    """Delete the stored sessions. One that is opened at this very moment is dead too: the account is closed."""
    ended = sessions.live(leaver).count()
    leaver.sessions.all().delete()
    return ended
