"""Which version of a secret is the newest, as far as Azure tells: its list of versions has no order, and may be cut."""

from __future__ import annotations

from dataclasses import dataclass

from kvadmin.gateway import keyvault
from kvadmin.gateway.keyvault import SecretProperties, VersionList
from vaults import rows
from vaults.models import Vault
from vaults.rules import Refusal
from vaults.wishes import Wish

MANY = "many"
TOO_MANY = (
    "The secret has more versions than Azure lists in order, so that kvadmin cannot see which is the newest. Choose a "
    "version from its list, or change the newest one on the page for many secrets."
)


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest version of a secret as Azure lists it, without its value.

    `mark` tells this state from any later one: the ids of all versions of the newest second; "" where there is none.
    Where Azure lists too many to know which is the newest (`cut`), it is MANY, and tells nothing; the properties are
    then those of the inventory, without a version's id.
    """

    properties: SecretProperties | None
    mark: str
    cut: bool = False

    @classmethod
    def of(cls, listed: VersionList, vault: Vault, name: str) -> Newest:
        if not listed.versions:
            return cls(None, "")
        first = listed.versions[0]
        if listed.cut:
            return cls(rows.stored(vault, name) or first, MANY, cut=True)
        ids = sorted(one.version for one in listed.versions if one.created_on == first.created_on)
        return cls(first, ",".join(ids))

    @property
    def wish(self) -> Wish | None:
        return Wish.like(self.properties) if self.properties else None


def newest(vault: Vault, name: str) -> Newest:
    """What is there now: versions are listed, which reads no value. Raises GatewayError."""
    return Newest.of(keyvault.list_properties_of_secret_versions(vault.uri, name), vault, name)


def newest_and(vault: Vault, name: str, version: str) -> tuple[Newest, SecretProperties]:
    """What is there now, and one version of it ("" is the newest). Raises Refusal, GatewayError."""
    listed = keyvault.list_properties_of_secret_versions(vault.uri, name)
    return Newest.of(listed, vault, name), _one(listed, version)


def one_version(vault: Vault, name: str, version: str) -> tuple[SecretProperties, bool | None]:
    """A version without its value ("" is the newest), and whether it is the newest; None where that is not known.

    Raises Refusal, GatewayError.
    """
    listed = keyvault.list_properties_of_secret_versions(vault.uri, name)
    found = _one(listed, version)
    return found, None if listed.cut else found.version == listed.versions[0].version


def _one(listed: VersionList, version: str) -> SecretProperties:
    if listed.cut and not version:
        raise Refusal("too-many-versions", TOO_MANY)
    found = next((one for one in listed.versions if version in ("", one.version)), None)
    if found is None:
        raise Refusal("not-found", "Azure shows no such version of this secret.", 404)
    return found
