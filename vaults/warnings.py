"""What is amiss with a vault, by best practice: one small rule each, and the `az` command that mends it.

A rule gets what was last seen of one vault and answers a warning or None; it asks nobody. kvadmin itself changes none
of this. Sentences name no identity, for whoever sees the vault reads them; commands that do are marked `about_people`.
Commands are written for a POSIX shell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, ip_network

from audit import vault_coverage
from vaults import environments, exposure
from vaults.az import Blank, assign, az, named, update
from vaults.models import AccessState, AzureAccess, LogState, Vault, VaultDetail, VaultWarning

Level = VaultWarning.Level
SERIOUS, WARNING, NOTE = Level.SERIOUS, Level.WARNING, Level.NOTE
WIDEST = 65_536  # addresses: a /16, more than one organisation's offices and clouds come from
FEW = 3  # identities for which a command is spelt out
SECRETS_USER = "Key Vault Secrets User"


@dataclass(frozen=True, slots=True)
class Seen:
    """One vault as last seen. `elsewhere`: for each identity that reads here, the environments of the other vaults in
    which it reads, too. `own`: kvadmin's own object ids, which read in many vaults by design. `app_id`: its client id.
    """

    vault: Vault
    detail: VaultDetail
    access: Sequence[AzureAccess] = ()
    elsewhere: Mapping[str, frozenset[str]] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    app_id: str = ""

    @property
    def production(self) -> bool:
        return environments.kind(self.vault.environment) == environments.PRODUCTION


@dataclass(frozen=True, slots=True)
class Advice:
    """What is amiss, why it matters, and how to mend it. `heed`: what to know before the commands are run."""

    code: str
    level: VaultWarning.Level
    sentence: str
    why: str
    commands: tuple[str, ...] = ()
    heed: str = ""
    about_people: bool = False


Rule = Callable[[Seen], Advice | None]


# --- The vault itself ------------------------------------------------------------------------------------------------
def no_soft_delete(seen: Seen) -> Advice | None:
    if seen.detail.soft_delete:
        return None
    sentence = "Soft delete is off: a deleted secret is gone at once."
    why = "Nobody can bring back what was deleted by mistake, or the whole vault."
    heed = "It cannot be switched off again."
    return Advice("no-soft-delete", SERIOUS, sentence, why, (update(seen.vault, "--enable-soft-delete", "true"),), heed)


def no_purge_protection(seen: Seen) -> Advice | None:
    if seen.vault.purge_protection:
        return None
    level = WARNING if seen.production else NOTE
    sentence = "Purge protection is off: what is deleted can be destroyed at once."
    why = "Whoever may purge can delete the vault, or a secret, for good: nothing is kept to recover from."
    heed = "It cannot be switched off again; a vault that is deleted keeps its name until its days are over."
    command = update(seen.vault, "--enable-purge-protection", "true")
    return Advice("no-purge-protection", level, sentence, why, (command,), heed)


def open_network(seen: Seen) -> Advice | None:
    if not seen.vault.public_network or seen.detail.default_action != "allow":
        return None
    sentence = "Any address may call: the network is public and has no firewall."
    why = "A stolen credential works from anywhere in the world."
    allow = az("keyvault", "network-rule", "add", *named(seen.vault), "--ip-address", Blank("ADDRESS"))
    heed = (
        "First let in everybody who needs it, kvadmin and the applications among them: once for each ADDRESS, an "
        "address or a range. Behind a private endpoint, the last command may be --public-network-access Disabled."
    )
    return Advice("open-network", WARNING, sentence, why, (allow, update(seen.vault, "--default-action", "Deny")), heed)


def wide_firewall(seen: Seen) -> Advice | None:
    if not seen.vault.public_network or seen.detail.default_action == "allow":
        return None
    wide = [rule for rule in seen.detail.ip_rules if _addresses(rule) > WIDEST]
    if not wide:
        return None
    total = sum(_addresses(rule) for rule in wide)
    sentence = f"The firewall lets in ranges of {total:,} addresses."
    why = "A range so wide holds networks of many others: it is hardly a firewall."
    remove = ("keyvault", "network-rule", "remove", *named(seen.vault), "--ip-address")
    heed = "First add the narrower ranges that are needed, or whoever comes from there is locked out."
    return Advice("wide-firewall", WARNING, sentence, why, tuple(az(*remove, rule) for rule in wide), heed)


def _addresses(rule: str) -> int:
    """How many addresses an IPv4 range holds; 0 for what is none."""
    try:
        network = ip_network(rule, strict=False)
    except ValueError:
        return 0
    return network.num_addresses if isinstance(network, IPv4Network) else 0


def no_logs(seen: Seen) -> Advice | None:
    if seen.vault.log_state not in {LogState.NO_SETTING, LogState.NOT_TO_WORKSPACE}:
        return None
    nowhere = seen.vault.log_state == LogState.NO_SETTING
    level = SERIOUS if seen.production else WARNING
    sentence = (
        "No diagnostic setting sends the access log anywhere." if nowhere else "The access log goes to no workspace."
    )
    why = "Nobody can say who read what here: kvadmin is blind for this vault."
    heed = "WORKSPACE is the resource id of a Log Analytics workspace."
    return Advice("no-logs", level, sentence, why, (vault_coverage.command(seen.vault),), heed)


def template_deployment(seen: Seen) -> Advice | None:
    if not seen.detail.template_deployment:
        return None
    sentence = "Template deployments may take values out of this vault."
    why = "Whoever may deploy with it (Contributor is enough) can have Azure hand them a value without a right to read."
    heed = "Deployments that name secrets of this vault as parameters fail from then on."
    command = update(seen.vault, "--enabled-for-template-deployment", "false")
    return Advice("template-deployment", NOTE, sentence, why, (command,), heed)


# --- Environments ----------------------------------------------------------------------------------------------------
def no_environment(seen: Seen) -> Advice | None:
    if seen.vault.environment:
        return None
    sentence = "No tag names its environment."
    why = "Roles and policies that hold for an environment do not reach it, and nobody sees whether it mixes several."
    merge = ("tag", "update", "--resource-id", seen.vault.resource_id, "--operation", "Merge", "--tags")
    heed = "ENVIRONMENT is a word such as prod or dev."
    command = f'{az(*merge)} environment="$ENVIRONMENT"'
    return Advice("no-environment", NOTE, sentence, why, (command,), heed)


def mixed_environments(seen: Seen) -> Advice | None:
    by_names = set(seen.detail.named_environments)
    found = environments.named_in(seen.vault.environment) | by_names
    if len(environments.named_in(seen.vault.environment)) < 2 and len(by_names) < 2:
        return None
    sentence = f"Secrets of several environments share this vault: {', '.join(sorted(found))}."
    why = "A right to read holds for a whole vault: whoever reads for a test reads production's secrets as well."
    group = ("--resource-group", seen.vault.resource_group, "--location", seen.vault.location or Blank("LOCATION"))
    create = ("keyvault", "create", "--name", Blank("NAME"), *group, "--enable-rbac-authorization", "true")
    heed = "NAME is that of a new vault. Copy the secrets of one environment there, and delete them here at the end."
    return Advice("mixed-environments", WARNING, sentence, why, (az(*create),), heed)


# --- Who can read ----------------------------------------------------------------------------------------------------
def access_unknown(seen: Seen) -> Advice | None:
    if seen.detail.access_state != AccessState.DENIED:
        return None
    sentence = "kvadmin may not read this vault's role assignments, so it cannot say who can read here."
    why = "What is not known is no proof that nobody can."
    own = ("--assignee", seen.app_id or Blank("CLIENT_ID"))
    heed = "Key Vault Reader shows role assignments and metadata, and no value."
    if not seen.app_id:
        heed += " CLIENT_ID is the client id of kvadmin's identity."
    return Advice("access-unknown", WARNING, sentence, why, (assign(own, "Key Vault Reader", seen.vault),), heed)


def access_policies(seen: Seen) -> Advice | None:
    if seen.vault.rbac:
        return None
    sentence = "Access is by access policies, not by Azure roles."
    why = (
        "Policies hold for the whole vault, have no date and no conditions, and whoever may write the vault "
        "(Contributor is enough) can give themselves one."
    )
    give = ("--assignee", Blank("OBJECT_ID"))
    heed = (
        "First give each identity that has a policy its role, or it is locked out: the first command, once for each "
        "OBJECT_ID. A new role takes some minutes to work."
    )
    switch = update(seen.vault, "--enable-rbac-authorization", "true")
    return Advice("access-policies", WARNING, sentence, why, (assign(give, SECRETS_USER, seen.vault), switch), heed)


def wide_policies(seen: Seen) -> Advice | None:
    wide = [row for row in seen.access if row.by == AzureAccess.By.POLICY and {"all", "purge"} & set(row.permissions)]
    if not wide:
        return None
    count = len({row.principal_id for row in wide})
    sentence = f"{_identities(count)} may do everything with secrets here, or purge them, by access policy."
    why = "Reading is rarely all that such an identity can do: it can delete for good as well."
    set_policy = ("keyvault", "set-policy", *named(seen.vault), "--object-id")
    commands = tuple(az(*set_policy, row.principal_id, "--secret-permissions", "get", "list") for row in wide[:FEW])
    heed = "This replaces the identity's secret permissions by get and list."
    return Advice("wide-policies", WARNING, sentence, why, commands, heed, about_people=True)


def wide_roles(seen: Seen) -> Advice | None:
    wide = [row for row in _others(seen) if exposure.is_wide(row.scope)]
    if not wide:
        return None
    count = len({row.principal_id for row in wide})
    verb = "reads" if count == 1 else "read"
    sentence = f"{_identities(count)} {verb} here by a role on a whole subscription or more."
    why = "Such a role reaches every vault there, and those that are made later."
    commands = [command for row in wide[:FEW] for command in _narrowed(row, seen.vault)]
    heed = "First give the role at each vault where it is needed; then end the wide one."
    return Advice("wide-roles", WARNING, sentence, why, tuple(commands), heed, about_people=True)


def across_environments(seen: Seen) -> Advice | None:
    here = environments.kind(seen.vault.environment)
    if not here:
        return None
    rows = [row for row in _others(seen) if _crosses(row, here, seen)]
    if not rows:
        return None
    count = len({row.principal_id for row in rows})
    verb = "reads" if count == 1 else "read"
    sentence = f"{_identities(count)} {verb} both in production and outside it, here among others."
    why = "What leaks from a test then opens production: each environment should have identities of its own."
    commands = tuple(command for row in rows[:FEW] if (command := _ended(row, seen.vault)))
    heed = "End it on one side only, after another identity has taken over there."
    return Advice("across-environments", WARNING, sentence, why, commands, heed, about_people=True)


def _others(seen: Seen) -> list[AzureAccess]:
    """By which rights others than kvadmin read."""
    return [row for row in seen.access if row.reads and not row.own and row.principal_id not in seen.own]


def _crosses(row: AzureAccess, here: str, seen: Seen) -> bool:
    """Whether the identity reads in production and outside it; a vault without a known environment proves nothing."""
    elsewhere = {environments.kind(name) for name in seen.elsewhere.get(row.principal_id, ()) if name}
    if here == environments.PRODUCTION:
        return bool(elsewhere - {environments.PRODUCTION})
    return environments.PRODUCTION in elsewhere


def _narrowed(row: AzureAccess, vault: Vault) -> tuple[str, str]:
    kinds = {AzureAccess.Kind.PERSON: "User", AzureAccess.Kind.GROUP: "Group"}
    kind = kinds.get(AzureAccess.Kind(row.principal_kind), "ServicePrincipal")
    who = ("--assignee-object-id", row.principal_id, "--assignee-principal-type", kind)
    return assign(who, row.role_name, vault), az("role", "assignment", "delete", "--ids", row.assignment_id)


def _ended(row: AzureAccess, vault: Vault) -> str:
    if row.by == AzureAccess.By.ROLE:
        return az("role", "assignment", "delete", "--ids", row.assignment_id)
    return az("keyvault", "delete-policy", *named(vault), "--object-id", row.principal_id)


def _identities(count: int) -> str:
    return "One identity" if count == 1 else f"{count} identities"


RULES: tuple[Rule, ...] = (
    no_soft_delete,
    no_logs,
    no_purge_protection,
    open_network,
    wide_firewall,
    access_policies,
    access_unknown,
    across_environments,
    mixed_environments,
    wide_roles,
    wide_policies,
    template_deployment,
    no_environment,
)
RANK: dict[str, int] = {SERIOUS: 0, WARNING: 1, NOTE: 2}


def ring(seen: Seen) -> list[Advice]:
    """The warnings that hold, the most serious first."""
    found = [warning for rule in RULES if (warning := rule(seen))]
    return sorted(found, key=lambda warning: RANK[warning.level])
