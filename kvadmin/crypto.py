"""What has to lie encrypted in the database: sessions, and the secrets of second factors.

Keys are derived from KVADMIN_SECRET_KEY, one for each purpose. To replace that key, name the old one in
KVADMIN_OLD_SECRET_KEYS: what it encrypted can still be read, and `manage.py renew_encryption` makes it needless.
"""

from __future__ import annotations

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Unreadable(Exception):
    """What lies encrypted was not made with any of the keys, or was changed."""


def encrypt(text: str, purpose: str) -> str:
    """The text, unreadable and tamper-proof, with the newest key of this purpose."""
    return _fernet(_keys(), purpose).encrypt(text.encode()).decode()


def decrypt(token: str, purpose: str) -> str:
    """The text again, whichever of the keys it was encrypted with. Raises Unreadable."""
    try:
        return _fernet(_keys(), purpose).decrypt(token.encode()).decode()
    except InvalidToken:
        raise Unreadable from None


def renew(token: str, purpose: str) -> str:
    """The same text, encrypted with the newest key. Raises Unreadable."""
    return encrypt(decrypt(token, purpose), purpose)


def _keys() -> tuple[str, ...]:
    return (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


@lru_cache(maxsize=16)
def _fernet(keys: tuple[str, ...], purpose: str) -> MultiFernet:
    return MultiFernet([Fernet(_derived(key, purpose)) for key in keys])


def _derived(key: str, purpose: str) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"kvadmin {purpose}".encode()).derive(key.encode())
    return base64.urlsafe_b64encode(derived)
