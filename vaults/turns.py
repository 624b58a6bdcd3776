"""One writer at a time for one secret: Azure has no conditional write, so kvadmin looks and writes within one turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import IntegrityError, transaction

from audit import clock
from vaults.models import Turn, Vault
from vaults.rules import Refusal

LONGEST = timedelta(minutes=2)  # far more than a look and a write may take: then its process has died


@contextmanager
def turn(vault: Vault, key: str, holder: str) -> Iterator[None]:
    """Hold the turn to change this secret (`key` in lower case) while the body runs; no transaction is held open.

    Raises Refusal "busy" when somebody else holds it. It keeps kvadmin's own people apart, in any number of processes;
    whoever writes around kvadmin is found by looking at the newest version.
    """
    mine = _take(vault, key, holder)
    try:
        yield
    finally:
        Turn.objects.filter(pk=mine.pk).delete()


def _take(vault: Vault, key: str, holder: str) -> Turn:
    now = clock.now()
    Turn.objects.filter(vault=vault, key=key, until__lt=now).delete()
    try:
        with transaction.atomic():
            return Turn.objects.create(vault=vault, key=key, until=now + LONGEST, holder=holder[:200])
    except IntegrityError:
        holds = Turn.objects.filter(vault=vault, key=key).values_list("holder", flat=True).first() or "Somebody"
    raise Refusal("busy", f"{holds} is changing this secret at this moment. Look at it again in a minute.")
