"""Reading with a person's own rights: the right person's token, in Azure's log too, and never somebody else's."""

from __future__ import annotations

import gc
import threading

import pytest
from azure.identity import OnBehalfOfCredential

from kvadmin.emulator.identities import Identity
from kvadmin.emulator.state import AuditRow, Azure
from kvadmin.gateway import keyvault
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.on_behalf import OnBehalfOf

SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
APP = "33333333-3333-4333-8333-333333333333"
VAULT = "https://pay-prod.vault.azure.net/"
ADA = Identity("person", "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", APP, upn="ada@contoso.example")
BOB = Identity("person", "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb", APP, upn="bob@contoso.example")
EVE = Identity("person", "eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee", APP, upn="eve@contoso.example")


@pytest.fixture(autouse=True)
def cloud(azure: Azure, settings) -> Azure:
    settings.KVADMIN_OIDC_CLIENT_ID, settings.KVADMIN_OIDC_CLIENT_SECRET = APP, "app-secret"
    azure.apps[APP] = "app-secret"
    azure.add_subscription(SUBSCRIPTION, "Payments")
    vault = azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    azure.put_secret("pay-prod", "db-password", "canary-own")
    for person in (ADA, BOB):
        azure.grant(person, "Key Vault Secrets User", vault.resource_id)
    return azure


def of(azure: Azure, person: Identity) -> OnBehalfOf:
    return OnBehalfOf(azure.tenant_id, person.token(f"api://{APP}"))


def read(own: OnBehalfOf) -> keyvault.Read:
    return keyvault.get_secret(VAULT, "db-password", reveal_id="reveal-1", on_behalf_of=own)


def readers(azure: Azure) -> dict[str, str]:
    """Who read, as Azure's log has it, by the request's id."""
    return {row.correlation_id: row.identity.upn for row in reads(azure) if row.identity}


def reads(azure: Azure) -> list[AuditRow]:
    return [row for row in azure.log if row.operation == "SecretGet" and row.status == 200]


def refused(own: OnBehalfOf) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        read(own)
    return caught.value


def test_azures_log_names_the_person_and_the_app_that_acted_for_them(cloud: Azure) -> None:
    found = read(of(cloud, ADA))

    assert found.value.expose() == "canary-own"
    assert readers(cloud) == {found.request_id: ADA.upn}
    assert [row.identity.app_id for row in reads(cloud) if row.identity] == [APP]


def test_many_at_once_each_read_with_their_own_token(cloud: Azure) -> None:
    """Two people, eight threads each, all let go at the same moment."""
    people, start = [ADA, BOB] * 8, threading.Barrier(16)
    found: list[tuple[str, str]] = []

    def go(person: Identity) -> None:
        start.wait()
        found.append((read(of(cloud, person)).request_id, person.upn))

    threads = [threading.Thread(target=go, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 16
    assert readers(cloud) == dict(found)


def test_nothing_holds_on_to_a_credential_once_azure_has_answered(cloud: Azure) -> None:
    """Whoever signs out, or is signed out by others, leaves none behind, in no process."""
    read(of(cloud, ADA))
    refused(of(cloud, EVE))

    gc.collect()
    assert [held for held in gc.get_objects() if type(held) in {OnBehalfOfCredential, OnBehalfOf}] == []


def test_one_after_the_other_each_reads_as_themselves(cloud: Azure) -> None:
    read(of(cloud, ADA))
    read(of(cloud, BOB))

    assert sorted(readers(cloud).values()) == [ADA.upn, BOB.upn]


def test_whoever_has_no_right_in_azure_is_told_so_in_their_own_terms(cloud: Azure) -> None:
    error = refused(of(cloud, EVE))

    assert (error.code, error.definite) == ("rbac", True)
    assert error.sentence == "Azure refused this: your own account has no role on this vault that allows it."
    assert error.advice.startswith("Give your own account the role Key Vault Secrets User on the vault")


def test_whom_microsoft_wants_to_see_again_is_told_so(cloud: Azure) -> None:
    cloud.must_sign_in.add(ADA.object_id)

    error = refused(of(cloud, ADA))

    assert (error.code, error.inner, error.definite) == ("own-sign-in", "AADSTS50076", True)
    assert str(error) == "Microsoft wants you to sign in again before your own rights can be used."


def test_a_wrong_secret_of_the_app_is_told_to_those_who_run_kvadmin(cloud: Azure) -> None:
    cloud.apps[APP] = "another"

    error = refused(of(cloud, ADA))

    assert (error.code, error.advice) == (
        "credential",
        "The app registration's secret is wrong. Check KVADMIN_OIDC_CLIENT_SECRET.",
    )


def test_kvadmins_own_identity_can_vouch_for_the_app_instead_of_a_secret(cloud: Azure, settings) -> None:
    settings.KVADMIN_OIDC_CREDENTIAL, settings.KVADMIN_OIDC_CLIENT_SECRET = "managed-identity", ""

    assert read(of(cloud, ADA)).value.expose() == "canary-own"


def test_the_token_shows_in_no_text(cloud: Azure) -> None:
    own = of(cloud, ADA)

    assert own.assertion not in f"{own!r} {own}"
