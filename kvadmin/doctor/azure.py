"""What kvadmin needs of Azure: its identity, the vaults, where they send their log, and the workspaces."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from shlex import quote

from django.conf import settings
from django.db import DatabaseError, InterfaceError

from audit.vault_coverage import command as diagnostic_setting
from kvadmin.doctor import mend
from kvadmin.doctor.results import Lines, Seen, by_error, look, off, ok, wrong
from kvadmin.gateway import arm, keyvault, logs, own
from kvadmin.gateway.access import list_role_assignments
from kvadmin.gateway.arm import VaultInfo
from kvadmin.gateway.diagnostics import diagnostics
from kvadmin.gateway.errors import Denied, GatewayError, NoTable
from kvadmin.gateway.paging import AT_ONCE
from kvadmin.gateway.properties import Properties
from vaults.models import Vault
from vaults.tasks import workspaces as known_workspaces

# An ID token that is a minute off is refused, and so is a code of an authenticator app.
MOST_SKEW = timedelta(seconds=60)
LOOK_BACK = timedelta(hours=1)
NOT_EXAMINED = "No vault that Resource Manager shows was examined."
UNREADABLE = (
    "kvadmin may not see where this vault sends its access log, or not the workspace. "
    "It needs Reader, or Monitoring Reader, there."
)


def credential(seen: Seen) -> Lines:
    """The credential gives a token; whose it is."""
    kind = "the emulator's own" if settings.KVADMIN_EMULATOR else settings.KVADMIN_CREDENTIAL
    try:
        identity = own.own_identity()
    except GatewayError as error:
        yield by_error(error, f"KVADMIN_CREDENTIAL is {kind}.", mend.credential())
        return
    seen.signed_in, seen.object_id = True, identity.object_id
    yield ok(
        f"kvadmin signs in to Azure with {kind}: object id {identity.object_id}, client id {identity.app_id}, "
        f"tenant {identity.tenant_id}."
    )
    if not settings.KVADMIN_CLIENT_ID:
        yield look(f"AZURE_CLIENT_ID is not set. Set it to {identity.app_id}: by it kvadmin knows its own reads.")


def clock(seen: Seen) -> Lines:
    """This host's clock against Azure's."""
    theirs = own.azure_time()
    if theirs is None:
        yield look("Azure's answer bore no time, so the clocks could not be compared.")
        return
    skew = abs(datetime.now(UTC) - theirs)
    said = f"This host's clock and Azure's differ by {skew.total_seconds():.0f} s"
    if skew > MOST_SKEW:
        yield wrong(f"{said}: sign-ins fail beyond {MOST_SKEW.total_seconds():.0f}. Let the host follow a time server.")
    else:
        yield ok(f"{said}.")


def resource_manager(seen: Seen) -> Lines:
    """The subscriptions and the vaults that Azure shows."""
    try:
        subscriptions = arm.list_subscriptions(patience=AT_ONCE)
        found = arm.list_vaults(patience=AT_ONCE)
    except GatewayError as error:
        yield by_error(error, command=mend.reader(seen.object_id) if isinstance(error, Denied) else "")
        return
    seen.vaults, seen.listed = found.found, True
    if found.problems:
        for problem in found.problems:
            yield wrong(problem, mend.reader(seen.object_id))
    if subscriptions:
        yield ok(f"Subscriptions seen: {', '.join(sorted(subscriptions.values()))}. Vaults seen: {len(found.found)}.")
    if found.found and found.source != "resource-graph":
        yield look("Resource Graph did not answer; the vaults were listed one subscription after the other.")


def vault(seen: Seen) -> Lines:
    """One vault's list can be read. No value is."""
    seen.vault = _chosen(seen)
    if seen.vault is None:
        named = f"There is no vault called {seen.vault_name}" if seen.vault_name else "There is no vault to try"
        yield wrong(f"{named} that Azure shows to kvadmin.", mend.reader(seen.object_id) if seen.listed else "")
        return
    try:
        page = next(keyvault.list_properties_of_secrets(seen.vault.uri, patience=AT_ONCE), [])
    except GatewayError as error:
        yield by_error(error, f"{seen.vault.name}:", mend.vault(error, seen.vault, seen.object_id))
        return
    yield ok(f"{seen.vault.name} can be listed: its first page holds {len(page)}. No value was read.")
    yield look(
        "Whether values may be revealed is not tried, for that would be a read. It needs Key Vault Secrets User on the "
        "vault, or, with access policies, the permission get."
    )


def _chosen(seen: Seen) -> VaultInfo | None:
    """The vault that was named, or the first one; a vault that only kvadmin's database knows counts as well."""
    name = seen.vault_name.lower()
    found = next((one for one in seen.vaults if name in {"", one.name.lower()}), None)
    row = Vault.objects.filter(name=name).first() if name and not found else None
    return VaultInfo(row.resource_id, row.name, row.uri, "", "", "", {}, Properties(rbac=row.rbac)) if row else found


def role_assignments(seen: Seen) -> Lines:
    """Who can read there by Azure's roles can be shown."""
    if seen.vault is None or not seen.vault.resource_id:
        yield off(NOT_EXAMINED)
        return
    try:
        found = list_role_assignments(seen.vault.resource_id, patience=AT_ONCE)
    except Denied as error:
        command = mend.role(seen.object_id, "Key Vault Reader", quote(seen.vault.resource_id))
        yield by_error(error, f"{seen.vault.name}: who can read there by Azure's roles cannot be shown.", command)
        return
    yield ok(f"Who can read in {seen.vault.name} by Azure's roles can be shown: {len(found)} assignments reach it.")


def diagnostic_settings(seen: Seen) -> Lines:
    """Where that vault sends its access log."""
    if seen.vault is None or not seen.vault.resource_id:
        yield off(NOT_EXAMINED)
        return
    found = diagnostics(seen.vault.resource_id, patience=AT_ONCE)
    seen.workspace_id = found.workspace_id
    name = seen.vault.name
    if found.state == "ok":
        yield ok(f"{name} sends its access log to workspace {found.workspace_id}.")
    elif found.state == "unreadable":
        yield wrong(UNREADABLE, mend.role(seen.object_id, "Monitoring Reader", seen.vault.resource_id))
    else:
        where = "nowhere" if found.state == "no-setting" else "to no workspace"
        yield look(f"{name} sends its access log {where}: kvadmin is blind for it.", _setting(seen.vault))


def _setting(vault: VaultInfo) -> str:
    return diagnostic_setting(Vault(name=vault.name, resource_id=vault.resource_id))


def workspaces(seen: Seen) -> Lines:
    """The access log can be queried, in each workspace that is known."""
    wanted = sorted({*_known(), *filter(None, [seen.workspace_id])})
    if not wanted:
        command = _setting(seen.vault) if seen.vault else ""
        yield wrong("kvadmin knows no workspace, so nobody can see who read what.", command)
    for workspace_id in wanted:
        yield from _workspace(workspace_id, seen)


def _known() -> set[str]:
    """Those of the settings alone, while the database does not answer: its own examination says that."""
    try:
        return known_workspaces()
    except (DatabaseError, InterfaceError):
        return set(settings.KVADMIN_WORKSPACES)


def _workspace(workspace_id: str, seen: Seen) -> Lines:
    now, named = datetime.now(UTC), f"Workspace {workspace_id}:"
    try:
        page = logs.query_audit(workspace_id, now - LOOK_BACK, now)
    except NoTable as error:
        yield by_error(error, named, _setting(seen.vault) if seen.vault else "")
    except Denied as error:
        yield by_error(error, named, mend.workspace(seen.object_id, workspace_id))
    except GatewayError as error:
        yield by_error(error, named)
    else:
        yield ok(f"{named} the access log can be read. Rows of the last hour: {len(page.rows)}.")
