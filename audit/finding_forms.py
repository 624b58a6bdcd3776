"""What the pages of findings, names, leavers and saved views may be asked for, cleaned."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms

from audit.finding_models import SavedView, Severity
from audit.forms import NameField
from audit.names import BadRows, Named, read
from audit.rules import RULES

RANGES = {"7d": timedelta(days=7), "30d": timedelta(days=30), "90d": timedelta(days=90), "365d": timedelta(days=365)}
RANGE = "90d"
STATES = [("", "Open"), ("acknowledged", "Acknowledged"), ("any", "Any")]


class FindingFilter(forms.Form):
    """The list of findings: by what, how loud, where, whose, and whether somebody has taken note."""

    state = forms.ChoiceField(choices=STATES, required=False)
    rule = forms.ChoiceField(
        label="What", choices=[("", "Anything"), *((rule.word, rule.label) for rule in RULES)], required=False
    )
    severity = forms.ChoiceField(label="How loud", choices=[("", "Any"), *Severity.choices], required=False)
    person = forms.CharField(label="Who (contains)", required=False, max_length=200)
    vault = NameField(label="Vault")
    secret = NameField(label="Secret")

    @property
    def is_narrowed(self) -> bool:
        return any(self.data.get(name) for name in self.fields)


class AcknowledgeForm(forms.Form):
    """Take note of some findings, with the reason."""

    reason = forms.CharField(
        label="Why this is in order, or what was done",
        min_length=3,
        max_length=500,
        error_messages={"required": "Say why, in a few words.", "min_length": "Say why, in a few words."},
        widget=forms.TextInput({"autocomplete": "off"}),
    )


class NamesForm(forms.Form):
    """Names to take in: pasted, or a small file. `rows` are what was read, once the form is valid."""

    text = forms.CharField(
        label="Rows: id, name, kind",
        required=False,
        max_length=200_000,
        strip=False,
        widget=forms.Textarea({"rows": "8", "spellcheck": "false", "class": "mono"}),
        help_text="One a line, with commas, semicolons or tabs. The kind is person, app, managed-identity or group.",
    )
    file = forms.FileField(label="Or a CSV file", required=False, help_text="UTF-8, at most 200 kB.")

    rows: list[Named]

    def clean_file(self) -> str:
        file = self.cleaned_data["file"]
        if not file:
            return ""
        if file.size > 200_000:
            raise forms.ValidationError("This file is too large: at most 200 kB. Take it in in pieces.")
        try:
            return str(file.read().decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise forms.ValidationError("This file is not UTF-8 text.") from None

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.errors:
            return data
        text = data.get("text", "") or data.get("file", "")
        if data.get("text", "").strip() and data.get("file"):
            raise forms.ValidationError("Paste rows or choose a file, not both.")
        try:
            self.rows = read(text)
        except BadRows as bad:
            raise forms.ValidationError(bad.faults) from None
        return data


class SaveViewForm(forms.Form):
    """A view to be kept: which page, its filters as they stand in the address, and the name."""

    page = forms.ChoiceField(choices=SavedView.Page.choices)
    query = forms.CharField(required=False, max_length=4000)
    name = forms.CharField(label="Name", max_length=80)
    shared = forms.BooleanField(label="Share it with every auditor", required=False)
