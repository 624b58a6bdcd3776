"""Assign and end roles, set and end reveal policies: each act and its ledger row are one transaction."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone

from audit import ledger
from kvadmin import actions as a
from vaults import policy
from vaults.approvers import people_of, same_person
from vaults.models import Person, RevealPolicy, Role, RoleAssignment, ScopeKind
from vaults.models.scope import Scoped
from vaults.policy import Decision, Refused
from vaults.words import policy_words

LAST = "Nobody would administer everything then. Give that role to somebody else first, who can sign in."


def assign_role(by: Person, actor: ledger.Actor, assignment: RoleAssignment) -> RoleAssignment:
    """Give a role. Nobody gives one to themselves, and nobody reaches further than they hold. Raises Refused."""
    _own_reach(by, actor, a.ROLE_ASSIGN, assignment)
    _not_oneself(by, actor, assignment)
    with transaction.atomic():
        assignment.created_by = by
        assignment.save()
        ledger.record(
            a.ROLE_ASSIGN, actor, _target(assignment), note=f"{assignment}, to {assignment.holder}{_until(assignment)}"
        )
    return assignment


def end_role(by: Person, actor: ledger.Actor, assignment: RoleAssignment) -> bool:
    """End a role now; false when it had ended already. Raises Refused."""
    _own_reach(by, actor, a.ROLE_ASSIGN, assignment)
    with transaction.atomic():
        last = is_last(role=assignment)
        mine = RoleAssignment.objects.filter(pk=assignment.pk, ended_at=None)
        ended = not last and mine.update(ended_at=timezone.now(), ended_by=by) == 1
        if ended:
            ledger.record(
                a.ROLE_ASSIGN, actor, _target(assignment), note=f"Ended: {assignment}, of {assignment.holder}"
            )
    if last:
        _refuse(a.ROLE_ASSIGN, actor, assignment, "last-administrator", LAST)
    return ended


def is_last(*, role: RoleAssignment | None = None, leaver: Person | None = None) -> bool:
    """Whether nobody who can sign in would administer everything, if this role ended, or this person left.

    In the caller's transaction, which whoever else ends such a role waits for: two cannot end each other's at once.
    """
    everywhere = RoleAssignment.objects.in_force().filter(role=Role.ADMINISTRATOR, scope_kind=ScopeKind.EVERYTHING)
    held = list(everywhere.select_for_update().order_by("pk"))
    left = {one.pk for one in people_of([one for one in held if role is None or one.pk != role.pk])}
    return bool(people_of(held)) and not left - {leaver.pk if leaver else None}


def end_all(by: Person, actor: ledger.Actor, person: Person, reason: str) -> int:
    """End every role of this person's own, in the caller's transaction; how many. The caller asks whether it may."""
    own = RoleAssignment.objects.in_force().filter(person=person).select_related("vault", "subscription")
    ending = list(own.order_by("pk"))
    RoleAssignment.objects.filter(pk__in=[one.pk for one in ending]).update(ended_at=timezone.now(), ended_by=by)
    for assignment in ending:
        ledger.record(
            a.ROLE_ASSIGN, actor, _target(assignment), reason=reason, note=f"Ended: {assignment}, of {person}"
        )
    return len(ending)


def set_policy(by: Person, actor: ledger.Actor, new: RevealPolicy, groups: Iterable[Group] = ()) -> RevealPolicy:
    """Put a policy in force, with the groups that each have to approve; the one for exactly this scope ends.

    Raises Refused.
    """
    groups = list(groups)
    _own_reach(by, actor, a.POLICY_EDIT, new)
    with transaction.atomic():
        RevealPolicy.objects.filter(ended_at=None, **new.exactly()).update(ended_at=timezone.now(), ended_by=by)
        new.created_by = by
        new.save()
        new.approver_groups.set(groups)
        words = " ".join(policy_words(new, (group.name for group in groups)))
        ledger.record(a.POLICY_EDIT, actor, _target(new), note=f"{new}: {words}")
    return new


def end_policy(by: Person, actor: ledger.Actor, old: RevealPolicy) -> bool:
    """End a policy now; false when it had ended already. Raises Refused."""
    _own_reach(by, actor, a.POLICY_EDIT, old)
    with transaction.atomic():
        in_force = RevealPolicy.objects.filter(pk=old.pk, ended_at=None)
        ended = in_force.update(ended_at=timezone.now(), ended_by=by) == 1
        if ended:
            ledger.record(a.POLICY_EDIT, actor, _target(old), note=f"Ended: {old}")
    return ended


def reaches(by: Person, action: a.Action, scope: Scoped) -> bool:
    """Whether one of their own roles that may do this holds for all of the scope."""
    return any(role.contains(scope) for role in policy.assignments(by) if action in role.actions)


def within_reach(by: Person, action: a.Action, rows: Iterable[Scoped]) -> set[int]:
    """The ids of those assignments or policies that they may end. The rows bring their vaults along."""
    return {row.pk for row in rows if reaches(by, action, row)}


def _own_reach(by: Person, actor: ledger.Actor, action: a.Action, scope: Scoped) -> None:
    if not reaches(by, action, scope):
        _refuse(action, actor, scope, "beyond-reach", f"Your own role does not reach as far as {scope.scope_text}.")


def _not_oneself(by: Person, actor: ledger.Actor, assignment: RoleAssignment) -> None:
    """Nor to a second account of theirs: whoever has the same e-mail address is the same person."""
    theirs = [assignment.person] if assignment.person else Person.objects.filter(groups=assignment.group)
    if any(same_person(one, by) for one in theirs):
        _refuse(
            a.ROLE_ASSIGN, actor, assignment, "oneself", "Nobody gives a role to themselves: ask another administrator."
        )


def _refuse(action: a.Action, actor: ledger.Actor, scope: Scoped, code: str, why: str) -> None:
    ledger.refuse(action, actor, _target(scope), code=code, note=why)
    raise Refused(Decision(allowed=False, reason=why, code=code))


def _target(scope: Scoped) -> ledger.Target:
    return ledger.Target(vault=scope.vault.name if scope.vault else "")


def _until(assignment: RoleAssignment) -> str:
    return f", until {assignment.ends_at:%Y-%m-%d %H:%MZ}" if assignment.ends_at else ""
