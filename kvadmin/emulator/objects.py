"""Keys and certificates of a vault. Only what is public of them: there is no private part anywhere in the emulator."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4


@dataclass
class KeyVersion:
    """One version of a key. Times are unix seconds. RSA keys have a `size` in bits, EC ones a `curve`."""

    created: int
    kty: str = "RSA"
    size: int = 2048
    curve: str = ""
    operations: tuple[str, ...] = ()
    enabled: bool = True
    not_before: int | None = None
    expires_on: int | None = None
    tags: dict[str, str] | None = None
    exportable: bool | None = None
    id: str = field(default_factory=lambda: uuid4().hex)


@dataclass
class Key:
    """A key and its versions, in the order of creation. `managed`: it belongs to a certificate. `rotation` is the
    body of its rotation policy."""

    name: str
    managed: bool = False
    versions: dict[str, KeyVersion] = field(default_factory=dict)
    rotation: dict[str, Any] | None = None

    @property
    def latest(self) -> KeyVersion:
        """The newest version."""
        return next(reversed(self.versions.values()))

    def add(self, version: KeyVersion) -> KeyVersion:
        """Make `version` the newest one."""
        self.versions[version.id] = version
        return version


@dataclass
class CertificateVersion:
    """One version of a certificate; `der` is the certificate itself, and its key and its secret have the same `id`."""

    created: int
    der: bytes
    id: str
    enabled: bool = True
    not_before: int | None = None
    expires_on: int | None = None
    tags: dict[str, str] | None = None
    content_type: str = "application/x-pkcs12"


@dataclass
class Certificate:
    """A certificate, its versions in the order of creation, and the body of its policy."""

    name: str
    policy: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, CertificateVersion] = field(default_factory=dict)

    @property
    def latest(self) -> CertificateVersion:
        """The newest version."""
        return next(reversed(self.versions.values()))

    def add(self, version: CertificateVersion) -> CertificateVersion:
        """Make `version` the newest one."""
        self.versions[version.id] = version
        return version


def seconds(moment: datetime | None) -> int | None:
    """A date as the wire has it."""
    return None if moment is None else int(moment.timestamp())
