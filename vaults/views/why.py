"""Why may somebody do something, or why not?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from kvadmin import actions as a
from kvadmin.http import Request
from vaults import policy
from vaults.models import Person, Secret, Vault
from vaults.views.roles import signed_in
from vaults.why import Explanation, Question, explain

ALONE = "You may ask this about yourself. Administrators may ask it about anybody."
UNKNOWN = "No vault of this name is known to you."


class WhyForm(forms.Form):
    """Who, what and where. Somebody who assigns no roles can ask about themselves only."""

    person = forms.CharField(required=False, max_length=150, widget=forms.TextInput({"list": "person-names"}))
    action = forms.ChoiceField(
        label="Act", required=False, choices=[(word, f"{action.label} ({word})") for word, action in a.ACTIONS.items()]
    )
    vault = forms.CharField(required=False, max_length=127, widget=forms.TextInput({"placeholder": "anywhere"}))
    secret = forms.CharField(required=False, max_length=127, widget=forms.TextInput({"placeholder": "the whole vault"}))

    def __init__(self, data: Mapping[str, Any], me: Person) -> None:
        super().__init__({**data, "action": data.get("action") or a.SECRET_REVEAL.word})
        self.me, self.administers = me, bool(policy.may(me, a.ROLE_ASSIGN))

    def clean_person(self) -> Person:
        name = str(self.cleaned_data["person"]).strip()
        if not name or name == self.me.username:
            return self.me
        if not self.administers:
            raise forms.ValidationError(ALONE)
        found = Person.objects.filter(username__iexact=name).first()
        if found is None:
            raise forms.ValidationError("Nobody is called so.")
        return found

    def clean_action(self) -> a.Action:
        return a.ACTIONS[self.cleaned_data["action"]]

    def clean_vault(self) -> Vault | None:
        """One that the person sees, or could give roles for: of all others not even the name is told."""
        name = str(self.cleaned_data["vault"]).strip().lower()
        if not name:
            return None
        known = policy.visible_vaults(self.me) | policy.vaults_for(self.me, a.ROLE_ASSIGN)
        vault = known.select_related("subscription").filter(name=name).first()
        if vault is None:
            raise forms.ValidationError(UNKNOWN)
        return vault

    def clean_secret(self) -> str:
        return str(self.cleaned_data["secret"]).strip().lower()

    def question(self) -> Question:
        """The question of a valid form. A secret counts by its name alone where its asker may not see it."""
        asked = self.cleaned_data
        vault, key = asked["vault"], asked["secret"] if asked["vault"] else ""
        seen = policy.visible_secrets(self.me).filter(vault=vault, key=key) if vault and key else Secret.objects.none()
        secret = seen.select_related("vault__subscription").first() if key else None
        decides = vault is not None and bool(policy.may(self.me, a.REQUEST_APPROVE, vault, key))
        names = self.administers or decides
        return Question(asked["person"], asked["action"], vault, key, secret, names=names, reader=self.me)


@require_safe
def why(request: Request) -> HttpResponse:
    me = signed_in(request)
    form = WhyForm(request.GET.dict(), me)
    status, told = 200, None
    if form.is_valid():
        told = _explain(form)
    else:
        status = 403 if ALONE in form.errors.get("person", []) else 422
    context = {"form": form, "told": told, "me": me, **_suggestions(form)}
    return render(request, "vaults/why.html", context, status=status)


def _explain(form: WhyForm) -> dict[str, object]:
    question = form.question()
    explanation: Explanation = explain(question)
    return {"question": question, "explanation": explanation, "oneself": question.person.pk == form.me.pk}


def _suggestions(form: WhyForm) -> dict[str, object]:
    """Names to choose from, for somebody who may know them all."""
    if not form.administers:
        return {}
    people = Person.objects.filter(is_active=True).order_by("username").values_list("username", flat=True)
    return {"person_names": people[:500]}
