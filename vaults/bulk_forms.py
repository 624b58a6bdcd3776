"""Which secrets a person chooses, by a filter or one by one, and what is to be changed on all of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.db.models import QuerySet

from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.keyvault import LATEST
from kvadmin.gateway.rules import check_tags
from vaults import search
from vaults.changes import Change, Kind
from vaults.forms import QueryForm, SecretsForm, text_field
from vaults.models import Secret
from vaults.writing_forms import reason_field

MOST_PICKED = 500
STATES = {key: label for key, label in SecretsForm.STATES.items() if key != "gone"}
NEEDED = {Kind.ADD_TAGS: "tags", Kind.REPLACE_TAGS: None, Kind.REMOVE_TAGS: "names", Kind.EXPIRY: "expires"}
DATE_FORMATS = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"]


class PickField(forms.Field):
    """Secrets that were ticked, by their number here: from a list that the person was shown."""

    widget = forms.MultipleHiddenInput

    def clean(self, value: Any) -> list[int]:
        """The numbers, each once. Raises ValidationError."""
        words = list(value or [])
        if len(words) > MOST_PICKED or not all(word.isdecimal() and len(word) < 19 for word in words):
            raise forms.ValidationError(f"At most {MOST_PICKED} secrets can be ticked; a filter chooses more.")
        return sorted({int(word) for word in words})


class SelectionForm(QueryForm):
    """Secrets by the words of the search, by vault and by state; or, if any are ticked, exactly those."""

    q = text_field("Name, tag, content type or vault", "vault:pay tag:team=blue")
    vault = forms.CharField(required=False, max_length=127, widget=forms.TextInput({"autocomplete": "off"}))
    state = forms.ChoiceField(label="State", required=False, choices=STATES.items)
    pick = PickField(required=False)

    def narrow(self, secrets: QuerySet[Secret], most: int) -> QuerySet[Secret]:
        """At most `most` + 1 of these secrets, which the valid form asks for."""
        asked = self.cleaned_data
        live = secrets.filter(vanished_at=None, vault__vanished_at=None)
        if asked["pick"]:
            return live.filter(pk__in=asked["pick"])
        if asked["vault"]:
            live = live.filter(vault__name=asked["vault"].strip().lower())
        live = search.in_state(live, asked["state"])
        return Secret.objects.filter(pk__in=search.matching(live, self.query, most + 1))


class ChangeForm(SelectionForm):
    """The selection, and one change. Only the field that the change needs is asked for."""

    change = forms.ChoiceField(choices=Kind.choices, initial=Kind.ADD_TAGS)
    tags = forms.CharField(
        required=False,
        max_length=20_000,
        widget=forms.Textarea({"rows": 3, "spellcheck": "false", "placeholder": "team=blue"}),
        help_text="One in each line, as name=value. Whoever can list the vault reads its tags: no secrets in them.",
    )
    names = forms.CharField(
        label="Names of tags",
        required=False,
        max_length=8_000,
        widget=forms.Textarea({"rows": 2, "spellcheck": "false"}),
        help_text="One in each line.",
    )
    expires = forms.DateTimeField(
        label="Expiry date, in UTC",
        required=False,
        input_formats=DATE_FORMATS,
        widget=forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="Azure cannot take a date away again: only a new version can be without one.",
        error_messages={"invalid": "Give a date such as 2027-01-31 09:00, in UTC."},
    )

    def clean_tags(self) -> dict[str, str]:
        tags: dict[str, str] = {}
        for line in _lines(self.cleaned_data["tags"]):
            name, equals, value = (part.strip() for part in line.partition("="))
            if not equals or not name:
                raise forms.ValidationError(f"“{line[:60]}” is no tag: write name=value, one in each line.")
            if name in tags:
                raise forms.ValidationError(f"The tag “{name[:60]}” stands there twice.")
            tags[name] = value
        try:
            check_tags(tags)
        except GatewayError as error:
            raise forms.ValidationError(error.sentence) from None
        return tags

    def clean_expires(self) -> datetime | None:
        moment: datetime | None = self.cleaned_data["expires"]
        if moment and moment.astimezone(UTC) > LATEST:
            raise forms.ValidationError("Azure's dates end with the year 9999.")
        return moment

    def clean_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_lines(self.cleaned_data["names"])))

    def clean(self) -> None:
        needed = NEEDED.get(Kind(self.cleaned_data["change"])) if "change" in self.cleaned_data else None
        if needed and needed not in self.errors and not self.cleaned_data.get(needed):
            self.add_error(needed, "This change needs it.")

    @property
    def the_change(self) -> Change:
        """What the valid form asks for; fields that belong to another change are left out."""
        asked, kind = self.cleaned_data, Kind(self.cleaned_data["change"])
        tags = asked["tags"] if kind in {Kind.ADD_TAGS, Kind.REPLACE_TAGS} else {}
        names = asked["names"] if kind == Kind.REMOVE_TAGS else ()
        expires_on = asked["expires"].astimezone(UTC) if kind == Kind.EXPIRY else None
        return Change(kind, tags, names, expires_on)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


class ConfirmForm(forms.Form):
    """A reason, and the hash of the preview that the person has seen."""

    reason = reason_field()
    shown = forms.CharField(max_length=64, widget=forms.HiddenInput)
