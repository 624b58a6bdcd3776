"""What a person gives when asking for a value."""

from __future__ import annotations

from typing import Any

from django import forms

from kvadmin.gateway.keyvault import valid_version


class RevealForm(forms.Form):
    """A reason, and the version to show (empty: the latest). By a grant, the reason was given with the request."""

    reason = forms.CharField(
        min_length=3,
        max_length=500,
        widget=forms.TextInput({"autocomplete": "off"}),
        help_text="Kept in the ledger with your name: a ticket or an incident, and what for.",
        error_messages={
            "required": "Say why you need the value: the reason is kept in the ledger.",
            "min_length": "Say why in a few words: the reason is kept in the ledger.",
            "max_length": "The reason may have 500 characters; this one has %(show_value)d.",
        },
    )
    version = forms.CharField(required=False, max_length=32, widget=forms.HiddenInput)

    def __init__(self, *args: Any, by_grant: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if by_grant:
            del self.fields["reason"]

    def clean_version(self) -> str:
        version = str(self.cleaned_data["version"]).lower()
        if version and not valid_version(version):
            raise forms.ValidationError("That is no version id: it has 32 characters, 0-9 and a-f.")
        return version
