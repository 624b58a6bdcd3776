"""What a person gives when writing, changing, deleting, recovering or purging a secret. No form ever holds a value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.http import QueryDict

from kvadmin.gateway import rules
from kvadmin.gateway.keyvault import LATEST, valid_name
from vaults.wishes import Wish, problem

SPARE_TAGS = 3  # empty rows below those that are there
NAME_RULE = "A name has 1 to 127 letters, digits and hyphens."


def reason_field(help_text: str = "Kept in the ledger with your name: a ticket, and what for.") -> forms.CharField:
    return forms.CharField(
        label="Reason",
        min_length=3,
        max_length=500,
        widget=forms.TextInput({"autocomplete": "off"}),
        help_text=help_text,
        error_messages={
            "required": "Say why, in a few words: the reason is kept in the ledger.",
            "min_length": "Say why, in a few words: the reason is kept in the ledger.",
            "max_length": "The reason may have 500 characters; this one has %(show_value)d.",
        },
    )


class TagsInput(forms.Widget):
    """Rows of two inputs each, which the template draws: what was sent is a list of pairs."""

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> list[tuple[str, str]]:
        if not isinstance(data, QueryDict):
            return []
        return list(zip(data.getlist("tag_name"), data.getlist("tag_value"), strict=False))


def _moment(label: str, help_text: str) -> forms.DateTimeField:
    return forms.DateTimeField(
        label=label,
        required=False,
        input_formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"],
        widget=forms.DateTimeInput({"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S"),
        help_text=help_text,
        error_messages={"invalid": "That is no date and time between the years 1 and 9999."},
    )


class PropertiesForm(forms.Form):
    """The properties of a version. `before` are those it starts from: what cannot be typed stays as it is there.

    A tag with a line break in it cannot be typed into a browser's field; it is kept unless `drop` says otherwise.
    """

    content_type = forms.CharField(
        label="Content type",
        required=False,
        strip=False,
        max_length=rules.MOST_CONTENT_TYPE,
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
        help_text="What the value is, for whoever uses it. Readable by everybody who may list secrets.",
    )
    tags = forms.Field(label="Tags", required=False, widget=TagsInput)
    drop = forms.BooleanField(label="Remove the tags that hold a line break", required=False)
    not_before = _moment("Valid from (UTC)", "Informs only: Azure gives the value out before it, too.")
    expires_on = _moment("Expires (UTC)", "Informs only: Azure goes on giving the value out. Empty: never.")
    enabled = forms.BooleanField(label="Enabled: Azure gives the value out", required=False)
    reason = reason_field()

    def __init__(self, data: QueryDict | None = None, *, before: Wish | None = None, **kwargs: Any) -> None:
        self.before = before or Wish()
        given = {
            "content_type": self.before.content_type, "enabled": self.before.enabled,
            "not_before": self.before.not_before, "expires_on": self.before.expires_on,
        }  # fmt: skip
        super().__init__(data, initial={**given, **kwargs.pop("initial", {})}, **kwargs)

    # --- Tags, as the template draws them ---
    @property
    def odd_tags(self) -> dict[str, str]:
        """Those that no field of a browser can hold."""
        return {name: text for name, text in self.before.tags.items() if _odd(name) or _odd(text)}

    @property
    def tag_rows(self) -> list[tuple[str, str]]:
        """The rows to show: those that were sent, else those that are there, and a few empty ones."""
        shown = [(name, text) for name, text in self.before.tags.items() if name not in self.odd_tags]
        if self.is_bound:
            shown = [pair for pair in self["tags"].data if any(pair)]
        return shown + [("", "")] * max(0, min(SPARE_TAGS, rules.MOST_TAGS - len(shown)))

    def clean_tags(self) -> dict[str, str]:
        pairs = [(name, text) for name, text in self.cleaned_data["tags"] or [] if name or text]
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            raise forms.ValidationError("Two tags have the same name.")
        return dict(pairs)

    def clean_not_before(self) -> datetime | None:
        return self._whole("not_before")

    def clean_expires_on(self) -> datetime | None:
        return self._whole("expires_on")

    def _whole(self, name: str) -> datetime | None:
        moment: datetime | None = self.cleaned_data[name]
        if moment and moment.astimezone(UTC) > LATEST:
            raise forms.ValidationError("Azure's dates end with the year 9999.")
        return moment.astimezone(UTC) if moment else None

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and (why := problem(self.wish)):
            self.add_error("tags" if "tag" in why.lower() else "expires_on", why)
        return data

    @property
    def wish(self) -> Wish:
        """What the form asks for, once it is valid."""
        data = self.cleaned_data
        kept = {} if data.get("drop") else self.odd_tags
        return Wish(
            data["content_type"], {**data["tags"], **kept}, data["enabled"], data["not_before"], data["expires_on"]
        )


def _odd(text: str) -> bool:
    return any(char in text for char in "\r\n\0")


class SetForm(PropertiesForm):
    """A new version's properties: what they are based on, what of them was confirmed."""

    mark = forms.CharField(required=False, max_length=40_000, widget=forms.HiddenInput)
    seen = forms.CharField(required=False, max_length=64)
    keep_expiry = forms.BooleanField(required=False)


class NewForm(SetForm):
    """A new secret."""

    name = forms.CharField(
        label="Name",
        max_length=127,
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}),
        help_text=f"{NAME_RULE} It cannot be changed later, and capitals make no difference.",
        error_messages={"max_length": NAME_RULE, "required": "Give the secret a name."},
    )

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if not valid_name(name):
            raise forms.ValidationError(NAME_RULE)
        return name


class UpdateForm(PropertiesForm):
    """New properties of a version that is there. `version` is its id, `seen` the hash of what was confirmed."""

    version = forms.CharField(required=False, max_length=32, widget=forms.HiddenInput)
    seen = forms.CharField(required=False, max_length=64)


class RollBackForm(SetForm):
    """The old version whose value is written anew."""

    version = forms.RegexField(r"^[0-9a-f]{32}$", widget=forms.HiddenInput)


class DeletedFilter(forms.Form):
    """The filter above a list of deleted secrets."""

    q = forms.CharField(
        label="Name contains",
        required=False,
        max_length=127,
        widget=forms.TextInput({"type": "search", "autocomplete": "off"}),
        error_messages={"max_length": "A name has 127 characters at most; this has %(show_value)d."},
    )


class ReasonForm(forms.Form):
    """An act on a whole secret, and why."""

    reason = reason_field()


class PurgeForm(ReasonForm):
    """A purge: the name has to be typed, so that no click alone destroys anything."""

    name = forms.CharField(
        label="The secret's name, typed",
        max_length=127,
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}),
    )
    field_order = ("name", "reason")

    def __init__(self, *args: Any, name: str, by_grant: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._name = name
        if by_grant:  # the reason was given with the request
            del self.fields["reason"]

    def clean_name(self) -> str:
        typed = str(self.cleaned_data["name"])
        if typed != self._name:
            raise forms.ValidationError("That is not its name. Type it exactly as it stands above.")
        return typed


class AskPurgeForm(ReasonForm):
    """The question for an approval."""

    ticket = forms.CharField(
        label="Ticket", required=False, max_length=100, widget=forms.TextInput({"autocomplete": "off"})
    )
