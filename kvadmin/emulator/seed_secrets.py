"""About 600 secrets: ordinary ones by the dozen, and one of every awkward kind. Every value is plainly made up."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from kvadmin.emulator.resources import Vault
from kvadmin.emulator.seed_cloud import PLANS, Plan
from kvadmin.emulator.state import Azure
from kvadmin.emulator.store import Secret, Version

PEM, PFX, JSON, TEXT = "application/x-pem-file", "application/x-pkcs12", "application/json", "text/plain"
SYSTEMS = {
    "payments": ("checkout", "ledger", "refunds", "invoicing", "fraud", "payouts", "reconciliation", "card-gateway"),
    "identity": ("login", "directory", "consent", "sessions", "mfa", "federation", "scim", "passkeys"),
    "platform": ("build", "registry", "monitoring", "ingress", "backup", "dns", "artifacts", "telemetry"),
    "data": ("warehouse", "stream", "notebook"),
}
KINDS = (
    "db-password",
    "db-connection",
    "api-key",
    "webhook-secret",
    "storage-key",
    "signing-key",
    "smtp-password",
    "sftp-key",
    "oauth-client",
    "encryption-key",
    "service-account",
)
REGIONS = ("", "-eu", "-us", "-ap")
LONGEST_NAME = ("a-name-of-127-characters-" * 6)[:126] + "x"


@dataclass
class Sample:
    """A secret to be: its value, and what is said about it. Days count from now; `ages` are those of its versions."""

    name: str
    value: str = ""
    content_type: str | None = None
    tags: dict[str, str] | None = None
    enabled: bool = True
    starts: float | None = None
    expires: float | None = None
    managed: bool = False
    ages: list[float] = field(default_factory=lambda: [200.0])


def build(azure: Azure, random: Random) -> None:
    """Fill every vault of the plan; the same `random` and the same clock give the same secrets."""
    now = azure.clock.now().replace(microsecond=0)
    for plan in PLANS:
        vault = azure.vault(plan.name)
        for sample in (*ordinary(plan, random), *AWKWARD.get(plan.name, ())):
            _put(vault, sample, now, random)


def _put(vault: Vault, sample: Sample, now: datetime, random: Random) -> None:
    secret = vault.secrets.add(Secret(sample.name, managed=sample.managed))
    oldest_first = sorted(sample.ages, reverse=True)
    for number, age in enumerate(oldest_first, start=1):
        version_id = f"{random.getrandbits(128):032x}"
        secret.add(
            Version(
                sample.value if number == len(oldest_first) else f"{sample.value[:40]} (earlier version {number})",
                int((now - timedelta(days=age)).timestamp()),
                sample.content_type,
                sample.tags,
                sample.enabled,
                _in_days(now, sample.starts),
                _in_days(now, sample.expires),
                f"{vault.uri}keys/{sample.name}/{version_id}" if sample.managed else None,
                version_id,
            )
        )


def _in_days(now: datetime, days: float | None) -> int | None:
    return None if days is None else int((now + timedelta(days=days)).timestamp())


def ordinary(plan: Plan, random: Random) -> Iterator[Sample]:
    """As many secrets as the plan says, with the names, ages and expiry dates of a company's vault."""
    names = (f"{system}-{kind}{region}" for region in REGIONS for system in SYSTEMS[plan.team] for kind in KINDS)
    for name, _ in zip(names, range(plan.secrets), strict=False):
        content_type, value = _value(name, random)
        yield Sample(
            name,
            value,
            content_type,
            _tags(plan, random),
            enabled=random.random() > 0.03,
            expires=_expiry(random),
            ages=_ages(random),
        )


def _value(name: str, random: Random) -> tuple[str | None, str]:
    made_up = f"{random.getrandbits(64):016x}"
    if "connection" in name:
        host = name.split("-", maxsplit=1)[0]
        return TEXT, f"Server=tcp:{host}.db.example,1433;Database={host};User ID=app;Password=not-real-{made_up};"
    if "oauth" in name or "service-account" in name:
        return JSON, json.dumps({"client_id": "demo", "client_secret": f"not-real-{made_up}"}, indent=2)
    if "encryption" in name or "storage" in name:
        return None, base64.b64encode(f"not a real key {made_up}".encode()).decode()
    if "sftp" in name or "signing" in name:
        return PEM, pem("PRIVATE KEY", f"not a real key {made_up} " * 12)
    return random.choice((None, TEXT, "")), f"not-real-{made_up}"


def pem(kind: str, text: str) -> str:
    """Text in the clothes of a PEM file, of 64 characters a line."""
    encoded = base64.b64encode(text.encode()).decode()
    lines = [encoded[start : start + 64] for start in range(0, len(encoded), 64)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""])


def _tags(plan: Plan, random: Random) -> dict[str, str] | None:
    if random.random() < 0.25:
        return None
    tags = {"owner": f"team-{plan.team}", "rotation": random.choice(("30d", "90d", "180d", "manual"))}
    return tags | ({"ticket": f"OPS-{random.randint(1000, 9999)}"} if random.random() < 0.4 else {})


def _expiry(random: Random) -> float | None:
    """Days until it expires: half never do, most of the others in a year's time, a few did or are about to."""
    kind = random.random()
    if kind < 0.5:
        return None
    if kind < 0.9:
        return random.uniform(31, 400)
    return random.uniform(1.5, 30) if kind < 0.95 else -random.uniform(0.1, 90)


def _ages(random: Random) -> list[float]:
    """When its versions were made: most secrets are old, and some have been rotated a few times."""
    newest = random.uniform(1, 700)
    # Whatever was rotated lately had a version before: the programs in the log have been reading it all along.
    count = random.choice((1, 1, 1, 2, 2, 3, 5)) + (newest < 45)
    return [newest + step * random.uniform(60, 120) for step in range(count)]


AWKWARD = {
    "pay-prod": (
        Sample(
            "db-password", "not-real-but-needed-at-2-a.m.", TEXT, {"owner": "team-payments"}, ages=[3, 93, 183, 273]
        ),
        Sample("new", "a secret called new", tags={"note": "the name is a word of a URL"}),
        Sample("delete", "a secret called delete"),
        Sample("versions", "a secret called versions", ages=[5, 10, 15]),
        Sample("reveal", "a secret called reveal"),
        Sample("000", "a secret called 000"),
        Sample("-abc", "a secret whose name begins like an option"),
        Sample(LONGEST_NAME, "a secret with the longest name there can be"),
        Sample("tls-pay-fernhill-example", "not a real certificate", PFX, managed=True, expires=24, ages=[340, 705]),
        Sample("tls-api-fernhill-example", pem("CERTIFICATE", "not a real one " * 40), PEM, managed=True, expires=6.5),
        Sample("expires-tomorrow", "not-real-1", expires=1),
        Sample("expires-in-7-days", "not-real-7", expires=7),
        Sample("expires-in-30-days", "not-real-30", expires=30),
        Sample("expired-last-week", "not-real-and-over", expires=-7),
        Sample("payouts-api-key-rotated-daily", "not-real-today", TEXT, ages=[day + 0.3 for day in range(40)]),
    ),
    "pay-settlement": (
        Sample("bank-file-password", 'ABC"$$123==', TEXT),
        Sample("starts-next-week", "not-real-yet", starts=7, expires=90),
        Sample("switched-off", "not-real-and-disabled", enabled=False),
    ),
    "identity-prod": (
        Sample("session-signing-key", "not-real-tied", ages=[140, 12, 12, 12, 12]),
        Sample("saml-certificate", pem("CERTIFICATE", "not a real certificate " * 60), PEM),
        Sample("saml-bundle-25-kb", pem("PRIVATE KEY", "not a real key " * 2000)[:25_600], PEM),
        Sample("disabled-and-expired", "not-real-twice", enabled=False, expires=-40),
        Sample("tls-login-fernhill-example", "not a real certificate", PFX, managed=True, expires=200),
    ),
    "platform-prod": (
        Sample("build-agent-token", "not-real-300", TEXT, ages=[day * 1.1 + 0.2 for day in range(300)]),
        Sample(
            "kubeconfig", json.dumps({"clusters": [{"name": "demo", "server": "https://k8s.example"}]}, indent=2), JSON
        ),
        Sample("license-file-crlf", "not-real-line-1\r\nnot-real-line-2\r\n", TEXT),
        Sample("trailing-newline", "not-real-with-a-newline\n", TEXT),
        Sample("byte-order-mark", "\ufeffnot-real-with-a-mark", TEXT),
        Sample("base64-blob", base64.b64encode(b"not a real key, but 48 bytes long, all the same!!").decode()),
    ),
    "platform-legacy": (
        Sample("MixedCase-Name", "not-real-Mixed"),
        Sample("mainframe-password", "NOTREAL1", None, {"system": "z/OS", "owner": "team-platform"}),
    ),
    "sandbox-dev": (
        Sample(
            "html-in-tags",
            "<script>alert('a value')</script>",
            "text/html",
            {"<b>bold</b>": "<img src=x onerror=alert(1)>", "owner": '"><script>alert(2)</script>'},
        ),
        Sample("fifteen-tags", "not-real-15", tags={f"tag-{number:02d}": f"value {number}" for number in range(15)}),
        Sample(
            "unicode-tags",
            "n\u00f6t-r\u00e9al-\u00fc\u4e2d\u6587\U0001f511",
            tags={"\u540d\u524d": "\u00dcber\u00e5ll", "\U0001f511": "key"},
        ),
        Sample("zero-width", "not\u200breal\u200d\ufeff\u2060zero", TEXT),
        Sample("right-to-left", "not-real-\u202e\u05d0\u05d1\u05d2\u202c-rtl", TEXT),
        Sample("long-content-type", "not-real-ct", "application/" + "x" * 243),
        Sample("spaces-around", "  not real, with spaces around  ", TEXT),
        Sample("one-character", "x"),
        Sample("tabs-and-controls", "not\treal\x07\x1b[31mred\x1b[0m", TEXT),
        Sample("dollar-signs", "$HOME ${NOT_REAL} %PATH% `echo not real`", TEXT),
    ),
}
