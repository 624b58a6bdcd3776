"""The rules of a value to be generated, as a person chooses them."""

from __future__ import annotations

from django import forms
from django.http import QueryDict

from vaults.generator import BASE64, CHARACTERS, HEX, LONGEST, SHORTEST, Rules

LENGTH = f"The length is a number from {SHORTEST} to {LONGEST:,}."
KINDS = {CHARACTERS: "Characters", HEX: "Random bytes as hexadecimal", BASE64: "Random bytes as base64"}


class GeneratorForm(forms.Form):
    """Its fields stand inside the form of the secret that they fill, and belong to none: they are not sent along."""

    kind = forms.ChoiceField(choices=KINDS.items(), initial=CHARACTERS)
    length = forms.IntegerField(
        label="Length in characters, or bytes",
        min_value=SHORTEST,
        max_value=LONGEST,
        initial=24,
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), LENGTH),
    )
    lower = forms.BooleanField(label="Small letters", required=False, initial=True)
    upper = forms.BooleanField(label="Capital letters", required=False, initial=True)
    digits = forms.BooleanField(label="Digits", required=False, initial=True)
    symbols = forms.BooleanField(label="Symbols that shells and files leave alone", required=False)
    clear = forms.BooleanField(label="None that look alike, such as 0 and O", required=False, initial=True)

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data, auto_id="generator-%s")
        for field in self.fields.values():
            field.widget.attrs["form"] = ""  # the id of no form

    def clean(self) -> None:
        asked = self.cleaned_data
        kinds = [asked.get(name) for name in ("lower", "upper", "digits", "symbols")]
        if asked.get("kind") == CHARACTERS and not any(kinds):
            self.add_error("lower", "Choose at least one kind of character.")

    @property
    def rules(self) -> Rules:
        """What the valid form asks for."""
        return Rules(**self.cleaned_data)
