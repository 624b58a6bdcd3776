"""Each rule of best practice rings where it should, and does not where it should not. No database, no Azure."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import pytest

from vaults import warnings
from vaults.models import AzureAccess, Subscription, Vault, VaultDetail
from vaults.views.warnings import LABELS
from vaults.warnings import Advice, Rule, Seen, ring

ANN, BOT = "0a11c0de-0000-4000-8000-00000000a001", "0a11c0de-0000-4000-8000-00000000b0b0"
SUBSCRIPTION = Subscription(subscription_id="11111111-0000-4000-8000-000000000001", name="Payments")
ID = f"/subscriptions/{SUBSCRIPTION.subscription_id}/resourcegroups/rg/providers/microsoft.keyvault/vaults/pay"
WHERE = f"--name Pay --resource-group 'rg (old)' --subscription {SUBSCRIPTION.subscription_id}"
WELL: dict[str, Any] = {"rbac": True, "purge_protection": True, "log_state": "ok", "environment": "prod"}
CLOSED: dict[str, Any] = {"default_action": "deny", "access_state": "ok"}


def seen(access: list[AzureAccess] | None = None, detail: dict[str, Any] | None = None, **fields: Any) -> Seen:
    """A vault with which nothing is amiss, but for what is said."""
    extra = {name: fields.pop(name) for name in ("elsewhere", "own", "app_id") if name in fields}
    place = {"resource_id": ID, "resource_group": "rg (old)", "location": "westeurope", "subscription": SUBSCRIPTION}
    vault = Vault(pk=1, name="pay", shown_name="Pay", **{**place, **WELL, **fields})
    return Seen(vault, VaultDetail(vault=vault, **{**CLOSED, **(detail or {})}), access or [], **extra)


def right(principal: str = ANN, scope: str = ID, **fields: Any) -> AzureAccess:
    role = {"by": "role", "reads": True, "role_name": "Key Vault Secrets User", "assignment_id": f"{scope}/ra/1"}
    return AzureAccess(principal_id=principal, principal_kind="person", scope=scope, **{**role, **fields})


def policy(*permissions: str, principal: str = ANN) -> AzureAccess:
    return AzureAccess(by="policy", principal_id=principal, reads=True, permissions=list(permissions))


def advice(rule: Rule, one: Seen) -> Advice:
    found = rule(one)
    assert found is not None
    return found


def test_a_vault_that_keeps_to_best_practice_has_no_warning() -> None:
    assert ring(seen([right()])) == []


RINGS: list[tuple[Rule, Callable[[], Seen], str]] = [
    (warnings.no_soft_delete, lambda: seen(detail={"soft_delete": False}), "serious"),
    (warnings.no_purge_protection, lambda: seen(purge_protection=False), "warning"),
    (warnings.no_purge_protection, lambda: seen(purge_protection=False, environment="dev"), "note"),
    (warnings.open_network, lambda: seen(detail={"default_action": "allow"}), "warning"),
    (warnings.wide_firewall, lambda: seen(detail={"ip_rules": ["0.0.0.0/2", "203.0.113.7"]}), "warning"),
    (warnings.no_logs, lambda: seen(log_state="no-setting"), "serious"),
    (warnings.no_logs, lambda: seen(log_state="not-to-workspace", environment="dev"), "warning"),
    (warnings.access_policies, lambda: seen(rbac=False), "warning"),
    (warnings.wide_policies, lambda: seen([policy("all")], rbac=False), "warning"),
    (warnings.wide_policies, lambda: seen([policy("get", "purge")], rbac=False), "warning"),
    (warnings.wide_roles, lambda: seen([right(scope="/subscriptions/s")]), "warning"),
    (warnings.wide_roles, lambda: seen([right(scope="/")]), "warning"),
    (warnings.wide_roles, lambda: seen([right(scope="/providers/microsoft.management/managementgroups/x")]), "warning"),
    (warnings.across_environments, lambda: seen([right()], elsewhere={ANN: frozenset({"dev"})}), "warning"),
    (
        warnings.across_environments,
        lambda: seen([right()], environment="dev", elsewhere={ANN: frozenset({"EU-Production"})}),
        "warning",
    ),
    (warnings.mixed_environments, lambda: seen(environment="prod/dev"), "warning"),
    (warnings.mixed_environments, lambda: seen(detail={"named_environments": {"dev": 3, "prod": 3}}), "warning"),
    (warnings.template_deployment, lambda: seen(detail={"template_deployment": True}), "note"),
    (warnings.no_environment, lambda: seen(environment=""), "note"),
    (warnings.access_unknown, lambda: seen(detail={"access_state": "denied"}), "warning"),
]


@pytest.mark.parametrize(("rule", "made", "level"), RINGS)
def test_a_rule_rings(rule: Rule, made: Callable[[], Seen], level: str) -> None:
    assert [(one.code.replace("-", "_"), one.level) for one in ring(made()) if rule(made()) == one] == [
        (rule.__name__, level)
    ]


QUIET: list[tuple[Rule, Callable[[], Seen]]] = [
    (warnings.open_network, lambda: seen(public_network=False, detail={"default_action": "allow"})),
    (warnings.wide_firewall, lambda: seen(detail={"ip_rules": ["10.0.0.0/16", "203.0.113.7", "nonsense", "::/0"]})),
    (warnings.wide_firewall, lambda: seen(public_network=False, detail={"ip_rules": ["0.0.0.0/2"]})),
    (warnings.no_logs, lambda: seen(log_state="unreadable")),
    (warnings.no_logs, lambda: seen(log_state="unknown")),
    (warnings.wide_policies, lambda: seen([policy("get", "list")], rbac=False)),
    (warnings.wide_roles, lambda: seen([right(scope=ID), right(scope=ID.partition("/providers")[0])])),
    (warnings.wide_roles, lambda: seen([right(scope=f"{ID}/secrets/db")])),
    (warnings.wide_roles, lambda: seen([right(scope="/", reads=False, grants=True)])),
    (warnings.wide_roles, lambda: seen([right(scope="/")], own=frozenset({ANN}))),
    (warnings.across_environments, lambda: seen([right()], elsewhere={ANN: frozenset({"production", ""})})),
    (warnings.across_environments, lambda: seen([right()], environment="dev", elsewhere={ANN: frozenset({"test"})})),
    (warnings.across_environments, lambda: seen([right()], environment="", elsewhere={ANN: frozenset({"prod"})})),
    (warnings.wide_roles, lambda: seen([right(scope="/", own=True)])),
    (warnings.across_environments, lambda: seen([right()], elsewhere={BOT: frozenset({"dev"})})),
    (
        warnings.across_environments,
        lambda: seen([right()], own=frozenset({ANN}), elsewhere={ANN: frozenset({"dev"})}),
    ),
    (warnings.mixed_environments, lambda: seen(environment="non-prod")),
    (warnings.mixed_environments, lambda: seen(detail={"named_environments": {"dev": 3}})),
    (warnings.access_unknown, lambda: seen(detail={"access_state": "failed"})),
    (warnings.access_unknown, lambda: seen(detail={"access_state": "unknown"})),
]


@pytest.mark.parametrize(("rule", "made"), QUIET)
def test_a_rule_does_not_ring_where_nothing_is_amiss_or_nothing_is_proven(rule: Rule, made: Callable[[], Seen]) -> None:
    assert rule(made()) is None


def test_every_rule_rings_somewhere_and_has_a_name_on_the_board() -> None:
    codes = {rule.__name__.replace("_", "-") for rule in warnings.RULES}

    assert ({rule for rule, *_ in RINGS}, set(LABELS)) == (set(warnings.RULES), codes)


def test_the_most_serious_comes_first() -> None:
    one = seen(environment="", purge_protection=False, log_state="no-setting", detail={"soft_delete": False})

    assert [found.level for found in ring(one)] == ["serious", "warning", "note", "note"]


@pytest.mark.parametrize(
    ("rule", "made", "commands"),
    [
        (
            warnings.no_purge_protection,
            lambda: seen(purge_protection=False),
            (f"az keyvault update {WHERE} --enable-purge-protection true",),
        ),
        (
            warnings.open_network,
            lambda: seen(detail={"default_action": "allow"}),
            (
                f'az keyvault network-rule add {WHERE} --ip-address "$ADDRESS"',
                f"az keyvault update {WHERE} --default-action Deny",
            ),
        ),
        (
            warnings.wide_firewall,
            lambda: seen(detail={"ip_rules": ["0.0.0.0/2", "203.0.113.7"]}),
            (f"az keyvault network-rule remove {WHERE} --ip-address 0.0.0.0/2",),
        ),
        (
            warnings.wide_policies,
            lambda: seen([policy("all")], rbac=False),
            (f"az keyvault set-policy {WHERE} --object-id {ANN} --secret-permissions get list",),
        ),
        (
            warnings.wide_roles,
            lambda: seen([right(scope="/subscriptions/s")]),
            (
                f"az role assignment create --assignee-object-id {ANN} --assignee-principal-type User "
                f"--role 'Key Vault Secrets User' --scope {ID}",
                "az role assignment delete --ids /subscriptions/s/ra/1",
            ),
        ),
        (
            warnings.no_environment,
            lambda: seen(environment=""),
            (f'az tag update --resource-id {ID} --operation Merge --tags environment="$ENVIRONMENT"',),
        ),
        (
            warnings.access_unknown,
            lambda: seen(detail={"access_state": "denied"}, app_id="c1"),
            (f"az role assignment create --assignee c1 --role 'Key Vault Reader' --scope {ID}",),
        ),
    ],
)
def test_the_command_names_this_vault_and_is_quoted(
    rule: Rule, made: Callable[[], Seen], commands: tuple[str, ...]
) -> None:
    assert advice(rule, made()).commands == commands


@pytest.mark.parametrize(("rule", "made", "level"), RINGS)
def test_every_command_is_one_that_a_shell_takes(rule: Rule, made: Callable[[], Seen], level: str) -> None:
    commands = advice(rule, made()).commands

    assert {shlex.split(command)[0] for command in commands} == {"az"}


def test_a_name_from_azure_cannot_break_out_of_its_quotes() -> None:
    one = seen(purge_protection=False, resource_group="rg'; rm -rf ~ #")
    words = shlex.split(advice(warnings.no_purge_protection, one).commands[0])

    assert words[words.index("--resource-group") + 1] == "rg'; rm -rf ~ #"


@pytest.mark.parametrize(("rule", "made", "level"), RINGS)
def test_what_everybody_reads_names_no_identity(rule: Rule, made: Callable[[], Seen], level: str) -> None:
    """Sentences go to whoever sees the vault; a command that names an identity says so."""
    found = advice(rule, made())
    spelt = " ".join(found.commands)

    assert ANN not in found.sentence + found.why + found.heed
    assert (ANN in spelt or "/ra/1" in spelt) <= found.about_people


def test_identities_are_counted_once_however_many_rights_they_hold() -> None:
    rows = [right(scope="/"), right(scope="/subscriptions/s"), right(BOT, scope="/")]

    assert advice(warnings.wide_roles, seen(rows)).sentence == (
        "2 identities read here by a role on a whole subscription or more."
    )
