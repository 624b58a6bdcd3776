"""Import of values into a vault: what each row of a file would do, and doing it. Values are stored nowhere.

The file stays in the browser. It is sent to be previewed, and once more to be written, with the seal of what was
previewed: a keyed hash, so that nothing on the page tells anything of a value.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.utils.crypto import salted_hmac

from audit import ledger
from audit.ledger import LedgerUnavailable
from kvadmin import actions as a
from kvadmin.gateway.errors import GatewayError, refused
from kvadmin.gateway.keyvault import valid_name
from kvadmin.gateway.rules import MOST_BYTES, size_of
from kvadmin.gateway.values import SecretValue
from vaults import keeping, policy
from vaults.bulk import WIDE
from vaults.import_files import Entry, Parsed
from vaults.models import DeletedSecret, Person, Secret, Vault
from vaults.newest import newest
from vaults.rules import Refusal
from vaults.wishes import Wish

MOST_ROWS = 200  # of one file: they are written while somebody waits
SECONDS = 20.0  # after which what is left is sent with another request
SKIP, VERSION = "skip", "version"
WORDS = {
    "new": "A new secret.",
    "version": "A new version; tags, content type and dates stay.",
    "exists": "There is a secret of this name. It is left alone.",
    "unticked": "Not ticked.",
    "name": "Azure allows letters, digits and hyphens in a name, 1 to 127 of them.",
    "twice": "Two rows have this name: Azure does not tell capital letters from small ones.",
    "bytes": f"Azure takes {MOST_BYTES:,} bytes at most.",
    "empty": "It is empty, and left alone: an empty value would blank the secret.",
    "managed": "This name belongs to a certificate.",
    "deleted": "A deleted secret holds this name: recover it, or purge it, first.",
}
TODO = {"new", "version"}
OWN = {"name", "twice", "bytes", "empty"}  # what the file alone tells


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the file: where it stands, its name there and in Azure, its size, and what would become of it."""

    number: int
    entry: Entry
    name: str
    size: int
    code: str
    sentence: str
    created_on: datetime | None = None  # of the version that a new one would follow

    @property
    def will(self) -> bool:
        return self.code in TODO

    @property
    def is_choice(self) -> bool:
        """Whether a tick makes a difference."""
        return self.code in {*TODO, "unticked"}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the person chose: what happens to names that exist, other names, and the rows to write (None: all)."""

    existing: str = SKIP
    names: Mapping[int, str] = field(default_factory=dict)
    rows: Collection[int] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All rows, and the seal of what they say: it holds for this person, this vault and these very values."""

    rows: list[Row]
    seal: str

    @property
    def todo(self) -> list[Row]:
        return [row for row in self.rows if row.will]


def proposed(name: str) -> str:
    """A name that Azure allows, as near as can be: DB_PASSWORD becomes DB-PASSWORD, and app__key app--key."""
    return re.sub(r"[^0-9A-Za-z-]", "-", name.strip())[:127]


def plan(person: Person, vault: Vault, parsed: Parsed, choice: Choice) -> Plan:
    """What would be written. Two queries beside the person's roles."""
    names = {n: choice.names.get(n) or proposed(entry.name) for n, entry in enumerate(parsed.entries, 1)}
    keys = {name.lower() for name in names.values()}
    known = {row.key: row for row in Secret.objects.filter(vault=vault, key__in=keys, vanished_at=None)}
    deleted = set(DeletedSecret.objects.filter(vault=vault, key__in=keys).values_list("key", flat=True))
    twice = {key for key, n in Counter(name.lower() for name in names.values()).items() if n > 1}
    rows = []
    for number, entry in enumerate(parsed.entries, 1):
        key = names[number].lower()
        there = known.get(key)
        code = _code(entry, names[number], there, deleted, twice, choice)
        if choice.rows is not None and number not in choice.rows and code in TODO:
            code = "unticked"
        sentence = WORDS[code]
        # Before what is there is told: who may not write a name here need not know whether it exists.
        if code not in OWN and not (decision := policy.may(person, a.SECRET_SET, vault, key)):
            code, sentence = "no-right", decision.reason
        created_on = there.created_on if there and code == "version" else None
        rows.append(Row(number, entry, names[number], size_of(entry.value), code, sentence, created_on))
    return Plan(rows, _seal(person, vault, rows))


def _code(entry: Entry, name: str, there: Secret | None, deleted: set[str], twice: set[str], choice: Choice) -> str:
    size = size_of(entry.value)
    found = (
        ("name", not valid_name(name)),
        ("twice", name.lower() in twice),
        ("bytes", not 0 <= size <= MOST_BYTES),
        ("empty", size == 0),
        ("deleted", name.lower() in deleted),
        ("new", there is None),
        ("managed", there is not None and there.managed),
    )
    return next((code for code, holds in found if holds), "version" if choice.existing == VERSION else "exists")


def _seal(person: Person, vault: Vault, rows: list[Row]) -> str:
    facts = [
        [row.number, row.name, row.code, row.created_on.isoformat() if row.created_on else "", _digest(row.entry.value)]
        for row in rows
    ]
    text = json.dumps([person.pk, vault.name, facts])
    return salted_hmac("vaults.imports", text, algorithm="sha256").hexdigest()


def _digest(value: SecretValue) -> str:
    """Within the keyed hash only: never shown, never stored."""
    return hashlib.sha256(value.expose().encode("utf-8", "surrogatepass")).hexdigest()


# --- Writing ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Result:
    """What came of one row: "done", "failed", "left" (not sent, because time was up) or "skipped"."""

    row: Row
    state: str
    sentence: str = ""

    @property
    def again(self) -> bool:
        """Whether it may be sent once more."""
        return self.state in {"failed", "left"}


LEFT = "Not sent yet."
NOT_TRIED = "Not sent, because Azure refused another one: "


def write(actor: ledger.Actor, vault: Vault, planned: Plan, *, reason: str, seconds: float = SECONDS) -> list[Result]:
    """Write the rows one after the other, each as an act of its own in the ledger, until time is up.

    What concerns the whole vault, such as a missing right of kvadmin's, ends it at once.
    """
    todo = planned.todo
    note = f"import: {len(todo)} of {len(planned.rows)} rows are to be written"
    ledger.record(a.SECRET_SET, actor, ledger.Target(vault.name), reason=reason, note=note)
    until, wide, results = time.monotonic() + seconds, "", []
    for row in planned.rows:
        if not row.will:
            results.append(Result(row, "skipped", row.sentence))
        elif wide:
            results.append(Result(row, "left", NOT_TRIED + wide))
        elif time.monotonic() >= until:
            results.append(Result(row, "left", LEFT))
        else:
            result, wide = _write(actor, vault, row, reason)
            results.append(result)
    return results


def _write(actor: ledger.Actor, vault: Vault, row: Row, reason: str) -> tuple[Result, str]:
    """The row's result, and the sentence of an error that meets every other row as well."""
    try:
        _set(actor, vault, row, reason)
    except Refusal as refusal:
        return Result(row, "failed", refusal.sentence), ""
    except LedgerUnavailable as error:
        return Result(row, "failed", error.sentence), error.sentence
    except GatewayError as error:
        unsure = "" if error.definite else f" {keeping.UNKNOWN}"
        return Result(row, "failed", error.sentence + unsure), error.sentence if error.code in WIDE else ""
    return Result(row, "done", WORDS[row.code]), ""


def _set(actor: ledger.Actor, vault: Vault, row: Row, reason: str) -> None:
    if row.code == "new":
        keeping.set_secret(actor, vault, row.name, row.entry.value, Wish(), mark="", reason=reason)
        return
    found = newest(vault, row.name)
    if found.properties is None or found.wish is None or found.properties.created_on != row.created_on:
        raise refused("Somebody wrote a newer version, or deleted it, since kvadmin last looked. Preview it again.")
    keeping.set_secret(actor, vault, row.name, row.entry.value, found.wish, mark=found.mark, reason=reason)
