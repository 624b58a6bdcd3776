"""What the coverage page may be asked for, cleaned."""

from __future__ import annotations

from django import forms
from django.conf import settings

from kvadmin import badges


class CoverageFilter(forms.Form):
    """Which vaults to list, by what is wrong with their log, and by a part of their name."""

    show = forms.ChoiceField(
        label="Log",
        choices=[("", "All vaults"), ("trouble", "Something is wrong"), *badges.choices("coverage")],
        required=False,
    )
    vault = forms.CharField(label="Vault (contains)", required=False, max_length=127)
    after = forms.CharField(required=False, max_length=127, widget=forms.HiddenInput)


class BackfillForm(forms.Form):
    """How far back to take in the log."""

    days = forms.IntegerField(label="Days back from today", min_value=1, initial=90)

    def clean_days(self) -> int:
        days: int = self.cleaned_data["days"]
        if days > settings.KVADMIN_AUDIT_DAYS:
            raise forms.ValidationError(
                f"kvadmin keeps events for {settings.KVADMIN_AUDIT_DAYS:,} days: ask for no more than that."
            )
        return days
