"""The form under a list of sessions: which of them end, and, where they are somebody else's, why."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import QueryDict

from vaults.models import Session


class EndSessionsForm(forms.Form):
    """`listed` are the sessions that may be ended here. `ended` are those that were picked, or all of them.

    What has ended meanwhile is no fault of whoever picked it.
    """

    every = forms.CharField(required=False, max_length=10)

    def __init__(self, listed: QuerySet[Session], data: QueryDict | None = None) -> None:
        super().__init__(data)
        self.listed = listed
        self.picked = data.getlist("pick") if data else []

    def clean(self) -> dict[str, Any]:
        if not (self.cleaned_data.get("every") or self.picked):
            raise forms.ValidationError("Pick the sessions that are to end.")
        return self.cleaned_data

    @property
    def ended(self) -> QuerySet[Session]:
        return self.listed if self.cleaned_data["every"] else self.listed.filter(pk__in=self.picked)


class RevokeSessionsForm(EndSessionsForm):
    """For the sessions of somebody else."""

    reason = forms.CharField(
        min_length=3, max_length=500, help_text="A ticket, or a few words. It is kept in the ledger for ever."
    )
