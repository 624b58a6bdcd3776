"""Who could decide a request, and whether enough of those who said yes still may."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import Group
from django.db.models import Q, QuerySet

from kvadmin import actions as a
from kvadmin.actions import Action
from vaults.models import Person, RevealPolicy, RevealRequest, Role, RoleAssignment, Secret, Vault
from vaults.models.role import ROLE_ACTIONS


def approvers(secret: Secret, requester: Person) -> list[Person]:
    """Everybody who may decide this person's request for this secret at this moment: never the person themselves.

    Somebody who signs in by a second account with the same e-mail address counts as the same person.
    """
    found = holders(a.REQUEST_APPROVE, secret.vault, secret.key)
    return [person for person in found if not same_person(person, requester)]


def holders(action: Action, vault: Vault | None, key: str = "") -> list[Person]:
    """Everybody who may do this there by a role in force; without a vault, anywhere. With their groups."""
    roles = roles_for(action).select_related("vault", "subscription")
    return people_of([role for role in roles if vault is None or role.covers(vault, key)])


def roles_for(action: Action) -> QuerySet[RoleAssignment]:
    """The assignments in force that let somebody do this somewhere."""
    words = [role for role in Role if action in ROLE_ACTIONS[role]]
    return RoleAssignment.objects.in_force().filter(role__in=words)


def people_of(roles: list[RoleAssignment]) -> list[Person]:
    """Those who hold these roles, themselves or by a group, and can still sign in."""
    own, by_group = {role.person_id for role in roles}, {role.group_id for role in roles}
    whose = Q(pk__in=own - {None}) | Q(groups__in=by_group - {None})
    return list(Person.objects.filter(whose, is_active=True).distinct().prefetch_related("groups"))


def same_person(one: Person, other: Person) -> bool:
    return one.pk == other.pk or _human_being(one) == _human_being(other)


def _human_being(account: Person) -> int | str:
    """What all accounts of one person share: the address, if there is one."""
    return account.email.lower() or account.pk


def enough(policy: RevealPolicy, voters: Iterable[Person]) -> bool:
    """Whether these people's yes meets the policy: so many of them, and one of their own for each approver group."""
    return _suffice(policy.approvals_needed, policy.approver_groups.all(), voters)


def _suffice(needed: int, groups: Iterable[Group], voters: Iterable[Person]) -> bool:
    members = _human_beings(voters)
    wanted = [group.pk for group in groups]
    return len(members) >= max(needed, len(wanted), 1) and _each_has_its_own(wanted, members)


def _human_beings(voters: Iterable[Person]) -> dict[int | str, set[int]]:
    """The groups of each, who speaks once with however many accounts."""
    members: dict[int | str, set[int]] = {}
    for voter in voters:
        members.setdefault(_human_being(voter), set()).update(group.pk for group in voter.groups.all())
    return members


def _each_has_its_own(groups: list[int], members: dict[int | str, set[int]]) -> bool:
    """Whether each group can be given one of its members, nobody twice: a maximum matching by augmenting paths."""
    speaks_for: dict[int | str, int] = {}

    def find(group: int, tried: set[int | str]) -> bool:
        for person, theirs in members.items():
            if group in theirs and person not in tried:
                tried.add(person)
                if person not in speaks_for or find(speaks_for[person], tried):
                    speaks_for[person] = group
                    return True
        return False

    return all(find(group, set()) for group in groups)


def counting_voters(request: RevealRequest) -> list[Person]:
    """The voters whose yes counts now: to exactly what is asked now, by somebody who may still decide."""
    votes = request.votes.filter(dropped_at=None, asked_hash=request.asked_hash)
    said_yes = set(votes.values_list("voter_id", flat=True))
    return [person for person in approvers(request.secret, request.requester) if person.pk in said_yes]


def missing(policy: RevealPolicy, eligible: list[Person]) -> str:
    """Why these people could never approve, as a sentence; empty when they could."""
    return lacking(policy.approvals_needed, list(policy.approver_groups.all()), eligible)


def lacking(needed: int, groups: list[Group], eligible: list[Person]) -> str:
    """The same for a policy that is not in force yet."""
    if _suffice(needed, groups, eligible):
        return ""
    if not eligible:
        return "Nobody but you could approve this: no other person holds the Approver role here."
    asks = f"{needed} approval{'s' if needed > 1 else ''}"
    if groups:
        asks += f", and one from each of {', '.join(group.name for group in groups)}"
    if (people := len(_human_beings(eligible))) == 1:
        return f"The policy needs {asks}, and only 1 person could approve this."
    return f"The policy needs {asks}; the {people} people who could approve this do not make that up."
