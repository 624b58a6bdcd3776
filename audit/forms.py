"""What the audit pages may be asked for, cleaned. Everything stands in the URL, and nothing typed is ever lost."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from audit.models import AccessEvent
from audit.queries import BadCursor, Cursor, Filters
from kvadmin.actions import ACTIONS

RANGES = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30), "90d": timedelta(days=90)}
RANGE = "7d"
OPERATIONS = {
    "Secrets": "SecretGet SecretBackup SecretSet SecretUpdate SecretDelete SecretList SecretListVersions SecretPurge "
    "SecretRestore SecretRecover SecretGetDeleted SecretListDeleted",
    "Keys": "KeyGet KeyCreate KeyImport KeyDelete KeySign KeyVerify KeyWrap KeyUnwrap KeyEncrypt KeyDecrypt KeyUpdate "
    "KeyList KeyListVersions KeyPurge KeyBackup KeyRestore KeyRecover KeyGetDeleted KeyListDeleted KeyRotate",
    "Certificates": "CertificateGet CertificateCreate CertificateImport CertificateUpdate CertificateList "
    "CertificateListVersions CertificateDelete CertificatePurge CertificateBackup CertificateRestore "
    "CertificateRecover CertificateEnroll CertificateRenew CertificatePolicyGet CertificatePolicySet",
    "Vault": "Authentication VaultGet VaultPut VaultPatch VaultDelete VaultRecover",
}
_NAME = re.compile(r"[0-9A-Za-z-]*\*?")
_PICKER = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")


def _operations() -> list[tuple[str, Any]]:
    groups = [(group, [(word, word) for word in words.split()]) for group, words in OPERATIONS.items()]
    return [("", "Any"), ("reads", "Every read of a value"), *groups]


class NameField(forms.CharField):
    """The name of a vault or a secret, or its beginning and a *."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, max_length=128, **options)

    def clean(self, value: Any) -> str:
        name = str(super().clean(value))
        if not _NAME.fullmatch(name):
            raise forms.ValidationError("A name has letters, digits and dashes; end with * for all that begin so.")
        return name


class UtcInput(forms.DateTimeInput):
    """The browser's picker; or a line of text when what was typed is nothing that a picker can show."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        shown = context["widget"]["value"] or ""
        context["widget"]["type"] = "datetime-local" if not shown or _PICKER.fullmatch(shown) else "text"
        return context


class UtcField(forms.DateTimeField):
    """A moment in UTC, in years for which Azure can have a log."""

    widget = UtcInput(format="%Y-%m-%dT%H:%M")

    def __init__(self, **options: Any) -> None:
        super().__init__(
            required=False,
            error_messages={"invalid": "Write the moment in UTC as 2026-12-01T14:30."},
            **options,
        )

    def to_python(self, value: Any) -> datetime | None:
        try:
            moment = super().to_python(value)
        except OverflowError:
            moment = None
        if moment is not None and not 2015 <= moment.year <= 2100:
            raise forms.ValidationError("Give a year between 2015 and 2100.")
        return moment


class EventFilter(forms.Form):
    """The timeline's filters. `filters` is what they come to once the form is valid."""

    person = forms.CharField(label="Who (contains)", required=False, max_length=200)
    vault = NameField(label="Vault")
    secret = NameField(label="Secret")
    operation = forms.ChoiceField(choices=_operations, required=False)
    outcome = forms.ChoiceField(choices=[("", "Any"), *AccessEvent.Outcome.choices], required=False)
    match = forms.ChoiceField(label="List", choices=[("", "Any"), *AccessEvent.Match.choices[1:]], required=False)
    range = forms.ChoiceField(
        choices=[(word, word) for word in RANGES],
        required=False,
        widget=forms.HiddenInput,
        error_messages={"invalid_choice": "The time range must be one of 24h, 7d, 30d and 90d."},
    )
    start = UtcField(label="From (UTC)")
    end = UtcField(label="To (UTC)")
    noise = forms.BooleanField(label="Show noise", required=False)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.is_custom and not self.errors:
            self._check_order(data)
        return data

    def _check_order(self, data: dict[str, Any]) -> None:
        if data["start"] is None:
            self.add_error("start", "Say from when.")
        elif data["start"] >= (data["end"] or timezone.now()):
            self.add_error("end" if data["end"] else "start", "The range must end after it begins.")

    @property
    def is_custom(self) -> bool:
        """A moment that was typed goes before the range that was chosen."""
        return bool(self.data.get("start") or self.data.get("end"))

    @property
    def range_links(self) -> list[tuple[str, str]]:
        return [("24h", "24 hours"), ("7d", "7 days"), ("30d", "30 days"), ("90d", "90 days")]

    @property
    def chosen_range(self) -> str:
        """The range that holds: one of RANGES, or "" for two moments."""
        return "" if self.is_custom else str(self.data.get("range") or RANGE)

    @property
    def filters(self) -> Filters:
        """The cleaned filters, with the range as two moments."""
        asked = {name: value for name, value in self.cleaned_data.items() if name not in {"range", "start", "end"}}
        now = timezone.now()
        if self.is_custom:
            return Filters(start=self.cleaned_data["start"], end=self.cleaned_data["end"] or now, **asked)
        return Filters(start=now - RANGES[self.chosen_range], end=now, **asked)

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but the time was asked for."""
        return any(self.data.get(name) for name in ("person", "vault", "secret", "operation", "outcome", "match"))


def read_cursor(word: str) -> Cursor | None:
    """The place in the list that a link names; None for its beginning. Raises BadCursor."""
    if len(word) > 80:
        raise BadCursor
    return Cursor.read(word) if word else None


class LedgerFilter(forms.Form):
    """The ledger's filters."""

    person = forms.CharField(label="Who (contains)", required=False, max_length=200)
    vault = NameField(label="Vault")
    secret = NameField(label="Secret")
    action = forms.ChoiceField(
        choices=[("", "Any"), *((word, action.label) for word, action in ACTIONS.items())], required=False
    )
    list = forms.ChoiceField(choices=[("", "Everything"), ("unconfirmed", "Not shown by Azure's log")], required=False)
    act = forms.UUIDField(required=False, widget=forms.HiddenInput, error_messages={"invalid": "No act has this id."})
    before = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1, widget=forms.HiddenInput)

    @property
    def is_narrowed(self) -> bool:
        return any(self.data.get(name) for name in ("person", "vault", "secret", "action", "list", "act"))
