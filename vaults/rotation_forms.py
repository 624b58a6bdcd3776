"""The filter of the rotation board; every state of it is an address."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils import timezone

from vaults import paging, rotation, search
from vaults.forms import QueryForm, text_field
from vaults.models import Secret, Vault
from vaults.rotations import MOST_LINES
from vaults.writing_forms import reason_field

SORTS = {"expires": "Expires first", "oldest": "Oldest first"}
MOST_LETTERS = 300  # of one line of a checklist
KINDS = {"": "Any", "secrets": "Secrets", "certificates": "Certificates"}


class BoardForm(QueryForm):
    """What the board shows. Its choices are those that the person's own vaults offer."""

    q = text_field("Name, tag, content type or vault", "vault:pay")
    environment = forms.ChoiceField(required=False)
    kind = forms.ChoiceField(required=False, choices=KINDS.items())
    owner = forms.CharField(
        label=f"Owner, or “{rotation.NO_OWNER}”", required=False, max_length=200, widget=forms.TextInput({"size": 8})
    )
    due = forms.ChoiceField(label="Expiry", required=False, choices=[("", "Any"), *rotation.DUE.items()])
    age = forms.ChoiceField(label="Age of the version", required=False, choices=[("", "Any"), *rotation.AGES.items()])
    sort = forms.ChoiceField(label="Order", required=False, choices=SORTS.items())
    left = forms.BooleanField(label="Read by somebody who left", required=False)
    month = forms.CharField(required=False, max_length=7, widget=forms.HiddenInput)

    def __init__(self, data: Any, vaults: QuerySet[Vault]) -> None:
        super().__init__(data)
        names = vaults.exclude(environment="").order_by("environment").values_list("environment", flat=True).distinct()
        self.fields["environment"].choices = [("", "Any"), *((name, name) for name in names)]  # type: ignore[attr-defined]

    def clean_month(self) -> tuple[int, int] | None:
        """Year and month of the calendar; None for the list."""
        word = self.cleaned_data["month"]
        if not word:
            return None
        found = re.fullmatch(r"([1-9][0-9]{3})-(0[1-9]|1[0-2])", word)
        if found is None or int(found[1]) > 9998:
            now = timezone.now()
            return now.year, now.month
        return int(found[1]), int(found[2])

    def narrow(self, secrets: QuerySet[Secret]) -> QuerySet[Secret]:
        """Live secrets that the valid form asks for, whenever they expire."""
        asked = self.cleaned_data
        found = secrets.filter(vanished_at=None, vault__vanished_at=None)
        if asked["environment"]:
            found = found.filter(vault__environment=asked["environment"])
        if asked["kind"]:
            found = found.filter(managed=asked["kind"] == "certificates")
        if asked["owner"]:
            found = found.filter(rotation.owned(asked["owner"].strip()))
        if asked["age"]:
            found = found.filter(rotation.aged(asked["age"]))
        return search.narrow(found, self.query)

    @property
    def order(self) -> paging.Sort:
        return paging.SORTS[self.cleaned_data["sort"] or "expires"]


class StartForm(forms.Form):
    """Why a secret is rotated, and who or what uses it."""

    reason = reason_field()
    lines = forms.CharField(
        label="What still uses the old value",
        required=False,
        max_length=6_000,
        widget=forms.Textarea({"rows": 4}),
        help_text="One in each line: programs, pipelines, people. Each becomes a line of the checklist.",
    )

    def clean_lines(self) -> list[str]:
        found = (line.strip() for line in str(self.cleaned_data["lines"]).splitlines())
        lines = list(dict.fromkeys(line for line in found if line))
        if len(lines) > MOST_LINES:
            raise forms.ValidationError(f"A checklist has {MOST_LINES} lines at most; these are {len(lines)}.")
        if long := next((number for number, line in enumerate(lines, 1) if len(line) > MOST_LETTERS), 0):
            raise forms.ValidationError(f"A line may have {MOST_LETTERS} characters; line {long} has more.")
        return lines


class LineForm(forms.Form):
    """One more line of the checklist."""

    text = forms.CharField(
        max_length=MOST_LETTERS, error_messages={"required": "Say who or what still uses the old value."}
    )
