"""What one person, or program, read; and who read one secret."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from audit import dossiers, leavers, queries
from audit.coverage import coverage
from audit.finding_forms import RANGE, RANGES
from audit.ledger import Target
from audit.models import AccessEvent, LedgerEntry
from audit.readers import Reader
from audit.views import visits
from audit.views.findings import dressed
from audit.views.readers import is_known, resolve
from audit.views.scope import audits_everything, entries_for, events_for, findings_for
from kvadmin import actions as a
from kvadmin.http import NotThere, Request
from vaults import policy
from vaults.inventory import StoredInventory
from vaults.models import Secret

FEW = 10  # findings that are shown; one more tells that there are more
NOBODY = "Nothing is known of such a reader, in what you may audit."
UNKNOWN = "Nothing is known of such a secret, in what you may audit."


@require_safe
def person(request: Request, who: str) -> HttpResponse:
    policy.require(request, a.AUDIT_READ)
    found, account = resolve(who[:300])
    events, entries = events_for(request.user).filter(found.events), entries_for(request.user).filter(found.entries)
    if not (events.exists() or entries.exists()) and not (audits_everything(request.user) and is_known(found, account)):
        raise NotThere(NOBODY)
    length = _range(request)
    visits.on_record(request, "person", {"who": who[:300], "range": length})
    since = timezone.now() - RANGES[length]
    lately = events.filter(at__gte=since), entries.filter(at__gte=since)
    lines = leavers.lines(found, *lately, StoredInventory())
    context = {
        "reader": found,
        "account": account,
        "secrets": _by_secret(lines),
        "cut": lines.cut,
        "reads": dossiers.reads(*lately),
        "findings": dressed(findings_for(request.user).filter(_theirs(found)).order_by("-last_at", "-id")[: FEW + 1]),
        "coverage": coverage(policy.vaults_for(request.user, a.AUDIT_READ).filter(vanished_at=None)),
        **_ranges(length),
    }
    return render(request, "audit/person.html", context)


def _theirs(found: Reader) -> Q:
    addresses = {*found.names, *found.object_ids, *(f"kvadmin:{pk}" for pk in found.person_ids)}
    return Q(reader__in=addresses)


def _by_secret(lines: leavers.Lines) -> list[leavers.Line]:
    """The leaver's lines, drawn together for each secret; the one that was read last stands first."""
    drawn: dict[tuple[str, str], leavers.Line] = {}
    for line in lines:
        kept = drawn.setdefault((line.vault, line.secret), line)
        if kept is not line:
            kept.around, kept.through = kept.around + line.around, kept.through + line.through
            kept.first_read = min(kept.first_read, line.first_read)
            kept.last_read = max(kept.last_read, line.last_read)
    return sorted(drawn.values(), key=lambda line: line.last_read, reverse=True)


@require_safe
def secret(request: Request, vault: str, secret: str) -> HttpResponse:
    policy.require(request, a.AUDIT_READ)
    vault, secret = vault.lower(), secret.lower()
    events = events_for(request.user).filter(vault=vault, name=secret)
    entries = entries_for(request.user).filter(vault=vault, secret=secret)
    stored = Secret.objects.filter(vault__name=vault, key=secret).select_related("vault__subscription").first()
    if not _may_know(request, stored, events, entries):
        raise NotThere(UNKNOWN)
    length = _range(request)
    visits.on_record(request, "secret", {"range": length}, Target(vault, secret))
    since = timezone.now() - RANGES[length]
    lately = events.filter(at__gte=since), entries.filter(at__gte=since)
    findings = findings_for(request.user).filter(vault=vault, secret=secret).order_by("-last_at", "-id")
    readers, cut = dossiers.readers(*lately)
    context = {
        "vault": vault,
        "name": secret,
        "readers": readers,
        "cut": cut,
        "reads": dossiers.reads(*lately),
        "findings": dressed(findings[: FEW + 1]),
        **_stored(request, stored),
        **_ranges(length),
    }
    return render(request, "audit/secret.html", context)


def _stored(request: Request, stored: Secret | None) -> dict[str, Any]:
    """What the inventory has of it, and whether the person may look there, too."""
    return {
        "stored": stored,
        "shown": bool(stored and policy.visible_secrets(request.user).filter(pk=stored.pk).exists()),
        "known": queries.last_reads(stored.vault, stored.key, limit=1).sentence if stored else "",
    }


def _may_know(
    request: Request, stored: Secret | None, events: QuerySet[AccessEvent], entries: QuerySet[LedgerEntry]
) -> bool:
    if stored:
        return policy.may(request.user, a.AUDIT_READ, stored.vault, stored.key).allowed
    return events.exists() or entries.exists()


def _range(request: Request) -> str:
    word = request.GET.get("range", RANGE)
    return word if word in RANGES else RANGE


def _ranges(length: str) -> dict[str, Any]:
    return {"chosen_range": length, "range_links": [(word, _words(RANGES[word])) for word in RANGES]}


def _words(length: timedelta) -> str:
    return "1 year" if length.days == 365 else f"{length.days} days"
