"""What waits for the worker lies sealed: encrypted with a key that only this server can derive from its own."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_NONCE = 12  # bytes; drawn anew for each text, as AES-GCM wants it


class Broken(Exception):
    """The seal does not open: the file was changed or moved, or the key it was sealed with is not here any more."""


def seal(data: bytes, label: str) -> bytes:
    """The data, for `unseal` with the same label only, so that no sealed file can take another one's place."""
    nonce = os.urandom(_NONCE)
    return nonce + _cipher(settings.SECRET_KEY).encrypt(nonce, data, label.encode())


def unseal(sealed: bytes, label: str) -> bytes:
    """What was sealed, with KVADMIN_SECRET_KEY or one of the old keys that are still named. Raises Broken."""
    for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        try:
            return _cipher(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], label.encode())
        except (InvalidTag, ValueError):
            continue
    raise Broken


def _cipher(secret: str) -> AESGCM:
    key = HKDF(SHA256(), 32, salt=None, info=b"kvadmin: what waits to be restored")
    return AESGCM(key.derive(secret.encode()))
