"""What waits for the worker stays readable while the key of the deployment is replaced, and no longer."""

from __future__ import annotations

import pytest

from vaults.sealing import Broken, seal, unseal


def test_an_old_key_that_is_still_named_opens_what_it_sealed(settings) -> None:
    sealed = seal(b"canary", "one")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "n" * 50

    assert unseal(sealed, "one") == b"canary"
    with pytest.raises(Broken):
        unseal(sealed, "two")


def test_what_was_sealed_now_is_not_opened_by_the_old_key(settings) -> None:
    old = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [old]
    sealed = seal(b"canary", "one")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = old, []

    with pytest.raises(Broken):
        unseal(sealed, "one")
