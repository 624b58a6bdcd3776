"""Findings of the audit, told to those who may read them: alarms to pagers too, notes to nobody.

A finding's own sentence stays on its page: what is sent are the rule's name and where.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.dispatch import receiver

from audit.finding_models import Finding, Severity
from audit.findings import opened
from audit.rules import BY_WORD
from audit.views.scope import findings_for
from kvadmin import actions as a
from kvadmin.jobs import task
from vaults.approvers import holders
from vaults.models import Person
from vaults.notices import mail
from vaults.notices.channels import PAGERS, channels, post
from vaults.notices.jobs import TRIES
from vaults.notices.words import Notice, link, plain

MOST = 500  # findings that one notice speaks of
LINES = 20


@receiver(opened, dispatch_uid="kvadmin-findings")
def queue(sender: object, findings: Iterable[Finding], **kwargs: Any) -> None:
    """Queue what was found, in the transaction that stores it."""
    if mail.is_open() or channels():
        tell_findings.enqueue([finding.pk for finding in findings][:MOST])


@task(retries=TRIES)
def tell_findings(ids: list[int]) -> int:
    """Queue them for everybody who hears of findings; how many those are."""
    is_alarm = Finding.objects.filter(pk__in=ids, severity=Severity.ALARM).exists()
    hear = holders(a.AUDIT_READ, None) if mail.is_open() else []
    listening = [channel for channel in channels() if is_alarm or channel.kind not in PAGERS]
    with transaction.atomic():
        for person in hear:
            mail_findings.enqueue(ids, person.pk)
        for channel in listening:
            post_findings.enqueue(ids, channel.id)
    return len(hear) + len(listening)


@task(retries=TRIES)
def mail_findings(ids: list[int], person_id: int) -> bool:
    """Mail one person those that they may read and nobody has acknowledged yet; False when there are none."""
    person = Person.objects.filter(pk=person_id, is_active=True).first()
    notice = finding_notice(findings_for(person).filter(pk__in=ids)) if person else None
    return bool(person and notice and mail.send(person, notice))


@task(retries=TRIES)
def post_findings(ids: list[int], channel_id: str) -> bool:
    """Post them to one channel; False when it is no longer set up, or all were acknowledged meanwhile."""
    channel = next((channel for channel in channels() if channel.id == channel_id), None)
    found = Finding.objects.filter(pk__in=ids)
    if channel and channel.kind in PAGERS:
        found = found.filter(severity=Severity.ALARM)
    notice = finding_notice(found)
    if channel is None or notice is None:
        return False
    post(channel, notice, urgent=found.filter(severity=Severity.ALARM).exists())
    return True


def finding_notice(found: QuerySet[Finding]) -> Notice | None:
    """What there is to say of those that are open; None when there are none."""
    open_ones = list(found.filter(acknowledged_at=None).order_by("severity", "-pk"))
    if not open_ones:
        return None
    counts = Counter(_label(finding) for finding in open_ones)
    sentence = "; ".join(f"{label}: {n}" for label, n in counts.items())
    lines = [_line(finding) for finding in open_ones[:LINES]]
    more = [f"and {len(open_ones) - LINES} more"] if len(open_ones) > LINES else []
    number = f"{len(open_ones)} new finding{'s' if len(open_ones) != 1 else ''}"
    return Notice(f"kvadmin: {number}", f"{sentence}.", (*lines, *more), link("findings"))


def _line(finding: Finding) -> str:
    where = " / ".join(plain(name) for name in (finding.vault, finding.secret) if name)
    return f"{_label(finding)}: {where}" if where else _label(finding)


def _label(finding: Finding) -> str:
    rule = BY_WORD.get(finding.rule)
    return rule.label if rule else finding.rule
