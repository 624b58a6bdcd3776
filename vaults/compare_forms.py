"""What a person asks of the comparison: the two sides, which rows, and which tags do not count."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import QueryDict

from kvadmin import badges
from vaults.equality import AT_ONCE
from vaults.models import Vault
from vaults.writing_forms import ReasonForm, reason_field

IGNORED = "env, environment"  # tags that differ between environments by their very nature
SHOWN = [("", "Differences"), ("all", "Everything"), *badges.choices("comparison")]


class CompareForm(forms.Form):
    """Two sides: each a vault, or all vaults of an environment."""

    left = forms.ChoiceField(label="Left", required=False)
    right = forms.ChoiceField(label="Right", required=False)
    show = forms.ChoiceField(label="Show", required=False, choices=SHOWN)
    ignore = forms.CharField(label="Tags that do not count", required=False, max_length=200)

    def __init__(self, data: Any, visible: QuerySet[Vault]) -> None:
        data = data.copy()
        data.setdefault("ignore", IGNORED)
        super().__init__(data)
        there = visible.filter(vanished_at=None).order_by("name")
        vaults = list(there.values_list("name", "shown_name", "environment"))
        environments = sorted({environment for *_, environment in vaults if environment})
        choices: list[Any] = [("", "Choose")]
        choices.append(("Environments", [(f"environment:{name}", f"environment {name}") for name in environments]))
        choices.append(("Vaults", [(f"vault:{name}", shown) for name, shown, _ in vaults]))
        for name in ("left", "right"):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type checker
            field.choices = choices

    @property
    def ignored(self) -> list[str]:
        """Names of tags, lower case."""
        return [name.strip().lower() for name in str(self.cleaned_data["ignore"]).split(",") if name.strip()]

    def clean(self) -> dict[str, Any]:
        sides = self.cleaned_data.get("left"), self.cleaned_data.get("right")
        if sides[0] and sides[0] == sides[1]:
            self.add_error("right", "Choose another one than on the left: a thing is always like itself.")
        return self.cleaned_data


class ValuesForm(ReasonForm):
    """Which pairs are to be compared by value, and why. A pair is two ids of secrets."""

    pick = forms.MultipleChoiceField(required=False)
    reason = reason_field("")

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data)
        self.ticked = list(dict.fromkeys(data.getlist("pick"))) if data else []
        field = self.fields["pick"]
        assert isinstance(field, forms.MultipleChoiceField)  # noqa: S101 - for the type checker
        field.choices = [(pair, pair) for pair in self.ticked]
        self.fields["reason"].label = "Why the values of those that are ticked are to be compared"

    def clean_pick(self) -> list[tuple[int, int]]:
        picked = [_pair(text) for text in self.cleaned_data["pick"]]
        if not picked:
            raise forms.ValidationError("Tick the secrets whose values are to be compared.")
        if len(picked) > AT_ONCE:
            raise forms.ValidationError(f"Tick {AT_ONCE} secrets at most; these are {len(picked)}.")
        return picked

    def clean(self) -> dict[str, Any]:
        """The focus goes to what is wrong; the page gives it to the ticks itself."""
        if "reason" in self.errors and "pick" not in self.errors:
            self.fields["reason"].widget.attrs["autofocus"] = True
        return self.cleaned_data


def _pair(text: str) -> tuple[int, int]:
    left, _, right = text.partition("-")
    if not all(one.isascii() and one.isdecimal() and len(one) < 19 for one in (left, right)):  # what a database counts
        raise forms.ValidationError("This is not what the page offered. This is the comparison as it is now.")
    return int(left), int(right)
