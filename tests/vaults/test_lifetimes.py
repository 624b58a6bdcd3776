from __future__ import annotations

import pytest

from kvadmin.gateway.certificates import LifetimeAction
from kvadmin.gateway.keys import RotationAction
from vaults.lifetimes import duration, issuer, lifetime, rotation


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("P90D", "90 days"),
        ("P1D", "1 day"),
        ("P2Y", "2 years"),
        ("P1Y6M", "1 year and 6 months"),
        ("P2W", "2 weeks"),
        ("PT12H", "PT12H"),
        ("soon", "soon"),
        ("P", "P"),
        ("", ""),
    ],
)
def test_a_duration_is_told_in_words_or_as_it_is(text: str, words: str):
    assert duration(text) == words


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        (RotationAction("Rotate", "P90D", ""), "Azure makes a new version 90 days after the last one was made."),
        (RotationAction("rotate", "", "P30D"), "Azure makes a new version 30 days before the key expires."),
        (RotationAction("Notify", "", "P30D"), "Azure sends an event 30 days before the key expires."),
        (RotationAction("Dance", "", ""), "Dance."),
    ],
)
def test_what_happens_to_a_key_is_a_sentence(action: RotationAction, sentence: str):
    assert rotation(action) == sentence


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        (LifetimeAction("AutoRenew", 30, 0), "Azure renews it 30 days before it expires."),
        (LifetimeAction("AutoRenew", 1, 0), "Azure renews it 1 day before it expires."),
        (
            LifetimeAction("EmailContacts", 0, 80),
            "Azure writes to the vault's certificate contacts once 80% of its lifetime is over.",
        ),
        (LifetimeAction("", 0, 0), "Azure does nothing."),
    ],
)
def test_what_happens_to_a_certificate_is_a_sentence(action: LifetimeAction, sentence: str):
    assert lifetime(action) == sentence


def test_an_issuer_is_told_by_what_it_means():
    assert [issuer(name) for name in ("Self", "Unknown", "DigiCert", "")] == [
        "the vault itself: self-signed",
        "an authority that the vault does not know: renewed by hand",
        "DigiCert",
        "not told",
    ]
