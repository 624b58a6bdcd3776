"""Using a grant: its use is spent before Azure is called, and nothing is shown that was taken back meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q

from audit import clock, ledger
from kvadmin import actions as a
from kvadmin.gateway import keyvault
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.on_behalf import OnBehalfOf
from vaults import reveals, rights, turns
from vaults.models import Person, RevealPolicy, RevealRequest, State
from vaults.moves import close, locked, on_record, remember, settle, target, to
from vaults.rules import Refusal

Act, Kind = RevealRequest.Act, RevealRequest.Kind
TAKEN_BACK = "The grant ended while Azure was asked, so the value was not shown."


class Withheld(Exception):
    """Azure gave the value out, and the grant had been taken back or had ended before it could be shown."""

    code = "withheld"
    sentence = TAKEN_BACK

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True)
class Spent:
    """A use that is spent: the request it belongs to, and the attempt whose intent stands in the ledger."""

    request: RevealRequest
    attempt: ledger.Attempt


def reveal(by: Person, actor: ledger.Actor, pk: int, own: OnBehalfOf | None = None) -> keyvault.Read:
    """Show the value that request `pk` is about, to the person who asked, by the grant that they hold.

    The use and the intent are committed together before Azure is called. A definite refusal of Azure gives the use
    back, once, on record. Before the value is returned the grant is looked at again. Raises Refusal, Withheld,
    LedgerUnavailable or a GatewayError; none carries the value.
    """
    spent = spend(by, actor, pk, Act.REVEAL, rights.word(own))
    secret = spent.request.secret
    try:
        read = keyvault.get_secret(
            secret.vault.uri,
            secret.name,
            spent.request.version,
            reveal_id=str(spent.attempt.id),
            on_behalf_of=own,
        )
    except BaseException as error:
        failed(spent, actor, error)
        raise
    _confirm(spent, actor, read)
    return read


def spend(by: Person, actor: ledger.Actor, pk: int, act: RevealRequest.Act, whose: str = "") -> Spent:
    """Commit the use and the intent together, for exactly this act; `whose` are the rights that it uses in Azure.

    Raises Refusal, which is on record.
    """
    refusal = spent = None
    with transaction.atomic():
        turns.of_person(by.pk)
        request = locked(pk)
        now = clock.now()
        settle(request, now)
        try:
            spent = _activate_and_consume(by, actor, request, act, now, whose)
        except Refusal as refused:
            refusal = refused
    if spent is None:
        assert refusal is not None  # noqa: S101 - one of the two is set, for the type checker
        move = ledger.Move(request.pk, request.state, request.state, request.asked_hash)
        on_record(refusal, _action(request), actor, target(request.secret), request.reason, move)
        raise refusal
    return spent


def _activate_and_consume(
    by: Person, actor: ledger.Actor, request: RevealRequest, act: RevealRequest.Act, now: datetime, whose: str
) -> Spent:
    if by.pk != request.requester_id:
        raise Refusal("not-yours", f"Only the person who asked may {_does(request)}.", 403)
    if request.act != act:
        raise Refusal("other-act", f"This grant is for something else: to {_does(request)}.", 403)
    if act == Act.REVEAL and request.kind == Kind.APPROVAL and reveals.is_too_fast(actor):
        raise Refusal(reveals.TooManyReveals.code, reveals.TooManyReveals().sentence, 429)
    if request.state == State.APPROVED:
        request.starts_at, request.ends_at = now, now + timedelta(minutes=request.minutes)
        to(request, State.ACTIVE, actor, a.SECRET_REQUEST, note=f"For {request.minutes} minutes from now.")
    if request.state != State.ACTIVE:
        raise Refusal("state", f"This grant shows nothing: the request is {State(request.state).label.lower()}.")
    if not consume(request, now):
        raise Refusal("used", "This grant was used already, or has just ended.")
    move = ledger.Move(request.pk, State.ACTIVE, State.ACTIVE, request.asked_hash)
    where = ledger.Target(request.secret.vault.name, request.secret.key, request.version)
    begun = ledger.begin(_action(request), actor, where, reason=request.reason, move=move, rights=whose)
    return Spent(request, begun)


def consume(request: RevealRequest, now: datetime) -> bool:
    """Take one use, by a conditional UPDATE: in the half-open window [starts_at, ends_at), while one is left."""
    usable = RevealRequest.objects.filter(pk=request.pk, state=State.ACTIVE, starts_at__lte=now, ends_at__gt=now)
    usable = usable.filter(Q(uses_left=None) | Q(uses_left__gt=0))
    return usable.update(uses_left=F("uses_left") - 1) == 1


def failed(spent: Spent, actor: ledger.Actor, error: BaseException) -> None:
    """On record with its code; and where Azure certainly gave nothing out, the use comes back, once."""
    with transaction.atomic():
        request = locked(spent.request.pk)
        spent.attempt.failed(error)
        if request.use != RevealPolicy.Use.ONCE or request.kind == Kind.BREAK_GLASS or request.state != State.ACTIVE:
            return
        if isinstance(error, GatewayError) and error.definite and not request.given_back:
            request.uses_left, request.given_back = 1, True
            request.save()
            note = f"The use was given back: Azure refused ({error.code})."
            remember(request, _action(request), ledger.CLOCK, State.ACTIVE, note=note)
        else:
            used_up(request, actor)


def _confirm(spent: Spent, actor: ledger.Actor, read: keyvault.Read) -> None:
    """Look at the grant again, under its lock: what was taken back while Azure was asked is withheld."""
    with transaction.atomic():
        request = locked(spent.request.pk)
        settle(request, clock.now())
        shown = request.state == State.ACTIVE
        if shown:
            facts = {"request_id": read.request_id, "region": read.region}
            spent.attempt.revealed(version=read.properties.version, **facts)
            if request.use == RevealPolicy.Use.ONCE and request.kind == Kind.APPROVAL:
                used_up(request, actor)
        else:
            spent.attempt.withheld(code=request.state, note=TAKEN_BACK, request_id=read.request_id)
    if not shown:
        raise Withheld


def used_up(request: RevealRequest, actor: ledger.Actor) -> None:
    """The grant's one use is over, on a locked row."""
    close(request, State.CONSUMED, clock.now(), request.requester, actor, _action(request), "")


def _does(request: RevealRequest) -> str:
    return "purge the secret" if request.act == Act.PURGE else "see the value"


def _action(request: RevealRequest) -> a.Action:
    if request.act == Act.PURGE:
        return a.SECRET_PURGE
    return a.SECRET_BREAK_GLASS if request.kind == Kind.BREAK_GLASS else a.SECRET_REVEAL


def held(by: Person, secret_id: int) -> RevealRequest | None:
    """The person's request to see this secret that is open, if any: an emergency grant first."""
    mine = RevealRequest.objects.filter(requester=by, secret_id=secret_id, act=Act.REVEAL)
    open_ones = mine.filter(state__in=(State.PENDING, State.APPROVED, State.ACTIVE))
    return open_ones.select_related("policy", "secret__vault", "requester").order_by("-kind", "-id").first()
