"""The purge: a deleted secret is gone for good. By role alone or, where the policy says so, by a grant of one use."""

from __future__ import annotations

from django.db import transaction

from audit import ledger
from kvadmin import actions as a
from kvadmin.gateway import deleted
from vaults import grants, limbo, purge_rules, requests
from vaults.keeping import acting, done, still_there
from vaults.models import OPEN, DeletedSecret, Person, RevealRequest, Secret, State
from vaults.moves import locked
from vaults.rules import Refusal

Act = RevealRequest.Act
MINUTES = 60  # for another try, when Azure refuses the first
GONE = "Purged. Azure goes on holding the name back for a while."


def purge(by: Person, actor: ledger.Actor, item: DeletedSecret, *, reason: str) -> DeletedSecret:
    """Purge a deleted secret; the caller has asked policy and has had the name typed.

    A grant's use and the intent are committed together before Azure is called. A definite refusal of Azure gives the
    use back, once. Raises Refusal, LedgerUnavailable or a GatewayError; all are on record.
    """
    with acting(a.SECRET_PURGE, actor, item.vault, item.name, reason):
        item = still_there(item)
        if why := purge_rules.why_not(item):
            raise Refusal("not-purgeable", why)
        if purge_rules.approval_rule(item):
            _by_grant(by, actor, item)
        else:
            _by_role(actor, item, reason)
        limbo.goes(item, DeletedSecret.State.PURGING, actor.name)
    return item


def _by_role(actor: ledger.Actor, item: DeletedSecret, reason: str) -> None:
    with ledger.attempt(a.SECRET_PURGE, actor, ledger.Target(item.vault.name, item.key), reason=reason) as act:
        done(act, GONE, deleted.purge_deleted_secret(item.vault.uri, item.name, act_id=str(act.id)))


def _by_grant(by: Person, actor: ledger.Actor, item: DeletedSecret) -> None:
    grant = granted(by, item)
    if grant is None:
        raise Refusal("needs-approval", "The policy here asks for an approval before a purge.", 403)
    spent = grants.spend(by, actor, grant.pk, Act.PURGE)
    try:
        answer = deleted.purge_deleted_secret(item.vault.uri, item.name, act_id=str(spent.attempt.id))
    except BaseException as error:
        grants.failed(spent, actor, error)
        raise
    with transaction.atomic():
        request = locked(spent.request.pk)
        done(spent.attempt, GONE, answer)
        if request.state == State.ACTIVE:
            grants.used_up(request, actor)


def held(by: Person, item: DeletedSecret) -> RevealRequest | None:
    """The person's open request to purge this."""
    mine = RevealRequest.objects.filter(requester=by, act=Act.PURGE, state__in=OPEN)
    mine = mine.filter(secret__vault=item.vault_id, secret__key=item.key)
    return mine.select_related("policy", "secret__vault", "requester").first()


def granted(by: Person, item: DeletedSecret) -> RevealRequest | None:
    """The person's approved request to purge this."""
    request = held(by, item)
    return request if request and request.state in (State.APPROVED, State.ACTIVE) else None


def ask(by: Person, actor: ledger.Actor, item: DeletedSecret, *, reason: str, ticket: str) -> RevealRequest:
    """Ask for the approval that the policy wants. Raises Refusal."""
    rule = purge_rules.approval_rule(item)
    minutes = min(MINUTES, rule.cap_minutes) if rule else MINUTES
    return requests.ask(by, actor, secret_of(item), reason=reason, ticket=ticket, minutes=minutes, act=Act.PURGE)


def secret_of(item: DeletedSecret) -> Secret:
    """The secret's row, which a request points at; made for one that was deleted before kvadmin first looked."""
    columns = ("name", "content_type", "tags", "enabled", "expires_on", "managed")
    facts = {column: getattr(item, column) for column in columns} | {"vanished_at": item.deleted_on or item.since}
    return Secret.objects.get_or_create(vault=item.vault, key=item.key, defaults=facts)[0]
