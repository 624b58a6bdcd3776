"""A day in the life of a log, run through the product itself: many callers, late and doubled rows, and a thief.

The clock is moved from hour to hour. In each hour the callers call, people reveal values through kvadmin, somebody who
holds kvadmin's stolen credential reads a few beside it, and at its end kvadmin takes in what the log shows by then.
`Report` says what must hold. Random, and the same for the same seed.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import time_machine

from audit import ingest
from audit.ledger import Actor
from audit.models import AccessEvent
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.identities import AZURE_CLI, KVADMIN, Identity
from kvadmin.emulator.state import AuditRow, Azure, Workspace
from kvadmin.gateway.errors import GatewayError
from tests import factories
from vaults import reveals
from vaults.models import Secret

SUBSCRIPTION = "1a6f0000-0000-4000-8000-000000000001"
LOGS = "99999999-0000-4000-8000-000000000001"
VERSION = "6b1f0c0a9d3e4f0f8f3c2b1a09876543"
START = datetime(2026, 11, 20, tzinfo=UTC)
VAULTS, SECRETS = 4, 25
# operation, status, weight: what callers do all day.
CALLS = (
    ("SecretGet", 200, 60),
    ("SecretGet", 403, 8),
    ("SecretGet", 404, 3),
    ("SecretList", 200, 15),
    ("SecretSet", 200, 4),
    ("SecretBackup", 200, 1),
    ("KeySign", 200, 9),
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything. `lost` of the reveals lose their answer, `forged` of the injected reads copy an agent."""

    events: int = 100_000
    identities: int = 200
    hours: int = 24
    reveals: int = 500
    lost: int = 50
    injected: int = 50
    forged: int = 20
    row_limit: int = 6_000  # what one answer of the workspace holds: more is cut


@dataclass
class Report:
    """What came of it. `wrong` is empty when every goal was reached."""

    events: int = 0
    stored: int = 0
    explained: int = 0
    unexplained: int = 0
    lost_answers: int = 0
    forged: int = 0
    wrong: list[str] = field(default_factory=list)

    def expect(self, what: str, found: set[str], wanted: set[str]) -> None:
        """Note what is missing and what is too much."""
        if missing := wanted - found:
            self.wrong.append(f"{what}: {len(missing)} missing, such as {min(missing)}")
        if extra := found - wanted:
            self.wrong.append(f"{what}: {len(extra)} too many, such as {min(extra)}")


class Simulation:
    """One world, from its first hour to its last."""

    def __init__(self, azure: Azure, size: Size, seed: int = 7) -> None:
        self.azure, self.size = azure, size
        self.random = random.Random(seed)  # noqa: S311 - chance for a test
        self.report = Report(events=size.events)
        self.workspace = self._cloud()
        self.people = {f"person {number}": factories.person(f"person {number}").pk for number in range(200)}
        self.callers = [self._caller(number) for number in range(size.identities)]
        self.revealed: dict[str, str] = {}  # correlation id: person
        self.lost: set[str] = set()
        self.stolen: set[str] = set()
        self.forged: set[str] = set()
        self.reads: list[AuditRow] = []  # what the reveals left in Azure's log

    # --- The world ---------------------------------------------------------------------------------------------------
    def _cloud(self) -> Workspace:
        """Every row is in both tables, a twentieth of them twice in each, up to an hour late, out of order."""
        self.azure.add_subscription(SUBSCRIPTION, "Payments")
        workspace = self.azure.add_workspace(
            "logs", subscription_id=SUBSCRIPTION, customer_id=LOGS, tables=("AZKVAuditLogs", "AzureDiagnostics"),
            delay=timedelta(hours=1),
        )  # fmt: skip
        workspace.duplicates, workspace.row_limit = 0.05, self.size.row_limit
        self.secrets: list[Secret] = []
        for number in range(VAULTS):
            name = f"pay-{number}"
            self.azure.add_vault(name, subscription_id=SUBSCRIPTION, workspace=workspace.resource_id)
            vault = factories.vault(name, log_state="ok", workspace_id=LOGS)
            for key in (f"secret-{n:02}" for n in range(SECRETS)):
                self.azure.put_secret(name, key, "value", at=START - timedelta(days=30))
                self.secrets.append(factories.secret(vault, key))
        return workspace

    def _caller(self, number: int) -> Identity:
        kind = ("person", "app", "managed-identity")[number % 3]
        app_id = AZURE_CLI if kind == "person" else str(uuid.UUID(int=10_000 + number))
        return Identity(
            kind,
            str(uuid.UUID(int=20_000 + number)),
            app_id,
            upn=f"person-{number}@contoso.example" if kind == "person" else "",
            resource_id=f"/subscriptions/x/providers/Microsoft.Web/sites/app-{number}" if number % 3 == 2 else "",
            address=f"198.51.100.{number % 250}",
        )

    # --- The day -----------------------------------------------------------------------------------------------------
    def run(self) -> Report:
        """All hours, and two more in which the last rows arrive."""
        for hour in range(self.size.hours):
            self._hour(START + timedelta(hours=hour), self._share(self.size.events, hour), hour)
            self._take_in(START + timedelta(hours=hour + 1))
        for hour in (1, 2):
            self._take_in(START + timedelta(hours=self.size.hours + hour))
        self._judge()
        return self.report

    def _share(self, whole: int, hour: int) -> int:
        return whole * (hour + 1) // self.size.hours - whole * hour // self.size.hours

    def _hour(self, start: datetime, events: int, hour: int) -> None:
        reveals_now = self._share(self.size.reveals, hour)
        injected = self._share(self.size.injected, hour)
        acts = ["reveal"] * reveals_now + ["steal"] * injected
        self.random.shuffle(acts)
        if not self.revealed:
            acts.sort()  # nobody can copy the agent of a reveal before there was one
        for number, act in enumerate(acts):
            at = start + timedelta(hours=1) * (number + self.random.random()) / len(acts)
            with time_machine.travel(at, tick=False):
                self._reveal() if act == "reveal" else self._steal(at)
        for at in self._moments(start, events - len(acts)):
            self._call(at)

    def _moments(self, start: datetime, many: int) -> Iterator[datetime]:
        """Out of order, as callers come."""
        return (start + timedelta(hours=1) * self.random.random() for _ in range(many))

    def _reveal(self) -> None:
        """Somebody sees a value through kvadmin; now and then Azure's answer is lost on its way."""
        secret = self.random.choice(self.secrets)
        person = f"person {self.random.randrange(200)}"
        lost = (len(self.revealed) + 1) * self.size.lost // self.size.reveals > len(self.lost)
        if lost:
            self.azure.faults.set(secret.vault.name, Fault("lost", operations=frozenset({"SecretGet"}), times=1))
        try:
            reveals.reveal(Actor(str(self.people[person]), person), secret, reason="INC-1")
        except GatewayError:
            assert lost
        row = next(row for row in reversed(self.azure.log) if row.operation == "SecretGet" and row.identity == KVADMIN)
        self.revealed[row.correlation_id] = person
        self.reads.append(row)
        if lost:
            self.lost.add(row.correlation_id)

    def _steal(self, at: datetime) -> None:
        """A read with kvadmin's credential, by somebody else; some of them say that they are a reveal that was."""
        if len(self.stolen) * self.size.forged // self.size.injected >= len(self.forged):
            copied = self.random.choice(self.reads[-20:])
            self._log(at, copied.operation, 200, KVADMIN, agent=copied.client_info, like=copied)
            self.forged.add(self.azure.log[-1].correlation_id)
        else:
            self._log(at, "SecretGet", 200, KVADMIN, agent="curl/8.5.0")
        self.stolen.add(self.azure.log[-1].correlation_id)

    def _call(self, at: datetime) -> None:
        [(operation, status, _)] = self.random.choices(CALLS, [weight for *_, weight in CALLS])
        self._log(at, operation, status, self.random.choice(self.callers))

    def _log(
        self,
        at: datetime,
        operation: str,
        status: int,
        who: Identity,
        *,
        agent: str = "AZURECLI/2.79.0",
        like: AuditRow | None = None,
    ) -> None:
        secret = self.random.choice(self.secrets)
        vault = like.vault if like else self.azure.vault(secret.vault.name)
        thing = f"{vault.uri}{'keys/k' if operation == 'KeySign' else f'secrets/{secret.key}'}"
        found = operation not in {"SecretList"} and status == 200
        row = AuditRow(
            time=at,
            operation=operation,
            status=status,
            vault=vault,
            identity=who,
            caller_address=who.address,
            client_info=agent,
            request_uri=like.request_uri if like else f"{thing}/?api-version=2026-04-01",
            object_id_url=like.object_id_url if like else f"{thing}/{VERSION}" if found else "",
            correlation_id=str(uuid.UUID(int=self.random.getrandbits(128))),
        )
        self.azure.record(row)

    # --- What kvadmin makes of it ------------------------------------------------------------------------------------
    def _take_in(self, now: datetime) -> None:
        """At no hour is a read of kvadmin's own called an alarm."""
        with time_machine.travel(now, tick=False):
            counts = ingest.ingest_audit([LOGS])
        if counts.failed or counts.unreadable:
            self.report.wrong.append(f"{now}: {counts.failed} failed, {counts.unreadable} unreadable")
        if extra := self._ids(match="unexplained") - self.stolen:
            self.report.wrong.append(f"{now}: {len(extra)} false alarms, such as {min(extra)}")

    def _ids(self, **fields: str) -> set[str]:
        return set(AccessEvent.objects.filter(**fields).values_list("correlation_id", flat=True))

    def _judge(self) -> None:
        report, everything = self.report, {row.correlation_id for row in self.azure.log}
        report.events, report.stored = len(self.azure.log), AccessEvent.objects.count()
        if len(everything) != report.events:
            report.wrong.append("the simulation made two events with one id")
        report.expect("stored", self._ids(), everything)
        if report.stored != report.events:
            report.wrong.append(f"{report.stored:,} rows of {report.events:,} events")
        explained, alarms = self._ids(match="explained"), self._ids(match="unexplained")
        report.explained, report.unexplained, report.lost_answers = len(explained), len(alarms), len(self.lost)
        report.forged = len(self.forged)
        report.expect("explained", explained, set(self.revealed))
        report.expect("unexplained", alarms, self.stolen)
        named = dict(AccessEvent.objects.filter(match="explained").values_list("correlation_id", "person"))
        if wrong := [key for key, person in self.revealed.items() if named.get(key, person) != person]:
            report.wrong.append(f"{len(wrong)} reveals bear another person's name")
