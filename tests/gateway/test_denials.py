from __future__ import annotations

from typing import Any

import pytest

from kvadmin.emulator.denials import Denial
from kvadmin.emulator.http import json_response
from kvadmin.emulator.identities import KVADMIN, Identity
from kvadmin.emulator.roles import Role
from kvadmin.emulator.state import Azure, Vault
from kvadmin.gateway.denials import EVERYBODY, Principal, list_deny_assignments
from kvadmin.gateway.errors import BadAnswer, Denied, GatewayError
from tests.gateway.conftest import SUBSCRIPTION

GET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
ASSIGN = "Microsoft.Authorization/roleAssignments/write"
TEAM = Identity("group", "0a11c0de-0000-4000-8000-00000000a0f0", "")


def test_a_deny_assignment_is_told_with_whom_it_keeps_out_and_from_what(azure: Azure, vault: Vault) -> None:
    denied = Role("", ("Microsoft.KeyVault/*",), actions=("*",), not_actions=("*/read",))
    azure.denials.append(Denial("stack", f"/subscriptions/{SUBSCRIPTION}", denied, excluded=(TEAM,)))

    (found,) = list_deny_assignments(vault.resource_id)

    assert (found.name, found.scope, found.only_there) == ("stack", f"/subscriptions/{SUBSCRIPTION}", False)
    assert found.principals == (Principal(EVERYBODY, "SystemDefined"),)
    assert found.excluded == (Principal(TEAM.object_id, "Group"),)
    assert [found.denies_data(GET), found.denies(ASSIGN), found.denies("Microsoft.KeyVault/vaults/read")] == [
        True, True, False,
    ]  # fmt: skip


def test_who_may_not_read_them_gets_an_error_and_no_empty_list(azure: Azure, vault: Vault) -> None:
    azure.revoke(KVADMIN)

    with pytest.raises(Denied):
        list_deny_assignments(vault.resource_id)


@pytest.mark.parametrize("change", [{"principals": None}, {"principals": [{}]}, {"scope": 5}, {"permissions": {}}])
def test_one_that_is_none_is_a_bad_answer(scripted: Any, change: dict[str, Any]) -> None:
    properties = {"scope": "/", "principals": [{"id": EVERYBODY}], "permissions": [{}], **change}
    items = [{"id": "/d", "name": "d", "properties": {} if change == {"permissions": {}} else properties}]
    scripted(lambda request: json_response(200, {"value": items}))

    with pytest.raises(BadAnswer):
        list_deny_assignments(VAULT_ID)


VAULT_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/pay-prod"


def test_what_is_no_resource_id_is_refused(azure: Azure) -> None:
    with pytest.raises(GatewayError):
        list_deny_assignments("/subscriptions/x")
