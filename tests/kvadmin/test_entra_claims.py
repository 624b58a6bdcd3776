"""The ID token's signature, and what is read out of its claims."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from kvadmin.entra import claims
from kvadmin.entra.claims import Refused
from tests.entra import ADA, CLIENT_ID, TENANT

ISSUER = f"https://login.microsoftonline.com/{TENANT}/v2.0"
KEY, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))


@pytest.fixture(autouse=True)
def _registered(settings) -> None:
    settings.KVADMIN_OIDC_CLIENT_ID = CLIENT_ID
    settings.KVADMIN_OIDC_TENANT_ID = TENANT
    settings.KVADMIN_OIDC_ISSUER = ISSUER


def public(key: rsa.RSAPrivateKey, kid: str | None = "one") -> dict[str, Any]:
    found = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**found, "use": "sig", **({"kid": kid} if kid else {})}


def payload(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    return {"iss": ISSUER, "aud": CLIENT_ID, "sub": "s", "iat": now, "nbf": now, "exp": now + 3600, **changed}


def token(key: Any = KEY, algorithm: str = "RS256", kid: str | None = "one", **changed: Any) -> str:
    return jwt.encode(payload(**changed), key, algorithm, headers={"kid": kid} if kid else None)


def refused(text: str, *keys: dict[str, Any]) -> str:
    with pytest.raises(Refused) as caught:
        claims.verified(text, {"keys": list(keys or [public(KEY)])})
    return str(caught.value.code)


def test_a_token_of_the_tenants_key_is_believed() -> None:
    assert claims.verified(token(), {"keys": [public(OTHER, "two"), public(KEY)]})["sub"] == "s"


def test_a_single_key_needs_no_name() -> None:
    assert claims.verified(token(kid=None), {"keys": [public(KEY)]})["sub"] == "s"


def test_without_a_name_no_key_is_guessed_among_several() -> None:
    assert refused(token(kid=None), public(KEY), public(OTHER, "two")) == "InvalidKeyError"


def test_a_name_that_two_keys_bear_decides_nothing() -> None:
    assert refused(token(), public(KEY), public(OTHER)) == "InvalidKeyError"


def test_another_key_under_the_same_name_is_not_believed() -> None:
    assert refused(token(OTHER)) == "InvalidSignatureError"


def test_a_key_that_the_tenant_does_not_have_is_not_believed() -> None:
    assert refused(token(OTHER, kid="mine")) == "InvalidKeyError"


def test_a_token_that_nobody_signed_is_not_believed() -> None:
    assert refused(token(None, "none")) in {"InvalidAlgorithmError", "InvalidSignatureError"}


def test_the_public_key_as_a_shared_secret_is_not_believed() -> None:
    text = token("x" * 64, "HS256")

    assert refused(text) == "InvalidAlgorithmError"


def test_a_token_whose_claims_were_changed_is_not_believed() -> None:
    head, _, signature = token().split(".")
    _, body, _ = token(sub="t").split(".")

    assert refused(f"{head}.{body}.{signature}") == "InvalidSignatureError"


@pytest.mark.parametrize("text", ["", "a.b.c", "eyJ", "\x00", "é.é.é", "...."])
def test_what_is_no_token_is_not_believed(text: str) -> None:
    assert refused(text) == "DecodeError"


@pytest.mark.parametrize("keys", [{}, {"keys": []}, {"keys": None}, {"keys": ["text"]}, []])
def test_keys_that_cannot_be_read_open_nothing(keys: Any) -> None:
    with pytest.raises(Refused):
        claims.verified(token(), keys)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"iss": f"{ISSUER}/"}, "InvalidIssuerError"),
        ({"aud": "other"}, "InvalidAudienceError"),
        ({"aud": [CLIENT_ID, "other"]}, "InvalidAudienceError"),
        ({"exp": "soon"}, "DecodeError"),
    ],
)
def test_the_log_tells_what_was_wrong_with_it(changed: dict[str, Any], code: str) -> None:
    assert refused(token(**changed)) == code


@pytest.mark.parametrize(
    ("claim", "seconds", "code"),
    [
        ("exp", -120, "ExpiredSignatureError"),
        ("nbf", 120, "ImmatureSignatureError"),
        ("iat", 120, "ImmatureSignatureError"),
    ],
)
def test_a_token_counts_in_its_own_time(claim: str, seconds: int, code: str) -> None:
    assert refused(token(**{claim: int(time.time()) + seconds})) == code


@pytest.mark.parametrize(("claim", "seconds"), [("exp", -30), ("nbf", 30), ("iat", 30)])
def test_clocks_may_differ_by_less_than_a_minute(claim: str, seconds: int) -> None:
    text = token(**{claim: int(time.time()) + seconds})

    assert claims.verified(text, {"keys": [public(KEY)]})["sub"] == "s"


# --- Who it is -------------------------------------------------------------------------------------------------------


def identity(**said: Any) -> claims.Identity:
    return claims.identity_of({"nonce": "n", "tid": TENANT.upper(), "oid": ADA.upper(), **said}, "n")


@pytest.mark.parametrize("nonce", ["", "m", "N", "n "])
def test_only_the_very_nonce_will_do(nonce: str) -> None:
    with pytest.raises(Refused, match="does not belong to the sign-in"):
        claims.identity_of({"nonce": "n", "tid": TENANT, "oid": ADA}, nonce)


def test_no_nonce_is_no_nonce_on_both_sides() -> None:
    with pytest.raises(Refused):
        claims.identity_of({"nonce": "", "tid": TENANT, "oid": ADA}, "")


def test_ids_are_the_same_in_any_casing() -> None:
    assert (identity().tenant_id, identity().object_id) == (TENANT, ADA)


def test_the_names_that_entra_gives_come_before_the_display_name() -> None:
    found = identity(name="Ada Lovelace", given_name="Augusta Ada", family_name="King")

    assert (found.first_name, found.last_name) == ("Augusta Ada", "King")


def test_texts_that_do_not_fit_are_cut_and_those_that_are_none_left_out() -> None:
    found = identity(
        name="x" * 400, email=["a@b"], preferred_username="u\x00" * 200, roles={"a": 1}, groups=[1, "", "G"]
    )

    assert (len(found.first_name), found.email, found.user_name) == (150, "", "u" * 130)
    assert (found.roles, found.groups) == (frozenset(), frozenset({"g"}))


@pytest.mark.parametrize("said", [{"_claim_names": {"groups": "src1"}}, {"hasgroups": True}, {"hasgroups": "true"}])
def test_groups_that_were_left_out_are_noticed(said: dict[str, Any]) -> None:
    assert identity(**said).groups_left_out


@pytest.mark.parametrize("said", [{}, {"groups": []}, {"_claim_names": {"other": "src1"}}, {"_claim_names": "groups"}])
def test_groups_that_are_all_there_are_not_missed(said: dict[str, Any]) -> None:
    assert not identity(**said).groups_left_out
