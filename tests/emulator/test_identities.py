"""Tokens say who calls, as Azure's audit log shows it."""

from __future__ import annotations

import pytest

from kvadmin.emulator.identities import KVADMIN, Identity, audience_of, claims_of, from_token
from tests.emulator.cloud import ANN

APP = Identity("app", "0a11c0de-0000-4000-8000-00000000b001", "0a11c0de-0000-4000-8000-00000000b002", name="pipeline")
VAULTS = "https://vault.azure.net"


@pytest.mark.parametrize("identity", [ANN, APP, KVADMIN], ids=lambda identity: identity.kind)
def test_a_token_brings_back_whom_it_was_made_for(identity: Identity) -> None:
    assert from_token(identity.token(VAULTS)) == identity


@pytest.mark.parametrize("audience", [VAULTS, f"{VAULTS}/", f"{VAULTS}/.default"])
def test_a_scope_is_read_as_its_resource(audience: str) -> None:
    assert audience_of(KVADMIN.token(audience)) == VAULTS


def test_a_person_s_token_has_a_scope_and_an_app_s_has_none() -> None:
    person, app = claims_of(ANN.token(VAULTS)), claims_of(APP.token(VAULTS))

    assert (person["idtyp"], person["scp"], person["upn"]) == ("user", "user_impersonation", "ann@example.org")
    assert (app["idtyp"], "scp" in app, "upn" in app) == ("app", False, False)


def test_a_managed_identity_names_its_resource() -> None:
    claims = claims_of(KVADMIN.token(VAULTS))

    assert claims["xms_mirid"] == KVADMIN.resource_id
    assert claims["exp"] - claims["iat"] > 3600


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "a.W10.c", "a.bm8.c"])
def test_anything_else_is_no_token(token: str) -> None:
    with pytest.raises(ValueError, match=r"^The token "):
        from_token(token)
