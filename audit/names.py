"""Names of object and application ids: filled in by administrators, shown wherever the log has an id or a login."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from django.db import transaction
from django.utils import timezone

from audit import ledger
from audit.finding_models import DirectoryName
from audit.models import AccessEvent
from kvadmin import actions as a

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOST_ROWS = 2000
MOST_FAULTS = 10
_WIDTH = 200
_HEADS = {"id", "identifier", "objectid", "object id", "appid", "application id", "app id"}
Kind = DirectoryName.Kind


class BadRows(ValueError):
    """The pasted text cannot be taken. `faults` are sentences, each with its line; nothing was stored."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(" ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Named:
    identifier: str
    name: str
    kind: str


# --- Taking in -------------------------------------------------------------------------------------------------------
def read(text: str) -> list[Named]:
    """Rows of `id, name, kind` with commas, semicolons or tabs; a line of headings may come first. Raises BadRows.

    The kind may be left out: then it is an application. A later row for the same id wins.
    """
    text = text.lstrip("\ufeff").strip()
    found: dict[str, Named] = {}
    faults: list[str] = []
    for number, cells in enumerate(_cells(text), 1):
        if not any(cells) or (number == 1 and cells[0].lower() in _HEADS):
            continue
        if fault := _fault(cells):
            faults.append(f"Line {number}: {fault}")
        else:
            found[cells[0].lower()] = _named(cells)
    if len(found) > MOST_ROWS:
        faults.append(f"These are more than {MOST_ROWS:,} names. Take them in in pieces.")
    if faults or not found:
        raise BadRows(faults[:MOST_FAULTS] or ["There is no row in this."])
    return list(found.values())


def _cells(text: str) -> list[list[str]]:
    first = text.partition("\n")[0]
    delimiter = next((sign for sign in "\t;" if sign in first), ",")
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True))
    except csv.Error:
        raise BadRows(["This is no table: a quotation mark is opened and not closed."]) from None
    return [[cell.strip() for cell in row] for row in rows]


def _fault(cells: list[str]) -> str:
    if not GUID.fullmatch(cells[0].lower()):
        return "the first column must be an object id or an application id."
    if len(cells) < 2 or not cells[1]:
        return "the second column must be a name."
    if len(cells[1]) > _WIDTH or not cells[1].isprintable():
        return f"a name has at most {_WIDTH} signs, all of them printable."
    if len(cells) > 2 and cells[2] and _kind(cells[2]) not in Kind.values:
        return f"the third column must be one of {', '.join(Kind.values)}."
    return ""


def _named(cells: list[str]) -> Named:
    return Named(cells[0].lower(), cells[1], _kind(cells[2]) if len(cells) > 2 and cells[2] else Kind.APP)


def _kind(word: str) -> str:
    """In the words of Entra's own lists, too."""
    word = word.lower().replace(" ", "-")
    return {"user": Kind.PERSON, "application": Kind.APP, "serviceprincipal": Kind.APP}.get(word, word)


@transaction.atomic
def fill(actor: ledger.Actor, rows: Iterable[Named]) -> tuple[int, int]:
    """Store the names, on record; how many were new, and how many have changed. Nothing is ever taken out."""
    wanted = {row.identifier: row for row in rows}
    known = {row.identifier: row for row in DirectoryName.objects.select_for_update().filter(identifier__in=wanted)}
    changed = [_renamed(known[key], row, actor) for key, row in wanted.items() if key in known and _differs(known, row)]
    fresh = [_made(row, actor) for key, row in wanted.items() if key not in known]
    DirectoryName.objects.bulk_create(fresh)
    DirectoryName.objects.bulk_update(changed, ["name", "kind", "set_by", "set_at"])
    if fresh or changed:
        ledger.record(a.ROLE_ASSIGN, actor, note=f"Names of ids: {len(fresh)} added, {len(changed)} changed.")
    return len(fresh), len(changed)


def _differs(known: dict[str, DirectoryName], row: Named) -> bool:
    old = known[row.identifier]
    return (old.name, old.kind) != (row.name, row.kind)


def _made(row: Named, actor: ledger.Actor) -> DirectoryName:
    return DirectoryName(
        identifier=row.identifier, name=row.name, kind=row.kind, set_by=actor.name[:_WIDTH], set_at=timezone.now()
    )


def _renamed(old: DirectoryName, row: Named, actor: ledger.Actor) -> DirectoryName:
    old.name, old.kind, old.set_by, old.set_at = row.name, row.kind, actor.name[:_WIDTH], timezone.now()
    return old


# --- Showing ---------------------------------------------------------------------------------------------------------
def names_of(identifiers: Iterable[str]) -> dict[str, str]:
    """The names of those ids that have one. One query."""
    wanted = {identifier for identifier in identifiers if identifier}
    return dict(DirectoryName.objects.filter(identifier__in=wanted).values_list("identifier", "name"))


class Reader(Protocol):
    """An identity that read; one that did so `through` kvadmin has a name already."""

    object_id: str
    through: bool
    named: str


def attach_to_readers(readers: Iterable[Reader]) -> None:
    """Give each identity that came around kvadmin the name of its id, where there is one: `named`. One query."""
    rows = [reader for reader in readers if not reader.through]
    known = names_of(row.object_id for row in rows)
    for row in rows:
        row.named = known.get(row.object_id, "")


def attach(events: Iterable[AccessEvent]) -> None:
    """Give each row the names of its identity and of its client, where they have one: `named` and `via_named`.

    A person's token carries the application id of the client that they used; a program's is the program's own.
    """
    rows = list(events)
    names = names_of([*(row.object_id for row in rows), *(row.app_id for row in rows)])
    for row in rows:
        by_app = names.get(row.app_id, "")
        is_person = row.who_kind == AccessEvent.Kind.PERSON
        row.named = names.get(row.object_id, "") or ("" if is_person else by_app)
        row.via_named = by_app if is_person else ""
