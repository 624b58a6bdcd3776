"""How a request moves: one locked row, one clock, one row in the ledger. The verbs stand on these."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.db import transaction

from audit import clock, ledger
from kvadmin import actions as a
from kvadmin.actions import Action
from vaults import notify
from vaults.models import Person, RevealRequest, Secret, State
from vaults.outlook import end_of, outlook
from vaults.rules import Refusal

Step = Callable[[RevealRequest, datetime], None]


def locked(pk: int) -> RevealRequest:
    """The row, locked until the caller's transaction ends, with all that a verb looks at."""
    rows = RevealRequest.objects.select_for_update(of=("self",))
    return rows.select_related("requester", "secret__vault__subscription", "policy").get(pk=pk)


def settle(request: RevealRequest, now: datetime) -> None:
    """Put what time and events did on record, on a locked row."""
    state, why = outlook(request, now)
    if state == request.state:
        return
    if state == State.REVIEW_DUE:
        request.ends_at = min(end_of(request), now)
        to(request, state, ledger.CLOCK, a.SECRET_BREAK_GLASS, note=why)
    else:
        close(request, state, now, None, ledger.CLOCK, a.SECRET_REQUEST, why)


def move(by: Person, actor: ledger.Actor, pk: int, action: Action, step: Step) -> RevealRequest:
    """Run one verb under the row's lock. A refusal leaves only what time had done anyway, and its own record."""
    refusal = None
    with transaction.atomic():
        request = locked(pk)
        now = clock.now()
        settle(request, now)
        try:
            step(request, now)
        except Refusal as refused:
            refusal = refused
    if refusal:
        where = ledger.Move(request.pk, request.state, request.state, request.asked_hash)
        on_record(refusal, action, actor, target(request.secret), "", where)
        raise refusal
    return request


def to(request: RevealRequest, state: State, actor: ledger.Actor, action: Action, *, note: str = "") -> None:
    """Move a locked row to a state, with its one ledger row."""
    before, request.state = request.state, state
    request.save()
    remember(request, action, actor, before, note=note)
    notify.happened(request, state)


def close(
    request: RevealRequest,
    state: State,
    now: datetime,
    by: Person | None,
    actor: ledger.Actor,
    action: Action,
    why: str,
) -> None:
    """Move a locked row to a state that it never leaves."""
    request.closed_at, request.closed_by, request.comment = now, by, why[:500]
    to(request, state, actor, action, note=why)


def remember(request: RevealRequest, action: Action, actor: ledger.Actor, before: str, *, note: str) -> None:
    step = ledger.Move(request.pk, before, request.state, request.asked_hash)
    ledger.record(action, actor, target(request.secret), reason=request.reason, note=note, move=step)


def target(secret: Secret) -> ledger.Target:
    return ledger.Target(secret.vault.name, secret.key)


def on_record(
    refusal: Refusal,
    action: Action,
    actor: ledger.Actor,
    where: ledger.Target,
    reason: str,
    step: ledger.Move = ledger.NO_MOVE,
) -> None:
    """A refused attempt is a fact too."""
    if not refusal.recorded:
        ledger.refuse(action, actor, where, code=refusal.code, note=refusal.sentence, reason=reason, move=step)
        refusal.recorded = True
