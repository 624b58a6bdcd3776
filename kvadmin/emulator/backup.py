"""Backups of secrets: opaque text that only this emulator opens again."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import zlib
from dataclasses import asdict

from kvadmin.emulator.store import Secret, Version

HEADER = b"(AzureKeyVaultSecretBackupV1."
# Not a secret: it only keeps a value from being read off a backup by eye, as it cannot be from Azure's.
KEY = b"kvadmin emulator"


def pack(secret: Secret, subscription_id: str) -> str:
    """All versions of the secret as base64url text."""
    content = {
        "subscription": subscription_id.lower(),
        "name": secret.name,
        "managed": secret.managed,
        "versions": [asdict(version) for version in secret.versions.values()],
    }
    nonce = os.urandom(16)
    sealed = _mix(zlib.compress(json.dumps(content).encode()), nonce)
    return base64.urlsafe_b64encode(HEADER + nonce + _tag(sealed, nonce) + sealed).rstrip(b"=").decode()


def unpack(text: str) -> tuple[Secret, str]:
    """The secret in the backup and its subscription's id; raises ValueError for anything that `pack` did not make."""
    nonce, tag, sealed = _parts(text)
    if not hmac.compare_digest(tag, _tag(sealed, nonce)):
        raise ValueError("The backup was changed.")
    content = json.loads(zlib.decompress(_mix(sealed, nonce)))
    secret = Secret(content["name"], managed=content["managed"])
    for version in content["versions"]:
        secret.add(Version(**version))
    return secret, content["subscription"]


def _parts(text: str) -> tuple[bytes, bytes, bytes]:
    try:
        blob = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("The backup is not base64url text.") from error
    body = blob.removeprefix(HEADER)
    return body[:16], body[16:48], body[48:]


def _tag(sealed: bytes, nonce: bytes) -> bytes:
    return hmac.digest(KEY, nonce + sealed, "sha256")


def _mix(data: bytes, nonce: bytes) -> bytes:
    stream = hashlib.shake_256(KEY + nonce).digest(len(data))
    return bytes(a ^ b for a, b in zip(data, stream, strict=True))
