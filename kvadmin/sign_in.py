"""Signing in by name and password, slowed down after bad tries; and the demo's accounts, one for each role."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.core.cache import cache
from django.core.exceptions import ValidationError

from kvadmin.http import address

TRIES = 5
LOCK_SECONDS = 300


class SignInForm(AuthenticationForm):
    """Django's form with one sentence for every failure, so that nobody learns which names exist or are locked."""

    sentence = "This does not sign you in. Check name and password; after five bad tries, wait five minutes."
    error_messages = {"invalid_login": sentence, "inactive": sentence}

    def clean(self) -> dict[str, Any]:
        key = _key(self.cleaned_data.get("username") or "", address(self.request) if self.request else "")
        if cache.get(key, 0) >= TRIES:
            raise ValidationError(self.sentence, code="locked")
        try:
            return super().clean()
        except ValidationError:
            _count(key)
            raise


def _key(name: str, origin: str) -> str:
    """A name may hold anything, so the cache's key is a digest of it."""
    return "sign-in:" + hashlib.sha256(f"{name.lower()}\0{origin}".encode()).hexdigest()


def _count(key: str) -> None:
    """One more bad try. Each one starts the waiting time anew."""
    cache.add(key, 0, LOCK_SECONDS)
    try:
        cache.incr(key)
    except ValueError:  # it ran out between the two lines
        cache.set(key, 1, LOCK_SECONDS)
    cache.touch(key, LOCK_SECONDS)


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """An account of the demo: its user name, its role in words, and what its owner can try."""

    name: str
    role: str
    may: str

    @property
    def password(self) -> str:
        """The password that the demo command gives this account. It opens nothing but the emulator."""
        return f"demo-{self.name}-kvadmin"


DEMO_ACCOUNTS = (
    DemoAccount("reader", "Reader", "Finds any secret and sees all about it except its value."),
    DemoAccount("secrets-user", "Secrets User", "Reveals values, with a reason, where the policy allows it directly."),
    DemoAccount("approver", "Approver", "Looks at everything, and decides requests to see a value."),
    DemoAccount("approver-2", "Approver", "The second pair of eyes, where a policy asks for two."),
    DemoAccount("officer", "Secrets Officer", "Keeps secrets: metadata, versions, life cycle. Sees no values."),
    DemoAccount("oncall", "Break-glass Holder", "Awake at 2 a.m.: emergency access, which is reviewed afterwards."),
    DemoAccount("auditor", "Auditor", "Reads who read what, and checks that the ledger is whole."),
    DemoAccount("admin", "Administrator", "Assigns roles, sets policies, refreshes. Reveals nothing, audits nothing."),
)


def demo_is_on() -> bool:
    """Accounts with printed passwords exist only where there is no real Azure."""
    return bool(settings.KVADMIN_DEMO and settings.KVADMIN_EMULATOR)
