"""A policy in words, as approvers, requesters and the ledger read it."""

from __future__ import annotations

from collections.abc import Iterable

from vaults.models import RevealPolicy

Mode = RevealPolicy.Mode


def policy_words(rule: RevealPolicy, groups: Iterable[str]) -> list[str]:
    """One short sentence for each thing that the policy asks; `groups` are the names of its approver groups."""
    names = list(groups)
    said = [*_values(rule, names), *_form(rule)]
    if rule.purge_approval:
        said.append(f"A purge needs {_approvals(rule, names)}.")
    if rule.break_glass:
        said.append(f"Break-glass is open, for {span(rule.break_glass_minutes)}.")
    return said


def _values(rule: RevealPolicy, groups: list[str]) -> list[str]:
    if rule.mode == Mode.FORBIDDEN:
        return ["Values are never shown."]
    approvals = _approvals(rule, groups)
    if rule.mode == Mode.DIRECT:
        first = f"Secrets Users see values directly; others after {approvals}."
    else:
        first = f"Values are shown after {approvals}."
    once = rule.use == RevealPolicy.Use.ONCE
    use = "One time only" if once else "One time, or as often as needed for a while"
    pinned = rule.version_rule == RevealPolicy.VersionRule.PINNED
    version = "The version that was the latest when it was asked for." if pinned else "The latest version."
    decide = f"A request waits {span(rule.decide_minutes)} for its decision, and as long for its use."
    return [first, f"{use}; at most {span(rule.cap_minutes)}.", version, decide]


def _approvals(rule: RevealPolicy, groups: list[str]) -> str:
    return f"{_number(max(rule.approvals_needed, len(groups)))}{_each(groups)}"


def _number(approvals: int) -> str:
    return "1 approval" if approvals == 1 else f"{approvals} approvals"


def _each(groups: list[str]) -> str:
    return f", one each from {' and '.join(groups)}" if groups else ""


def _form(rule: RevealPolicy) -> list[str]:
    said = []
    if rule.ticket_pattern and (rule.mode != Mode.FORBIDDEN or rule.break_glass or rule.purge_approval):
        said.append(f"The ticket looks like {rule.ticket_pattern}.")
    if rule.sign_in_minutes:
        said.append(f"The sign-in is at most {span(rule.sign_in_minutes)} old.")
    return said


def span(minutes: int) -> str:
    """Minutes in the largest unit that divides them: "45 minutes", "1 hour", "7 days"."""
    for length, unit in ((1440, "day"), (60, "hour")):
        if minutes and minutes % length == 0:
            minutes, noun = minutes // length, unit
            break
    else:
        noun = "minute"
    return f"{minutes} {noun}" + ("" if minutes == 1 else "s")
