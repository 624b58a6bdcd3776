"""Keys, certificates behind the secrets that belong to one, and secrets that were deleted lately."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

from kvadmin.emulator.issuing import KeyFacts
from kvadmin.emulator.resources import Vault
from kvadmin.emulator.state import Azure
from kvadmin.emulator.store import Secret

# Azure takes longer, and whoever looks at a demo should still see that it is not done at once.
DELETE_DELAY, RECOVER_DELAY, PURGE_DELAY = timedelta(seconds=8), timedelta(seconds=5), timedelta(seconds=25)
EVERY_90_DAYS: dict[str, Any] = {
    "lifetimeActions": [
        {"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "Rotate"}},
        {"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}},
    ],
    "attributes": {"expiryTime": "P1Y"},
}
# Vault, name, what is said of it, and the ages of its versions in days.
KEYS: tuple[tuple[str, str, KeyFacts, tuple[float, ...]], ...] = (
    ("pay-prod", "card-data", {"kty": "RSA-HSM", "size": 3072, "rotation": EVERY_90_DAYS}, (300, 210, 120, 30)),
    ("pay-prod", "statement-signing", {"kty": "EC", "curve": "P-256", "operations": ["sign", "verify"]}, (400,)),
    ("pay-prod", "import-2019", {"size": 2048, "enabled": False}, (2100,)),
    ("pay-settlement", "bank-transfer-signing", {"size": 4096, "operations": ["sign", "verify"]}, (90, 455)),
    ("identity-prod", "token-signing", {"kty": "EC", "curve": "P-384", "rotation": EVERY_90_DAYS}, (270, 180, 90, 2)),
    ("identity-prod", "session-wrapping", {"operations": ["wrapKey", "unwrapKey"]}, (150,)),
    ("platform-prod", "disk-encryption", {"kty": "RSA-HSM", "tags": {"owner": "team-platform"}}, (600, 235)),
    ("platform-prod", "backup-wrapping", {"kty": "oct-HSM", "size": 256}, (80,)),
    ("platform-legacy", "mainframe-transfer", {"size": 2048, "exportable": True}, (1500,)),
)
EXPERIMENTS = 140  # more keys than one page shows
ISSUERS = {"tls-pay-fernhill-example": "DigiCert", "tls-api-fernhill-example": "Self"}
# Vault, name, and how many days ago it was deleted. A vault of 7 days purges those of 6.9 in a few hours.
DELETED = (
    ("pay-prod", "retired-card-gateway-api-key", 12.0),
    ("pay-prod", "retired-webhook-secret", 88.5),
    ("pay-staging", "retired-checkout-db-password", 1.2),
    ("pay-staging", "mistyped-nmae", 6.9),
    ("identity-prod", "retired-oauth-client", 40.0),
    ("sandbox-dev", "trial-token", 0.4),
    ("sandbox-dev", "trial-password", 3.0),
)


def build(azure: Azure, random: Random) -> None:
    """Make all of it; the same `random` and the same clock give the same objects."""
    now = azure.clock.now().replace(microsecond=0)
    for vault in azure.vaults.values():
        _certificates(azure, vault, now)
    for vault_name, name, facts, ages in KEYS:
        _key(azure, vault_name, name, facts, [now - timedelta(days=age) for age in ages], random)
    for number in range(EXPERIMENTS):
        made = [now - timedelta(days=number)]
        _key(azure, "sandbox-dev", f"experiment-{number:03}", {"kty": "EC"}, made, random)
    for vault_name, name, days in DELETED:
        _deleted(azure, vault_name, name, now - timedelta(days=days))
    azure.delete_delay, azure.recover_delay, azure.purge_delay = DELETE_DELAY, RECOVER_DELAY, PURGE_DELAY


def _key(azure: Azure, vault: str, name: str, facts: KeyFacts, made: list[datetime], random: Random) -> None:
    for moment in sorted(made):
        expires = moment + timedelta(days=365) if "rotation" in facts else None
        version_id = f"{random.getrandbits(128):032x}"
        whole: KeyFacts = {**facts, "at": moment, "expires_on": expires, "version_id": version_id}
        azure.put_key(vault, name, **whole)


def _certificates(azure: Azure, vault: Vault, now: datetime) -> None:
    """Behind each managed secret a certificate of as many versions; the older ones were valid for about a year."""
    managed = [secret for secret in vault.secrets.page("", 10_000)[0] if secret.managed]
    for secret in managed:
        _certificate(azure, vault, secret, now)


def _certificate(azure: Azure, vault: Vault, secret: Secret, now: datetime) -> None:
    host = secret.name.removeprefix("tls-").replace("-", ".")
    newest = secret.latest
    for version in list(secret.versions.values()):
        made = datetime.fromtimestamp(version.created, now.tzinfo)
        last = version is newest and version.expires_on is not None
        azure.put_certificate(
            vault.name,
            secret.name,
            subject=f"CN={host},O=Fernhill,C=NL",
            dns_names=[host, f"www.{host}"],
            issuer=ISSUERS.get(secret.name, "DigiCert"),
            expires_on=datetime.fromtimestamp(version.expires_on or 0, now.tzinfo) if last else None,
            actions=[("AutoRenew", {"days_before_expiry": 30}), ("EmailContacts", {"lifetime_percentage": 80})],
            content_type=version.content_type or "application/x-pkcs12",
            tags=version.tags,
            at=made,
            version_id=version.id,
            value=version.value,
        )


def _deleted(azure: Azure, vault_name: str, name: str, moment: datetime) -> None:
    vault = azure.vault(vault_name)
    tags = {"owner": f"team-{vault.tags['team']}"}
    azure.put_secret(vault_name, name, f"not-real-{name}", tags=tags, at=moment - timedelta(days=200))
    vault.secrets.delete(name, moment, timedelta(0), timedelta(days=vault.soft_delete_days))
