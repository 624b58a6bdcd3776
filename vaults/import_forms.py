"""What a person chooses for an import. The file's content is no field of it: no form ever holds a value."""

from __future__ import annotations

import re

from django import forms
from django.http import QueryDict

from vaults.import_files import FORMATS
from vaults.imports import MOST_ROWS, SKIP, VERSION, Choice
from vaults.writing_forms import reason_field

EXISTING = {SKIP: "Leave it alone", VERSION: "Write a new version"}
_NUMBERED = re.compile(r"name-([1-9][0-9]{0,2})")


class ImportForm(forms.Form):
    """The choices for a preview; to write, also the reason and the seal of what was previewed.

    Beside its fields it reads `name-3`, another name for the third row, and `row`, the numbers of those that are
    ticked; with `chosen` they are all that is ticked, without it every row is.
    """

    format = forms.ChoiceField(required=False, choices=[("", "By the file's name"), *FORMATS.items()])
    existing = forms.ChoiceField(
        label="Where there is a secret of the name", choices=EXISTING.items(), initial=SKIP, required=False
    )
    reason = reason_field()
    seal = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    chosen = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: QueryDict | None = None, *, previewing: bool = False) -> None:
        super().__init__(data)
        if previewing:
            self.fields["reason"].required = False

    @property
    def choice(self) -> Choice:
        """What the valid form says of the rows."""
        assert isinstance(self.data, QueryDict)  # noqa: S101 - for the type checker: it is bound
        named = ((_NUMBERED.fullmatch(key), str(self.data[key])) for key in self.data)
        names = {int(found[1]): name.strip()[:200] for found, name in named if found}
        ticked = {int(word) for word in self.data.getlist("row")[:MOST_ROWS] if word.isdecimal() and len(word) < 4}
        rows = ticked if self.cleaned_data["chosen"] else None
        return Choice(self.cleaned_data["existing"] or SKIP, names, rows)
