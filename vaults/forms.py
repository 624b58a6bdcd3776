"""What a person asks of the lists: search, filters, and the address of a vault to register."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.db.models import Case, Q, QuerySet, Value, When

from kvadmin.gateway.client import vault_host
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.keyvault import valid_name
from vaults import paging, search
from vaults.models import Health, Secret, Subscription, Vault
from vaults.standing import BLIND, FAILED, GONE, THERE

TOO_LONG = {"max_length": f"A search may have {search.LONGEST} characters; this one has %(show_value)d."}


def text_field(label: str, placeholder: str = "") -> forms.CharField:
    widget = forms.TextInput(
        {"type": "search", "placeholder": placeholder, "autocomplete": "off", "spellcheck": "false"}
    )
    return forms.CharField(
        label=label, required=False, max_length=search.LONGEST, widget=widget, error_messages=TOO_LONG
    )


class QueryForm(forms.Form):
    """A form with a search text, `q`; once it is valid, `query` is what the text means."""

    query = search.Query()
    q = text_field("Search")

    def clean_q(self) -> str:
        text = str(self.cleaned_data["q"])
        try:
            self.query = search.parse(text)
        except search.BadQuery as problem:
            raise forms.ValidationError(str(problem)) from None
        return text


class SearchForm(QueryForm):
    """The search page's one field."""

    q = text_field("Name, tag, content type or vault", "db-password vault:pay tag:team=blue")


class SecretsForm(QueryForm):
    """The filter above a vault's secrets."""

    STATES = {
        "": "Any",
        "expired": "Expired",
        "expiring": "Expires within 30 days",
        "endless": "No expiry",
        "disabled": "Disabled",
        "managed": "Certificate",
        "gone": "Gone from Azure",
    }
    q = text_field("Name, tag or content type")
    state = forms.ChoiceField(label="State", required=False, choices=STATES.items)
    sort = forms.ChoiceField(
        label="Order", required=False, choices=[(key, sort.label) for key, sort in paging.SORTS.items()]
    )

    def narrow(self, secrets: QuerySet[Secret]) -> QuerySet[Secret]:
        """Those that the valid form asks for."""
        state = self.cleaned_data["state"]
        secrets = secrets.filter(vanished_at__isnull=state != "gone")
        return search.narrow(search.in_state(secrets, state), self.query)

    @property
    def order(self) -> paging.Sort:
        return paging.SORTS[self.cleaned_data.get("sort") or "name"]


class VaultsForm(forms.Form):
    """The filter above the list of vaults. Its choices are those that the person's own vaults offer.

    Vaults that Azure no longer shows are a list of their own: health=gone.
    """

    SORTS = {
        "name": ("Name", ("name",)),
        "health": ("Unhealthy first", ("-unhealthy", "health_since", "name")),
        "secrets": ("Most secrets first", ("-secret_count", "name")),
        "checked": ("Oldest listing first", ("listed_at", "name")),
    }
    HEALTH = [("", "Any"), ("not-ok", "Unhealthy"), *Health.choices, ("gone", "No longer shown by Azure")]
    q = text_field("Name contains")
    environment = forms.ChoiceField(required=False)
    subscription = forms.ChoiceField(required=False)
    health = forms.ChoiceField(required=False, choices=HEALTH)
    log = forms.ChoiceField(
        label="Access log", required=False, choices=[("", "Any"), ("ok", "Logged"), ("blind", "Blind")]
    )
    sort = forms.ChoiceField(label="Order", required=False, choices=[(key, label) for key, (label, _) in SORTS.items()])

    def __init__(self, data: Any, vaults: QuerySet[Vault]) -> None:
        super().__init__(data)
        environments = vaults.exclude(environment="").order_by("environment").values_list("environment", flat=True)
        choices = [("", "Any"), *((name, name) for name in environments.distinct())]
        self.fields["environment"].choices = choices  # type: ignore[attr-defined]
        known = Subscription.objects.filter(pk__in=vaults.values("subscription")).order_by("name", "subscription_id")
        choices = [("", "Any"), *((item.subscription_id, str(item)) for item in known)]
        self.fields["subscription"].choices = choices  # type: ignore[attr-defined]

    def narrow(self, vaults: QuerySet[Vault]) -> QuerySet[Vault]:
        """Those that the valid form asks for, in its order."""
        asked = self.cleaned_data
        wanted = GONE if asked["health"] == "gone" else THERE
        if asked["q"]:
            wanted &= Q(name__contains=asked["q"].lower())
        if asked["environment"]:
            wanted &= Q(environment=asked["environment"])
        if asked["subscription"]:
            wanted &= Q(subscription__subscription_id=asked["subscription"])
        if asked["health"] not in {"", "gone"}:
            wanted &= FAILED if asked["health"] == "not-ok" else Q(health=asked["health"])
        if asked["log"]:
            wanted &= BLIND if asked["log"] == "blind" else Q(log_state=asked["log"])
        unhealthy = Case(When(FAILED, then=Value(1)), default=Value(0))
        return vaults.filter(wanted).annotate(unhealthy=unhealthy).order_by(*self.SORTS[asked["sort"] or "name"][1])


class RegisterForm(forms.Form):
    """The address of a vault that Azure Resource Manager does not show to kvadmin."""

    uri = forms.CharField(
        label="Address of the vault",
        max_length=300,
        widget=forms.TextInput({"placeholder": "https://pay-prod.vault.azure.net/", "autocomplete": "off"}),
        help_text="As the portal shows it under “Vault URI”.",
        error_messages={"required": "Give the vault's address.", "max_length": "No vault's address is that long."},
    )
    environment = forms.CharField(
        required=False,
        max_length=64,
        help_text="Roles can hold for an environment. A tag on the vault, once kvadmin can see it, overrules this.",
        error_messages={"max_length": "An environment may have 64 characters; this one has %(show_value)d."},
    )

    def clean_uri(self) -> str:
        try:
            host = vault_host(str(self.cleaned_data["uri"]))
        except GatewayError as error:
            raise forms.ValidationError(error.sentence) from None
        if not valid_name(host.partition(".")[0].partition(":")[0]):
            raise forms.ValidationError("A vault's name has letters, digits and hyphens only.")
        return f"https://{host}/"

    def clean_environment(self) -> str:
        return str(self.cleaned_data["environment"]).strip().lower()

    @property
    def name(self) -> str:
        """The vault's name, which is the first part of its host."""
        return (urlsplit(self.cleaned_data["uri"]).hostname or "").partition(".")[0]
