"""What a person gives for a backup of a whole vault, and for a restore from one."""

from __future__ import annotations

from typing import Any

import pyrage
from django import forms
from django.conf import settings

from vaults.writing_forms import ReasonForm

MOST_RECIPIENTS = 10
PRIVATE = (
    "This is a private key. Only the public one belongs here, which begins with age1. kvadmin has thrown it away; but "
    "it was sent to this server, so make a new pair of keys if it ever opened anything."
)


class BackupForm(ReasonForm):
    """A reason, and the public keys whose owners can open the archive."""

    recipients = forms.CharField(
        label="Public keys that open it",
        required=False,
        max_length=2000,
        widget=forms.Textarea({"rows": 3, "spellcheck": "false", "autocomplete": "off", "placeholder": "age1…"}),
        help_text="Of age, one a line. Their private keys open the archive, and nothing else does: not kvadmin either.",
    )
    field_order = ("recipients", "reason")

    def __init__(self, data: Any = None, **kwargs: Any) -> None:
        super().__init__(_without_private(data), **kwargs)
        if settings.KVADMIN_BACKUP_RECIPIENTS:
            self.fields["recipients"].label = "More public keys that open it"

    def clean_recipients(self) -> list[str]:
        keys = list(dict.fromkeys(str(self.cleaned_data["recipients"]).split()))
        if _DROPPED in keys:
            raise forms.ValidationError(PRIVATE)
        if len(keys) > MOST_RECIPIENTS:
            raise forms.ValidationError(f"These are more than {MOST_RECIPIENTS} keys.")
        for number, key in enumerate(keys, 1):
            if not _is_public(key):
                raise forms.ValidationError(f"Key {number} is no public key of age: one begins with age1.")
        if not keys and not settings.KVADMIN_BACKUP_RECIPIENTS:
            raise forms.ValidationError("Name at least one public key. age-keygen makes a pair of keys.")
        return keys


_DROPPED = "(a-private-key-was-here)"


def _without_private(data: Any) -> Any:
    """A private key that was pasted by mistake is not shown again, as everything else in a wrong form is."""
    if data is None or "AGE-SECRET-KEY" not in str(data.get("recipients", "")).upper():
        return data
    clean = data.copy()
    clean["recipients"] = _DROPPED
    return clean


def _is_public(key: str) -> bool:
    try:
        pyrage.x25519.Recipient.from_str(key)
    except pyrage.RecipientError:
        return False
    return True


class RestoreForm(forms.Form):
    """An archive, and the private key that opens it. Neither is ever shown again."""

    archive = forms.FileField(
        error_messages={"required": "Choose the archive, the file that was downloaded.", "empty": "This file is empty."}
    )
    identity = forms.CharField(
        label="Private key",
        max_length=2000,
        widget=forms.PasswordInput({"autocomplete": "off", "spellcheck": "false"}, render_value=False),
        help_text="It begins with AGE-SECRET-KEY-1. It opens the archive in this one request, and is kept nowhere.",
        error_messages={"required": "Paste the private key that opens the archive."},
    )
