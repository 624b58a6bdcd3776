"""A month of the access log: who read what, when, with which program, and the few things that stand out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from kvadmin.emulator import seed_people as people
from kvadmin.emulator.identities import KVADMIN, Identity
from kvadmin.emulator.resources import Vault
from kvadmin.emulator.seed_cloud import PAYMENTS, PLATFORM
from kvadmin.emulator.seed_month import Month
from kvadmin.emulator.seed_people import Client, app, managed
from kvadmin.emulator.state import Azure
from kvadmin.emulator.store import Version

APP_SERVICE, CLUSTER, MACHINE = (
    "Microsoft.Web/sites",
    "Microsoft.ContainerService/managedClusters",
    "Microsoft.Compute/virtualMachines",
)


@dataclass(frozen=True)
class Workload:
    """A program that reads the same few secrets over and over: `every` so many hours, of one vault."""

    identity: Identity
    client: Client
    vault: str
    secrets: tuple[str, ...]
    every: float


@dataclass(frozen=True)
class Staff:
    """A person at work: their vaults, their program, and how many secrets they look at on a working day."""

    identity: Identity
    client: Client
    vaults: tuple[str, ...]
    a_day: int


CHECKOUT = managed("app-checkout", PAYMENTS, APP_SERVICE, "20.50.0.11")
LEDGER = managed("app-ledger", PAYMENTS, APP_SERVICE, "20.50.0.12")
CLUSTER_ONE = managed("aks-platform", PLATFORM, CLUSTER, "20.50.0.20")
LOGIN = managed("app-login", PLATFORM, APP_SERVICE, "20.50.0.31")
BACKUP = managed("vm-backup", PLATFORM, MACHINE, "20.50.0.40")
PIPELINE = app("deploy-pipeline", "203.0.113.60")
SETTLEMENT = app("settlement-batch", "20.50.0.51")
REPORTING = app("reporting", "20.50.0.52")

WORKLOADS = (
    Workload(CHECKOUT, people.DOTNET, "pay-prod", ("checkout-db-password", "checkout-api-key", "db-password"), 0.5),
    Workload(LEDGER, people.DOTNET, "pay-prod", ("ledger-db-connection", "ledger-signing-key"), 0.75),
    Workload(CLUSTER_ONE, people.DRIVER, "platform-prod", ("ingress-api-key", "registry-service-account"), 0.5),
    Workload(CLUSTER_ONE, people.DRIVER, "pay-staging", ("checkout-db-password", "refunds-api-key"), 1),
    Workload(LOGIN, people.JAVA, "identity-prod", ("session-signing-key", "login-db-connection", "mfa-api-key"), 0.5),
    Workload(LOGIN, people.JAVA, "identity-staging", ("login-db-connection",), 1.5),
    Workload(BACKUP, people.PYTHON, "platform-legacy", ("mainframe-password",), 6),
    Workload(SETTLEMENT, people.JAVA, "pay-settlement", ("bank-file-password", "ledger-sftp-key"), 1),
    Workload(REPORTING, people.PYTHON, "pay-prod", ("reconciliation-db-connection",), 2),
    Workload(PIPELINE, people.TERRAFORM, "platform-prod", ("build-agent-token", "kubeconfig"), 3),
    Workload(REPORTING, people.PYTHON, "sandbox-load", ("build-api-key",), 4),
)
STAFF = (
    Staff(people.ADA, people.CLI, ("pay-prod", "pay-staging", "pay-settlement"), 5),
    Staff(people.BRAM, people.PORTAL, ("pay-staging", "pay-prod"), 4),
    Staff(people.CARLA, people.PORTAL, ("identity-prod", "identity-staging"), 4),
    Staff(people.DARIO, people.CLI, ("identity-staging", "identity-prod"), 3),
    Staff(people.ESME, people.CLI, ("platform-prod", "platform-legacy", "pay-prod"), 6),
    Staff(people.FARID, people.POWERSHELL, ("platform-legacy", "platform-prod"), 3),
    Staff(people.GRETA, people.PORTAL, ("pay-settlement", "pay-prod"), 1),
    Staff(people.GUEST, people.PORTAL, ("pay-staging",), 1),
)


def build(azure: Azure, random: Random, days: int) -> None:
    """Put the month into the cloud's log, oldest first."""
    month = Month(azure, azure.clock.now(), days, random)
    for workload in WORKLOADS:
        _work(month, workload)
    for day in range(days + 1):
        midnight = (month.now - timedelta(days=day)).replace(hour=0, minute=0, second=0, microsecond=0)
        for member in STAFF:
            _day_of(month, member, midnight)
        _resource_graph(month, midnight)
    _rotations(month)
    _incidents(month)
    for row in sorted(month.rows, key=lambda row: row.time):
        azure.record(row)


def _work(month: Month, workload: Workload) -> None:
    """Now and then the program starts anew, and its first call is the 401."""
    vault, random = month.azure.vault(workload.vault), month.random
    when = month.now - timedelta(days=month.days, hours=-random.uniform(0, workload.every))
    while when <= month.now:
        if random.random() < 0.04:
            month.challenge(when, vault, workload.identity, workload.client, f"secrets/{workload.secrets[0]}/")
        for position, name in enumerate(workload.secrets):
            month.read(
                when + timedelta(milliseconds=180 * position), vault.name, name, workload.identity, workload.client
            )
        when += timedelta(hours=workload.every * random.uniform(0.9, 1.1))


def _day_of(month: Month, member: Staff, midnight: datetime) -> None:
    """A working day of 8 to 18 o'clock; at the weekend hardly anybody comes."""
    random = month.random
    if midnight.weekday() >= 5 and random.random() > 0.08:
        return
    for _ in range(random.randint(0, member.a_day * 2)):
        when = midnight + timedelta(hours=8 + 10 * random.betavariate(2, 2), seconds=random.random())
        vault = month.azure.vault(random.choice(member.vaults))
        _sitting(month, when, vault, member)


def _sitting(month: Month, when: datetime, vault: Vault, member: Staff) -> None:
    """The 401, a look at the list, then one or two values; sometimes a name is mistyped, sometimes one is refused."""
    random, who, client = month.random, member.identity, member.client
    month.challenge(when, vault, who, client, "secrets?maxresults=25")
    month.browse(when, vault, who, client)
    names = vault.secrets.page("", 10_000)[0]
    for step in range(random.choice((1, 1, 2))):
        later, name = when + timedelta(seconds=8 + 11 * step), random.choice(names).name
        chance = random.random()
        if chance < 0.03:
            month.miss(later, vault, f"{name}-old", who, client)
        elif chance < 0.06:
            month.deny(later, vault, name, who, client)
        else:
            month.read(later, vault.name, name, who, client)


def _resource_graph(month: Month, midnight: datetime) -> None:
    """Azure itself reads every vault's description several times a day."""
    agent = Client("", "AzureResourceGraph.IngestionWorkerService.global/1.24.1.1", "2023-07-01")
    for vault in month.azure.vaults.values():
        for hour in (2, 10, 18):
            path = f"https://management.azure.com{vault.resource_id}?api-version=2023-07-01"
            month.add(midnight + timedelta(hours=hour), "VaultGet", vault, people.RESOURCE_GRAPH, agent, path)


def _rotations(month: Month) -> None:
    """Each version that was made this month was set by somebody."""
    for vault in month.azure.vaults.values():
        for secret in vault.secrets.page("", 10_000)[0]:
            for version in secret.versions.values():
                when = _created(version)
                path = f"secrets/{secret.name}"
                month.add(when, "SecretSet", vault, PIPELINE, people.TERRAFORM, path, 200, f"{path}/{version.id}")


def _incidents(month: Month) -> None:
    """What an auditor should find."""
    midnight = month.now.replace(hour=0, minute=0, second=0, microsecond=0)
    _night_read(month, midnight - timedelta(days=2))
    _stolen_identity(month, midnight - timedelta(days=1))
    _refused_for_an_afternoon(month, midnight - timedelta(days=4))
    _burst(month, midnight - timedelta(days=6))
    _backup(month, midnight - timedelta(days=9))


def _night_read(month: Month, midnight: datetime) -> None:
    """At 03:12 somebody whom nobody has seen before reads the database's password."""
    when, vault = midnight + timedelta(hours=3, minutes=12, seconds=41), month.azure.vault("pay-prod")
    month.challenge(when, vault, people.NEWCOMER, people.CLI, "secrets/db-password/")
    month.read(when, vault.name, "db-password", people.NEWCOMER, people.CLI)


def _stolen_identity(month: Month, midnight: datetime) -> None:
    """kvadmin's own identity reads a value, from elsewhere and with another program: kvadmin never did that."""
    thief = Identity(**{**vars(KVADMIN), "address": "198.51.100.77"})
    month.read(
        midnight + timedelta(hours=22, minutes=47, seconds=5), "identity-prod", "mfa-api-key", thief, people.CURL
    )


def _refused_for_an_afternoon(month: Month, midnight: datetime) -> None:
    """A batch job lost its role, and asked again every ten minutes."""
    vault = month.azure.vault("pay-staging")
    for attempt in range(26):
        month.deny(
            midnight + timedelta(hours=13, minutes=10 * attempt), vault, "ledger-sftp-key", SETTLEMENT, people.JAVA
        )


def _burst(month: Month, midnight: datetime) -> None:
    """Somebody copies most of a vault in a few minutes."""
    for position, secret in enumerate(month.azure.vault("pay-staging").secrets.page("", 40)[0]):
        when = midnight + timedelta(hours=16, minutes=51, seconds=5 * position)
        month.read(when, "pay-staging", secret.name, people.GUEST, people.POWERSHELL)


def _backup(month: Month, midnight: datetime) -> None:
    """A backup holds every version: whoever has it and a vault to restore it into has the values."""
    vault, when = month.azure.vault("platform-prod"), midnight + timedelta(hours=11, minutes=4)
    path = "secrets/kubeconfig"
    month.add(when, "SecretBackup", vault, people.FARID, people.POWERSHELL, f"{path}/backup", 200, path)


def _created(version: Version) -> datetime:
    return datetime.fromtimestamp(version.created, UTC)
