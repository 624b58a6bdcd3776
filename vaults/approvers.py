"""Who could decide a request, and whether enough of those who said yes still may."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations

from django.db.models import Q

from kvadmin import actions as a
from vaults.models import Person, RevealPolicy, RevealRequest, Role, RoleAssignment, Secret
from vaults.models.role import ROLE_ACTIONS

_APPROVING = [role for role in Role if a.REQUEST_APPROVE in ROLE_ACTIONS[role]]


def approvers(secret: Secret, requester: Person) -> list[Person]:
    """Everybody who may decide this person's request for this secret at this moment: never the person themselves.

    Somebody who signs in by a second account with the same e-mail address counts as the same person.
    """
    roles = RoleAssignment.objects.in_force().filter(role__in=_APPROVING).select_related("vault", "subscription")
    reaching = [role for role in roles if role.covers(secret.vault, secret.key)]
    people = Person.objects.filter(
        Q(pk__in={role.person_id for role in reaching if role.person_id})
        | Q(groups__in={role.group_id for role in reaching if role.group_id}),
        is_active=True,
    ).distinct()
    return [person for person in people.prefetch_related("groups") if not same_person(person, requester)]


def same_person(one: Person, other: Person) -> bool:
    return one.pk == other.pk or bool(one.email and one.email.lower() == other.email.lower())


def enough(policy: RevealPolicy, voters: Iterable[Person]) -> bool:
    """Whether these people's yes meets the policy: so many of them, and one of their own for each approver group."""
    distinct = {voter.pk: {group.pk for group in voter.groups.all()} for voter in voters}
    wanted = [group.pk for group in policy.approver_groups.all()]
    if len(distinct) < max(policy.approvals_needed, len(wanted), 1):
        return False
    return any(
        all(group in memberships for group, memberships in zip(wanted, chosen, strict=True))
        for chosen in permutations(distinct.values(), len(wanted))
    )


def counting_voters(request: RevealRequest) -> list[Person]:
    """The voters whose yes counts now: to exactly what is asked now, by somebody who may still decide."""
    votes = request.votes.filter(dropped_at=None, asked_hash=request.asked_hash)
    said_yes = set(votes.values_list("voter_id", flat=True))
    return [person for person in approvers(request.secret, request.requester) if person.pk in said_yes]


def missing(policy: RevealPolicy, eligible: list[Person]) -> str:
    """Why these people could never approve, as a sentence; empty when they could."""
    if enough(policy, eligible):
        return ""
    if not eligible:
        return "Nobody but you could approve this: no other person holds the Approver role here."
    groups = ", ".join(group.name for group in policy.approver_groups.all())
    needed = f"{policy.approvals_needed} approvals" + (f", and one from each of {groups}" if groups else "")
    return f"The policy needs {needed}, and only {len(eligible)} people could approve this."
