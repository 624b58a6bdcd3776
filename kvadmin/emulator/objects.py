"""Keys and certificates of a vault. Only what is public of them: there is no private part anywhere in the emulator."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from kvadmin.emulator.versioned import Versioned


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
class Key(Versioned[KeyVersion]):
    """A key. `managed`: it belongs to a certificate. `rotation` is the body of its rotation policy."""

    managed: bool = False
    rotation: dict[str, Any] | None = None


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
class Certificate(Versioned[CertificateVersion]):
    """A certificate, and the body of its policy."""

    policy: dict[str, Any] = field(default_factory=dict)


def seconds(moment: datetime | None) -> int | None:
    """A date as the wire has it."""
    return None if moment is None else int(moment.timestamp())
