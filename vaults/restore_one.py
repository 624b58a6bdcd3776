"""One secret out of its backup: restored on record, and what came back compared with what the archive says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from audit import ledger
from kvadmin import actions as a
from kvadmin.gateway import backups as gateway
from kvadmin.gateway import keyvault
from kvadmin.gateway.errors import GatewayError, Throttled
from kvadmin.gateway.keyvault import SecretProperties
from kvadmin.gateway.values import SecretValue
from vaults import rows
from vaults.archive_file import Facts, version_of
from vaults.models import Vault
from vaults.pace import Pace

TRIES = 3
CALLS_EACH = 2  # the restore, and the look at what came back
HEALS = frozenset({"server", "timeout", "unreachable", "bad-answer"})
TAKEN = "The name is taken in the vault, by a live secret or by a deleted one. Nothing was changed."
THERE = "It was there already, with the same versions: an earlier try had restored it."
UNSURE = " Whether Azure did it all the same is not known: trying it again looks first."


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it: "done", "skipped" or "failed", with a code and a sentence where there is something to say."""

    state: str
    code: str = ""
    sentence: str = ""


def restore(actor: ledger.Actor, vault: Vault, facts: Facts, blob: SecretValue, *, reason: str) -> Result:
    """Restore one secret and look at what came back. Raises Throttled, for whoever keeps the pace; LedgerUnavailable.

    Requires secrets/restore on the vault, and secrets/list for the look.
    """
    target = ledger.Target(vault.name, facts["name"].lower())
    try:
        with ledger.attempt(a.SECRET_RESTORE, actor, target, reason=reason) as act:
            written = gateway.restore_secret_backup(vault.uri, blob, act_id=str(act.id))
            version = written.properties.version
            act.done(
                note=f"{len(facts['versions'])} versions in the archive", version=version,
                request_id=written.request_id, region=written.region,
            )  # fmt: skip
    except Throttled:
        raise
    except GatewayError as error:
        return _refused(vault, facts, error)
    rows.store(vault, written.properties)
    return _came_back(vault, facts, written.properties)


def _refused(vault: Vault, facts: Facts, error: GatewayError) -> Result:
    if error.code == "conflict":
        return Result("skipped", "conflict", TAKEN)
    if not error.definite and is_there(vault, facts):
        return Result("done", "", THERE)
    return Result("failed", error.code, error.lasting + ("" if error.definite else UNSURE))


def _came_back(vault: Vault, facts: Facts, newest: SecretProperties) -> Result:
    if newest.name.lower() != facts["name"].lower():
        said = f"Azure restored another secret, {newest.name}: the archive's list does not tell what is in it."
        return Result("failed", "not-as-listed", said)
    try:
        missing = difference(vault, facts)
    except GatewayError as error:
        return Result("done", "unverified", f"Restored, and not verified: {error.lasting}")
    return Result("done", "differs", f"Restored, and it differs: {missing}") if missing else Result("done")


def is_there(vault: Vault, facts: Facts) -> bool:
    """Whether the vault has this very secret, with every version of the archive."""
    try:
        return not difference(vault, facts)
    except GatewayError:
        return False


def difference(vault: Vault, facts: Facts) -> str:
    """How what is in the vault differs from the archive's list; "" where nothing does. Raises GatewayError.

    By metadata, of each version: Azure alone can open a value, and there is no need to read one for this. When a
    version was made is Azure's own word, and not compared.
    """
    listed = keyvault.list_properties_of_secret_versions(vault.uri, facts["name"]).versions
    there = {version.version: _compared(version_of(version)) for version in listed}
    gone = [wanted for wanted in facts["versions"] if wanted["id"] not in there]
    if gone:
        return f"{len(gone)} of {len(facts['versions'])} versions are not there."
    other = [wanted for wanted in facts["versions"] if there[wanted["id"]] != _compared(wanted)]
    return f"{len(other)} versions have other dates, tags or states than in the archive." if other else ""


def _compared(version: Facts) -> Facts:
    return {name: value for name, value in version.items() if name != "created"}


# --- At Azure's pace -------------------------------------------------------------------------------------------------
def at_pace(
    work: Callable[[], Result], pace: Pace, *, rest: Callable[[float], None], throttled: Callable[[Throttled], None]
) -> Result:
    """What came of it, begun when the pace allows it; what time heals is tried again, as it looks first what is there.

    `rest` waits for so many seconds; `throttled` is told each time that Azure said it was too fast.
    """
    tries = 0
    while True:
        while (seconds := pace.pause()) > 0:
            rest(seconds)
        for _ in range(CALLS_EACH):
            pace.began()
        try:
            result = work()
        except Throttled as error:
            pace.refused(error.retry_after)
            throttled(error)
            continue
        tries += 1
        pace.answered()
        if result.code not in HEALS or tries == TRIES:
            return result
