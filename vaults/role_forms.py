"""Forms that say where something holds: a role for somebody, a reveal policy."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, cast

from django import forms
from django.contrib.auth.models import Group
from django.db.models import Q, QuerySet
from django.utils import timezone

from kvadmin import actions as a
from kvadmin.actions import Action
from vaults import policy
from vaults.models import Person, RevealPolicy, Role, RoleAssignment, ScopeKind, Subscription, Vault
from vaults.models.role import RoleAssignmentQuerySet

NEEDED = {
    ScopeKind.ENVIRONMENT: ("environment", "Choose the environment."),
    ScopeKind.SUBSCRIPTION: ("subscription", "Choose the subscription."),
    ScopeKind.VAULT: ("vault", "Name the vault."),
    ScopeKind.PREFIX: ("vault", "Name the vault."),
}
KEPT = {
    ScopeKind.EVERYTHING: (),
    ScopeKind.ENVIRONMENT: ("environment",),
    ScopeKind.SUBSCRIPTION: ("subscription",),
    ScopeKind.VAULT: ("vault",),
    ScopeKind.PREFIX: ("vault", "prefix"),
}
EMPTY = {"environment": "", "subscription": None, "vault": None, "prefix": ""}


def _environments(vaults: QuerySet[Vault]) -> list[tuple[str, str]]:
    known = vaults.exclude(environment="").values_list("environment", flat=True).distinct().order_by()
    return [("", "Choose one"), *((name, name) for name in sorted(known))]


def _subscriptions(person: Person, action: Action, vaults: QuerySet[Vault]) -> QuerySet[Subscription]:
    """All, for whoever reaches everything, so that a subscription without a vault can be chosen, too."""
    every = Subscription.objects.order_by("name")
    return every if policy.may_everywhere(person, action) else every.filter(pk__in=vaults.values("subscription"))


class ScopeForm(forms.Form):
    """Where it holds. Fields that the chosen kind does not need are ignored, so that switching kinds loses nothing.

    `by` is whoever fills it in: no choice and no error tells of a vault that their own role does not reach.
    """

    action: Action
    scope_kind = forms.ChoiceField(label="Scope", choices=ScopeKind.choices, initial=ScopeKind.VAULT)
    environment = forms.ChoiceField(required=False)
    subscription = forms.ModelChoiceField(
        queryset=Subscription.objects.none(), required=False, empty_label="Choose one"
    )
    vault = forms.CharField(required=False, max_length=127, widget=forms.TextInput({"list": "vault-names"}))
    prefix = forms.CharField(  # type: ignore[assignment] # the scope's own word; Form.prefix is not used here
        required=False, max_length=127, help_text="Secrets whose names begin with this, such as db-."
    )

    def __init__(self, *args: Any, by: Person, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.vaults = policy.vaults_for(by, self.action)
        environment = cast("forms.ChoiceField", self.fields["environment"])
        # Asked once; a callable would be asked at each turn of the widget.
        environment.choices = _environments(self.vaults)
        subscription = cast("forms.ModelChoiceField[Subscription]", self.fields["subscription"])
        subscription.queryset = _subscriptions(by, self.action, self.vaults)

    def clean_vault(self) -> Vault | None:
        name = str(self.cleaned_data["vault"]).strip().lower()
        if not name:
            return None
        vault = self.vaults.filter(name=name).first()
        if vault is None:
            raise forms.ValidationError("No vault of this name is known. Check the spelling, or refresh the inventory.")
        return vault

    def clean_prefix(self) -> str:
        return str(self.cleaned_data["prefix"]).strip().lower()

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        kind = data.get("scope_kind", "")
        if kind in NEEDED and not data.get(NEEDED[kind][0]) and NEEDED[kind][0] not in self.errors:
            self.add_error(*NEEDED[kind])
        if kind == ScopeKind.PREFIX and not data.get("prefix"):
            self.add_error("prefix", "Give the beginning of the names.")
        return data

    @property
    def scope(self) -> dict[str, Any]:
        """The model columns of the chosen scope."""
        kind = self.cleaned_data["scope_kind"]
        return {"scope_kind": kind, **EMPTY, **{name: self.cleaned_data[name] for name in KEPT[kind]}}


class RoleForm(ScopeForm):
    """A role for a person or a group, somewhere, perhaps until a day."""

    action = a.ROLE_ASSIGN
    holder = forms.CharField(
        label="Person or group",
        max_length=170,
        help_text="A user name, or group: and the group's name.",
        widget=forms.TextInput({"list": "holder-names"}),
    )
    role = forms.ChoiceField(choices=Role.choices, initial=Role.READER)
    ends_at = forms.DateTimeField(
        label="Ends at (UTC)",
        required=False,
        widget=forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="Empty: until somebody ends it.",
    )
    field_order = ("holder", "role", "scope_kind", "environment", "subscription", "vault", "prefix", "ends_at")

    def clean_holder(self) -> Person | Group:
        name = str(self.cleaned_data["holder"]).strip()
        found: Person | Group | None
        if name.startswith("group:"):
            found = Group.objects.filter(name=name.removeprefix("group:").strip()).first()
        else:
            found = Person.objects.filter(username__iexact=name, is_active=True).first()
        if found is None:
            raise forms.ValidationError("Nobody of this name can sign in, and no group is called so.")
        return found

    def clean_ends_at(self) -> datetime | None:
        ends_at: datetime | None = self.cleaned_data["ends_at"]
        if ends_at and ends_at.astimezone(UTC) <= timezone.now():
            raise forms.ValidationError("This moment has passed already.")
        return ends_at

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        if data.get("role") == Role.BREAK_GLASS_HOLDER and isinstance(data.get("holder"), Group):
            self.add_error("holder", "Break-glass is for named people, never for a group.")
        return data

    def assignment(self) -> RoleAssignment:
        """The assignment that the form describes, not yet saved."""
        holder = self.cleaned_data["holder"]
        whose = {"person": holder} if isinstance(holder, Person) else {"group": holder}
        return RoleAssignment(
            role=self.cleaned_data["role"], ends_at=self.cleaned_data["ends_at"], **whose, **self.scope
        )


def _name_field(label: str) -> forms.CharField:
    return forms.CharField(
        label=label,
        required=False,
        max_length=200,
        widget=forms.TextInput({"type": "search", "autocomplete": "off"}),
        error_messages={"max_length": "A filter may have 200 characters; this one has %(show_value)d."},
    )


class NameFilter(forms.Form):
    """The text field above a list of people or roles. `columns` are searched for it."""

    columns: tuple[str, ...] = ("username", "first_name", "last_name")
    q = _name_field("Name contains")

    @property
    def names(self) -> Q:
        """The rows that the valid form asks for."""
        text, found = self.cleaned_data["q"], Q()
        for column in self.columns if text else ():
            found |= Q(**{f"{column}__icontains": text})
        return found


class RolesFilter(NameFilter):
    """The filter above the list of roles: those in force, or those that have ended."""

    columns = ("person__username", "person__first_name", "person__last_name", "group__name", "vault__name")
    q = _name_field("Person, group or vault contains")
    role = forms.ChoiceField(required=False, choices=[("", "Any"), *Role.choices])
    ended = forms.BooleanField(label="Ended ones", required=False)

    def narrow(self, every: RoleAssignmentQuerySet) -> RoleAssignmentQuerySet:
        """Those that the valid form asks for."""
        found = every.exclude(pk__in=every.in_force().values("pk")) if self.cleaned_data["ended"] else every.in_force()
        role = self.cleaned_data["role"]
        return found.filter(self.names, Q(role=role) if role else Q())


def _minutes(label: str, column: str, low: int, high: int, help_text: str) -> forms.IntegerField:
    default = getattr(RevealPolicy(), column)
    return forms.IntegerField(
        label=label, required=False, min_value=low, max_value=high, initial=default, help_text=help_text
    )


WEEK = 7 * 1440
# What a mode, or a closed break-glass, has no use for; such a field is ignored, whatever it holds.
ASKING = ("approvals_needed", "approver_groups", "use", "cap_minutes", "version_rule", "decide_minutes")


DECIDING = ("approvals_needed", "approver_groups", "decide_minutes")  # what a purge needs of it as well


class PolicyForm(ScopeForm):
    """How values somewhere may be revealed. An empty field is as the model has it; an unused one is ignored."""

    action = a.POLICY_EDIT
    mode = forms.ChoiceField(
        label="Values are shown",
        choices=[("direct", "Directly, to Secrets Users"), ("approval", "After an approval"), ("forbidden", "Never")],
        initial=RevealPolicy.Mode.APPROVAL,
    )
    approvals_needed = forms.TypedChoiceField(
        label="Approvals needed", required=False, coerce=int, choices=[(1, "1"), (2, "2"), (3, "3")], empty_value=None
    )
    approver_groups = forms.ModelMultipleChoiceField(
        label="Approver groups",
        required=False,
        queryset=Group.objects.order_by("name"),
        widget=forms.SelectMultiple({"size": "4"}),
        help_text="Each chosen group has to approve, by a person of its own. None: any approver will do.",
    )
    use = forms.ChoiceField(label="A grant shows the value", required=False, choices=RevealPolicy.Use.choices)
    cap_minutes = _minutes("Longest grant, in minutes", "cap_minutes", 1, WEEK, "Up to a week: 10080.")
    version_rule = forms.ChoiceField(label="Which version", required=False, choices=RevealPolicy.VersionRule.choices)
    decide_minutes = _minutes(
        "Time to decide, in minutes", "decide_minutes", 5, WEEK, "Undecided so long, or approved and unused: expired."
    )
    ticket_pattern = forms.CharField(
        label="Ticket pattern",
        required=False,
        max_length=200,
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false", "placeholder": r"INC-\d{3,}"}),
        help_text="A regular expression for the whole ticket. Empty: a ticket is optional.",
    )
    sign_in_minutes = _minutes(
        "Freshness of the sign-in, in minutes",
        "sign_in_minutes",
        0,
        720,
        "For showing, deciding and purging. 0: any age.",
    )
    purge_approval = forms.BooleanField(label="A purge needs these approvals, too", required=False)
    break_glass = forms.BooleanField(label="Break-glass is open here", required=False)
    break_glass_minutes = _minutes("Break-glass lasts, in minutes", "break_glass_minutes", 1, 240, "4 hours at most.")

    def clean_ticket_pattern(self) -> str:
        pattern = str(self.cleaned_data["ticket_pattern"])
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as problem:
            raise forms.ValidationError(f"This is no regular expression: {problem}.") from None
        return pattern

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        for name in self._unused():
            self.errors.pop(name, None)
            data.pop(name, None)
        return data

    def _unused(self) -> list[str]:
        forbidden = self.cleaned_data.get("mode") == RevealPolicy.Mode.FORBIDDEN
        glass, purge = (bool(self.cleaned_data.get(name)) for name in ("break_glass", "purge_approval"))
        unused = [name for name in ASKING if not (purge and name in DECIDING)] if forbidden else []
        if not glass:
            unused.append("break_glass_minutes")
        return [*unused, "ticket_pattern", "sign_in_minutes"] if forbidden and not (glass or purge) else unused

    @property
    def groups(self) -> list[Group]:
        """The groups that each have to approve."""
        return list(self.cleaned_data.get("approver_groups") or [])

    def policy(self) -> RevealPolicy:
        """The policy that the form describes, not yet saved."""
        columns = {name: self.cleaned_data.get(name) for name in POLICY_COLUMNS}
        given = {name: value for name, value in columns.items() if value not in (None, "")}
        return RevealPolicy(mode=self.cleaned_data["mode"], **given, **self.scope)


POLICY_COLUMNS = (
    "approvals_needed", "use", "cap_minutes", "version_rule", "decide_minutes", "ticket_pattern", "sign_in_minutes",
    "break_glass", "break_glass_minutes", "purge_approval",
)  # fmt: skip
