"""How django-allauth keeps second factors here: encrypted, and under kvadmin's name."""

from __future__ import annotations

from itertools import count

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings

from kvadmin import crypto
from vaults.models import Person

PURPOSE = "second factors"
WRONG_CODE = "This code does not fit, or was used already. Type the one that is shown now."


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc] # allauth ships no types
    """allauth by itself stores the secrets of authenticator apps as they are."""

    error_messages = {**DefaultMFAAdapter.error_messages, "incorrect_code": WRONG_CODE}

    def encrypt(self, text: str) -> str:
        return crypto.encrypt(text, PURPOSE)

    def decrypt(self, encrypted_text: str) -> str:
        return crypto.decrypt(encrypted_text, PURPOSE)

    def _get_site_name(self) -> str:
        return "kvadmin"

    def generate_authenticator_name(self, user: Person, type: Authenticator.Type) -> str:  # noqa: A002 - allauth's word
        """The name that the form for another key begins with; the first one that none of theirs has."""
        keys = Authenticator.objects.filter(user=user, type=type)
        taken = {key.wrap().name for key in keys}
        names = ("Security key" if number == 1 else f"Security key {number}" for number in count(1))
        return next(name for name in names if name not in taken)

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """The last one stays where one is required: whoever has lost it is helped by `remove_second_factors`."""
        others = Authenticator.objects.filter(user=authenticator.user_id).exclude(pk=authenticator.pk)
        main = others.exclude(type=Authenticator.Type.RECOVERY_CODES)
        return not settings.KVADMIN_REQUIRE_SECOND_FACTOR or main.exists()


def renew_all() -> int:
    """Encrypt every stored secret with the newest key; how many rows. Raises Unreadable for one that no key opens."""
    renewed = 0
    for authenticator in Authenticator.objects.select_for_update():
        data = authenticator.data
        kept = {name: crypto.renew(data[name], PURPOSE) for name in ("secret", "seed") if name in data}
        if kept:
            authenticator.data = data | kept
            authenticator.save(update_fields=["data"])
            renewed += 1
    return renewed
