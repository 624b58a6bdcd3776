"""The daily digest: which secrets expire soon, or have just expired and are still in use."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from kvadmin import actions as a
from kvadmin.badges import SOON_DAYS
from vaults import policy
from vaults.models import Person, Role, RoleAssignment, Secret
from vaults.notices.words import Notice, link

JUST_DAYS = 7  # an expired secret is named for so long, for then everybody knows
MOST = 50  # lines of one digest


def officers() -> QuerySet[Person]:
    """Everybody who may write secrets somewhere, by a role of their own or of a group."""
    roles = RoleAssignment.objects.in_force().filter(role=Role.SECRETS_OFFICER)
    own, by_group = roles.values("person"), roles.values("group")
    return Person.objects.filter(Q(pk__in=own) | Q(groups__in=by_group), is_active=True).distinct()


def digest(person: Person | None = None) -> Notice | None:
    """What this person could renew, or everything (for a channel); None when there is nothing to say."""
    secrets = Secret.objects.filter(policy.reach(person, a.SECRET_SET)) if person else Secret.objects.all()
    now = timezone.now()
    near = Q(expires_on__gt=now - timedelta(days=JUST_DAYS), expires_on__lte=now + timedelta(days=SOON_DAYS))
    due = secrets.filter(near, enabled=True, managed=False, vanished_at=None, vault__vanished_at=None)
    lines = [_line(secret) for secret in due.select_related("vault").order_by("expires_on", "pk")[: MOST + 1]]
    return _notice(lines, due.count()) if lines else None


def _line(secret: Secret) -> str:
    return f"{secret.vault.shown_name} / {secret.name}: {secret.expires_on:%Y-%m-%d %H:%MZ}"


def _notice(lines: list[str], total: int) -> Notice:
    shown = lines[:MOST] if total > MOST else lines
    more = (f"and {total - MOST} more",) if total > MOST else ()
    one = total == 1
    subject = f"kvadmin: {total} {'secret expires' if one else 'secrets expire'} soon"
    sentence = (
        f"{total} {'secret' if one else 'secrets'} expired within the last {JUST_DAYS} days "
        f"or will within {SOON_DAYS} days."
    )
    page = link("search")
    return Notice(subject, sentence, (*shown, *more), page and f"{page}?q=is%3Aexpiring")
