"""Groups by Microsoft Graph, and the token that stands for a secret: the real pipeline, over the emulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kvadmin.emulator.http import Request, Response, json_response
from kvadmin.emulator.identities import audience_of
from kvadmin.emulator.state import Azure
from kvadmin.gateway import entra
from kvadmin.gateway.errors import BadAnswer, Denied, GatewayError

ADA = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"


def group(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def test_only_groups_that_were_asked_about_and_hold_the_person_are_told(azure: Azure) -> None:
    azure.groups = {group(1): {ADA}, group(2): set(), group(3): {ADA}}

    assert entra.member_of(ADA, [group(1), group(2)]) == [group(1)]


def test_more_groups_than_one_call_takes_are_asked_for_in_several(azure: Azure) -> None:
    wanted = [group(number) for number in range(45)]
    azure.groups = {one: {ADA} for one in (wanted[0], wanted[20], wanted[44])}

    assert entra.member_of(ADA, wanted) == [wanted[0], wanted[20], wanted[44]]


def test_without_the_permission_it_is_denied(azure: Azure) -> None:
    azure.directory_open = False

    with pytest.raises(Denied):
        entra.member_of(ADA, [group(1)])


def test_a_group_that_nobody_asked_about_is_not_believed(
    azure: Azure, scripted: Callable[[Callable[[Request], Response]], None]
) -> None:
    scripted(lambda request: json_response(200, {"value": [group(7), group(1).upper()]}))

    assert entra.member_of(ADA, [group(1)]) == [group(1)]


@pytest.mark.parametrize("body", [{}, {"value": None}, [], "text"])
def test_an_answer_of_another_form_is_an_error(
    azure: Azure, scripted: Callable[[Callable[[Request], Response]], None], body: Any
) -> None:
    scripted(lambda request: json_response(200, body))

    with pytest.raises(BadAnswer):
        entra.member_of(ADA, [group(1)])


@pytest.mark.parametrize(
    ("cloud", "audience"),
    [
        ("public", "api://AzureADTokenExchange"),
        ("usgovernment", "api://AzureADTokenExchangeUSGov"),
        ("china", "api://AzureADTokenExchangeChina"),
    ],
)
def test_the_token_that_stands_for_a_secret_is_for_the_exchange_of_this_cloud(
    azure: Azure, settings: Any, cloud: str, audience: str
) -> None:
    settings.KVADMIN_CLOUD = cloud

    assert audience_of(entra.assertion()) == audience


def test_an_identity_that_is_not_set_up_is_an_error_of_ours(azure: Azure, settings: Any) -> None:
    from kvadmin.gateway import client

    settings.KVADMIN_EMULATOR, settings.KVADMIN_CREDENTIAL, settings.KVADMIN_TENANT_ID = "", "client-secret", ""
    client.reset()

    with pytest.raises(GatewayError) as caught:
        entra.assertion()

    assert caught.value.code == "credential"
