"""Why may somebody do something somewhere, or why not? The steps of the decision itself, told for a page.

The rules are those of vaults/policy.py, vaults/requests.py and vaults/break_glass.py: nothing is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass

from audit import clock
from kvadmin import actions as a
from kvadmin.actions import Action
from vaults import break_glass, policy, requests
from vaults.approvers import approvers, holders
from vaults.models import Person, RevealPolicy, RevealRequest, Role, ScopeKind, Secret, State, Vault
from vaults.models.role import ROLE_ACTIONS
from vaults.outlook import outlook
from vaults.policy import Decision, RoleStep
from vaults.roles import reaches
from vaults.rules import Refusal

BY_POLICY = {a.SECRET_REVEAL, a.SECRET_REQUEST, a.SECRET_BREAK_GLASS}
NO_ROLE = {"no-role", "no-role-here"}
MOST_NAMES = 12
BEYOND = "A role that lies beyond your own reach."


@dataclass(frozen=True, slots=True)
class Question:
    """May this person do this there? `key` is a secret's lower-case name; `secret` is it, where the reader may know.

    `names`: whether the reader may know who could give what is missing. `reader`: who asks; None: they themselves.
    """

    person: Person
    action: Action
    vault: Vault | None = None
    key: str = ""
    secret: Secret | None = None
    names: bool = False
    reader: Person | None = None


@dataclass(frozen=True, slots=True)
class PolicyStep:
    """One policy that reaches the target, and what makes it hold here, or give way."""

    policy: RevealPolicy
    holds: bool
    why: str


@dataclass(frozen=True, slots=True)
class Missing:
    """What would have to be given, and who could give it: names, where the reader may know them, or a word for them."""

    what: str
    who: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with everything that led to it, as far as the reader may know; `partly` where that is not all."""

    decision: Decision
    roles: list[RoleStep]
    policies: list[PolicyStep]
    request: RevealRequest | None = None
    state: State | None = None
    state_why: str = ""
    missing: tuple[Missing, ...] = ()
    partly: bool = False


def explain(asked: Question) -> Explanation:
    """The decision that the act itself would meet, and its steps. A fixed number of queries."""
    steps = policy.weigh(asked.person, asked.action, asked.vault, asked.key)
    by_policy = asked.action in BY_POLICY
    found = policy.policies_for(asked.vault, asked.key) if asked.vault and by_policy else []
    decision = _decision(asked, steps)
    request, state, state_why = _request(asked) if by_policy else (None, None, "")
    if asked.action == a.SECRET_REVEAL and request and state in (State.APPROVED, State.ACTIVE):
        decision = Decision(allowed=True, reason=f"Request #{request.pk} lets them: it is {state.label.lower()}.")
    missing = () if decision else tuple(_missing(asked, decision))
    seen = [step for step in steps if _is_told(asked, step)]
    if decision and asked.vault is None:  # told by a role that the reader may know of
        decision = policy.decide(seen, asked.action) or Decision(allowed=True, reason=BEYOND)
    partly = len(seen) < len(steps)
    return Explanation(decision, seen, _told(found), request, state, state_why, missing, partly)


def _is_told(asked: Question, step: RoleStep) -> bool:
    """Of somebody else's roles those that reach the place in question, or lie where the reader gives roles themselves:
    any other would name vaults, and beginnings of secrets' names, of which the reader may not know."""
    if asked.reader is None or asked.reader.pk == asked.person.pk:
        return True
    here = asked.vault is not None and step.here
    everywhere = step.role.scope_kind == ScopeKind.EVERYTHING
    return here or everywhere or reaches(asked.reader, a.ROLE_ASSIGN, step.role)


def _decision(asked: Question, steps: list[RoleStep]) -> Decision:
    """Asking and break-glass have conditions beyond the role."""
    decision = policy.decide(steps, asked.action, asked.vault, asked.key)
    if not decision or asked.secret is None:
        return decision
    try:
        if asked.action == a.SECRET_REQUEST:
            requests.askable(asked.person, asked.secret)
        elif asked.action == a.SECRET_BREAK_GLASS:
            break_glass.open_here(asked.person, asked.secret)
    except Refusal as refusal:
        return Decision(allowed=False, reason=refusal.sentence, code=refusal.code)
    return decision


def _told(found: list[RevealPolicy]) -> list[PolicyStep]:
    if not found:
        return []
    first, *others = found
    alone = "It is the most specific one." if others else "It is the only policy that reaches here."
    return [PolicyStep(first, holds=True, why=alone), *(_gives_way(one, first) for one in others)]


def _gives_way(one: RevealPolicy, first: RevealPolicy) -> PolicyStep:
    why = f"“{one.scope_text}” is less specific than “{first.scope_text}”."
    if one.specificity == first.specificity:
        why = "It is as specific, and less strict."
    return PolicyStep(one, holds=False, why=why)


def _request(asked: Question) -> tuple[RevealRequest | None, State | None, str]:
    """The latest request of the person for the secret, and how it stands at this moment."""
    if asked.secret is None:
        return None, None, ""
    theirs = RevealRequest.objects.filter(requester=asked.person, secret=asked.secret, act=RevealRequest.Act.REVEAL)
    theirs = theirs.select_related("policy")
    request = theirs.first()
    if request is None:
        return None, None, ""
    request.requester, request.secret = asked.person, asked.secret
    state, why = outlook(request, clock.now())
    return request, state, why or request.comment


# --- What is missing -------------------------------------------------------------------------------------------------
def _missing(asked: Question, decision: Decision) -> list[Missing]:
    """What would change the answer. A reveal that lacks a role has two ways: the role, or an approval."""
    found = []
    if decision.code in NO_ROLE:
        roles = " or ".join(Role(role).label for role in Role if asked.action in ROLE_ACTIONS[role])
        givers = [one for one in holders(a.ROLE_ASSIGN, asked.vault, asked.key) if one.pk != asked.person.pk]
        found.append(Missing(f"A role that may do this here: {roles}.", _names(asked, givers, "an administrator")))
    if decision.code in {"no-policy", "forbidden", "closed"}:
        setters = holders(a.POLICY_EDIT, asked.vault, asked.key)
        found.append(Missing("Another reveal policy here.", _names(asked, setters, "an administrator")))
    if asked.action == a.SECRET_REVEAL and decision.code in {"needs-approval", *NO_ROLE}:
        found += _an_approval(asked)
    return found


def _an_approval(asked: Question) -> list[Missing]:
    if asked.vault is None or not asked.key:
        return []
    # Where the reader may not know whether there is such a secret, its name alone decides.
    secret = asked.secret or Secret(vault=asked.vault, key=asked.key)
    if not policy.may(asked.person, a.SECRET_REQUEST, secret.vault, secret.key):
        return []
    try:
        requests.askable(asked.person, secret)
    except Refusal as refusal:
        return [Missing(f"An approval; but asking leads nowhere: {refusal.sentence}")]
    deciders = _names(asked, approvers(secret, asked.person), "an approver")
    return [Missing("An approval: it is asked for on the secret's page.", deciders)]


def _names(asked: Question, people: list[Person], word: str) -> str:
    if not asked.names:
        return word
    if not people:
        return "nobody at present"
    shown = ", ".join(str(person) for person in people[:MOST_NAMES])
    return f"{shown} and {len(people) - MOST_NAMES} more" if len(people) > MOST_NAMES else shown
