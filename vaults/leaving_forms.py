"""The form that ends all of a person's access: their user name, typed, and why."""

from __future__ import annotations

from typing import Any

from django import forms

from vaults.models import Person


class EndAccessForm(forms.Form):
    """`person` is whose access would end: the user name that is typed must be theirs, letter by letter."""

    username = forms.CharField(
        label="Their user name",
        max_length=150,
        help_text="Type it, so that it is nobody else's access that ends.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}),
    )
    reason = forms.CharField(
        min_length=3, max_length=500, help_text="A ticket, or a few words. It is kept in the ledger for ever."
    )

    def __init__(self, person: Person, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person = person

    def clean_username(self) -> str:
        typed = str(self.cleaned_data["username"])
        if typed != self.person.username:
            raise forms.ValidationError("This is not the user name of the person whose page this is.")
        return typed
