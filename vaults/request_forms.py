"""What a person gives when asking for a value, deciding a request, or breaking the glass.

Only the shape is checked here. Whether it may be done is for vaults/requests.py, which puts every refusal on record.
"""

from __future__ import annotations

from typing import Any

from django import forms

from vaults.models import RevealPolicy, State
from vaults.words import span

MOST_MINUTES = 100_000


def _text(label: str, most: int, *, required: bool = True, rows: int = 0, **attrs: str) -> forms.CharField:
    area = {"rows": str(rows)} if rows else {}
    widget = (forms.Textarea if rows else forms.TextInput)({"autocomplete": "off", **area, **attrs})
    return forms.CharField(
        label=label,
        required=required,
        max_length=most,
        widget=widget,
        error_messages={
            "required": f"{label}: say it in a few words.",
            "max_length": f"At most {most} characters; this has %(show_value)d.",
        },
    )


def _reason(reader: str = "whoever decides") -> forms.CharField:
    field = _text("Reason", 500, rows=3)
    field.min_length = 3
    field.help_text = f"What for. {reader.capitalize()} reads it, and the ledger keeps it."
    field.error_messages["required"] = f"Say why you need the value: {reader} reads it."
    return field


class AskForm(forms.Form):
    """A question to see one value, under one policy."""

    reason = _reason()
    ticket = _text("Ticket", 100, required=False)
    minutes = forms.IntegerField(label="For how many minutes", min_value=1, max_value=MOST_MINUTES)
    use = forms.ChoiceField(label="How often", choices=RevealPolicy.Use.choices, required=False)

    def __init__(self, *args: Any, rule: RevealPolicy, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["minutes"].initial = min(30, rule.cap_minutes)
        self.fields[
            "minutes"
        ].help_text = f"At most {span(rule.cap_minutes)}, counted from when you first open the value."
        self.fields["ticket"].help_text = ticket_hint(rule)
        if rule.use == RevealPolicy.Use.ONCE:
            self.fields["use"].widget = forms.HiddenInput()
            self.fields["use"].initial = RevealPolicy.Use.ONCE

    def clean_use(self) -> str:
        return str(self.cleaned_data["use"] or RevealPolicy.Use.ONCE)


def ticket_hint(rule: RevealPolicy) -> str:
    return f"It has to look like {rule.ticket_pattern}" if rule.ticket_pattern else "If there is one."


class BreakGlassForm(forms.Form):
    """Why somebody cannot wait."""

    reason = _reason("every approver")
    ticket = _text("Ticket or incident", 100, required=False)

    def __init__(self, *args: Any, rule: RevealPolicy, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        hint = f"It has to look like {rule.ticket_pattern}" if rule.ticket_pattern else "The incident that this is for."
        self.fields["ticket"].help_text = hint


class DecideForm(forms.Form):
    """Yes, no, or back: with a comment that the person reads. `seen` is the hash of what the page showed."""

    VERDICTS = ((State.JUSTIFIED, "Justified"), (State.MISUSE, "Misuse"))
    seen = forms.CharField(required=False, max_length=64)
    verdict = forms.ChoiceField(required=False, choices=VERDICTS)
    comment = _text("Comment", 500, required=False, rows=2)


class ShortenForm(forms.Form):
    minutes = forms.IntegerField(label="Allow only so many minutes", min_value=1, max_value=MOST_MINUTES)


class WithdrawForm(forms.Form):
    """Nothing but the wish."""


class RequestsFilter(forms.Form):
    """The filter above a list of requests."""

    state = forms.ChoiceField(label="State", required=False, choices=[("", "Any"), *State.choices])
    q = forms.CharField(
        label="Secret, vault, person, reason or ticket",
        required=False,
        max_length=200,
        widget=forms.TextInput({"type": "search", "autocomplete": "off", "placeholder": "a word, or #12"}),
        error_messages={"max_length": "A search may have 200 characters; this one has %(show_value)d."},
    )
    before = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1, widget=forms.HiddenInput)
    after = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1, widget=forms.HiddenInput)
