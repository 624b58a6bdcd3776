"""Pages of lists: of secrets by the row that a page follows, so that the thousandth costs what the first does; of
everything else by number."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from django.core.paginator import EmptyPage, PageNotAnInteger, Paginator
from django.core.paginator import Page as NumberedPage
from django.db.models import DateTimeField, F, Model, Q, QuerySet, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from kvadmin.gateway.keyvault import valid_name
from kvadmin.http import NotThere
from vaults.models import Secret

T = TypeVar("T", bound=Model)
PAGE = 50
_NEVER = datetime(9999, 12, 31, tzinfo=UTC)  # later than anything the gateway hands out
_BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)


class BadCursor(ValueError):
    """The link names a place in the list that no page of ours gave out."""


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of secrets: by `place`, a value that every row has, then by id."""

    label: str
    place: Combinable
    descending: bool = False
    is_time: bool = True


SORTS = {
    "name": Sort("Name", F("key"), is_time=False),
    "expires": Sort("Expires first", Coalesce("expires_on", Value(_NEVER, DateTimeField()))),
    "oldest": Sort("Oldest version first", Coalesce("created_on", Value(_NEVER, DateTimeField()))),
    "updated": Sort("Changed last", Coalesce("updated_on", Value(_BEFORE_ALL, DateTimeField())), descending=True),
}


@dataclass(frozen=True, slots=True)
class Slice:
    """One page, with the cursors of its neighbours ("" where there is none)."""

    rows: Sequence[Secret]
    previous: str = ""
    next: str = ""


def keyset(found: QuerySet[Secret], sort: Sort, cursor: str = "", *, size: int = PAGE) -> Slice:
    """The page that `cursor` names, or the first. One query. Raises BadCursor."""
    backwards, beyond = _read(cursor, sort) if cursor else (False, None)
    down = "-" if sort.descending != backwards else ""
    ordered = found.annotate(place=sort.place).order_by(f"{down}place", f"{down}pk")
    if beyond is not None:
        way, (place, pk) = "lt" if down else "gt", beyond
        ordered = ordered.filter(Q(**{f"place__{way}": place}) | Q(place=place, **{f"pk__{way}": pk}))
    rows = list(ordered[: size + 1])
    more, rows = len(rows) > size, rows[:size]
    if backwards:
        rows.reverse()
    before, after = (more, True) if backwards else (beyond is not None, more)
    first, last = (rows[0], rows[-1]) if rows else (None, None)
    return Slice(rows, _write("b", first) if before else "", _write("a", last) if after else "")


def _write(way: str, row: Secret | None) -> str:
    if row is None:
        return ""
    place = row.place  # type: ignore[attr-defined] # annotated above
    text = json.dumps([way, place.isoformat() if isinstance(place, datetime) else place, row.pk])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read(cursor: str, sort: Sort) -> tuple[bool, tuple[str | datetime, int]]:
    """Whether it leads backwards, and the place and id of the row it leads on from."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        way, place, pk = json.loads(text)
        known = way in {"a", "b"} and isinstance(place, str) and type(pk) is int and 0 < pk < 2**63
        at = _place(place, sort) if known else ""
    except (ValueError, TypeError, OverflowError, binascii.Error, RecursionError):
        raise BadCursor from None
    if not at:
        raise BadCursor
    return way == "b", (at, pk)


def _place(text: str, sort: Sort) -> str | datetime:
    """The place as the database takes it; "" where none of ours is written so. Raises ValueError, OverflowError."""
    if not sort.is_time:
        return text if valid_name(text) else ""
    at = datetime.fromisoformat(text)
    return at.astimezone(UTC) if at.tzinfo else ""


def numbered(found: QuerySet[T], number: str, *, size: int = PAGE) -> NumberedPage[T]:
    """The page with this number. Raises NotThere where there is none."""
    pages = Paginator(found, size)
    try:
        return pages.page(number[:20])
    except PageNotAnInteger:
        raise NotThere("The page of a list is a number, and the link has none.") from None
    except EmptyPage:
        raise NotThere(f"This list has no page {number[:20]}: it ends with page {pages.num_pages}.") from None
