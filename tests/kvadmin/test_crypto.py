"""What lies encrypted: each purpose has its key, and a key can be replaced without losing anything."""

from __future__ import annotations

import pytest

from kvadmin import crypto


def test_what_is_encrypted_can_be_read_and_shows_nothing() -> None:
    token = crypto.encrypt("canary-seed", "second factors")

    assert crypto.decrypt(token, "second factors") == "canary-seed"
    assert "canary" not in token
    assert crypto.encrypt("canary-seed", "second factors") != token


def test_another_purpose_reads_nothing() -> None:
    token = crypto.encrypt("canary-seed", "second factors")

    with pytest.raises(crypto.Unreadable):
        crypto.decrypt(token, "sessions")


def test_what_was_changed_is_not_read() -> None:
    token = crypto.encrypt("canary-seed", "sessions")

    with pytest.raises(crypto.Unreadable):
        crypto.decrypt(token[:-8] + "AAAAAAA=", "sessions")


def test_a_key_is_replaced_in_three_steps(settings) -> None:
    old = settings.SECRET_KEY
    token = crypto.encrypt("canary-seed", "second factors")

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [old]
    renewed = crypto.renew(token, "second factors")
    settings.SECRET_KEY_FALLBACKS = []

    assert crypto.decrypt(renewed, "second factors") == "canary-seed"
    with pytest.raises(crypto.Unreadable):
        crypto.decrypt(token, "second factors")
