"""Exports of the inventory: what a list or a search finds, as a file sent while it is made. Each is on record."""

from __future__ import annotations

from collections.abc import Iterator

from django.http import HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_POST

from audit import ledger
from audit.views.export import Recorded, as_file, refused
from kvadmin import actions as a
from kvadmin.http import Request
from vaults import exports, policy, search
from vaults.forms import SearchForm, SecretsForm
from vaults.models import Secret

MOST_FOUND = 100_000  # matches of one search
BAD_FILTER = "Nothing was exported: correct the filter first."
TOO_MANY = f"Nothing was exported: these are more than {MOST_FOUND:,} secrets. Another word narrows it down."


@require_POST
def vault(request: Request, vault: str) -> HttpResponse | StreamingHttpResponse:
    """One vault's secrets, with the filter that stands in the address."""
    item = policy.require_vault(request, a.VAULT_LIST, vault)
    form = SecretsForm(request.GET)
    if not form.is_valid():
        return refused(request, "vault", BAD_FILTER, item.name)
    found = form.narrow(policy.visible_secrets(request.user).filter(vault=item))
    return _send(request, exports.secrets_of(found), ledger.Target(item.name), item.name)


@require_POST
def found(request: Request) -> HttpResponse | StreamingHttpResponse:
    """What a search finds: all of it, and not only the matches that its pages show."""
    policy.require(request, a.SECRET_LIST)
    form = SearchForm(request.GET)
    if not form.is_valid() or not form.query:
        return refused(request, "search", BAD_FILTER)
    live = policy.visible_secrets(request.user).filter(vanished_at=None, vault__vanished_at=None)
    ids = search.matching(live, form.query, MOST_FOUND + 1)
    if len(ids) > MOST_FOUND:
        return refused(request, "search", TOO_MANY)
    return _send(request, exports.secrets_by_id(ids), ledger.NOTHING, "search")


def _send(request: Request, rows: Iterator[Secret], target: ledger.Target, what: str) -> StreamingHttpResponse:
    word = request.POST.get("format", "")
    word = word if word in exports.FORMATS else "csv"
    return send(request, exports.written(word, rows), word, what, f"metadata as {word}", target)


def send(
    request: Request, lines: Iterator[str], word: str, what: str, note: str, target: ledger.Target = ledger.NOTHING
) -> StreamingHttpResponse:
    """The lines as a file in the format `word`; on record before the first of them, with the filter, and after."""
    asked = ", ".join(f"{key}={value[:100]}" for key, value in request.GET.items() if value and key != "at")
    act = ledger.start(a.SECRET_LIST, policy.actor(request), target, note=f"{note}: {asked or 'all'}")
    return as_file(Recorded(lines, act, word), what, word)
