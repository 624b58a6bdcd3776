from __future__ import annotations

import pytest

from vaults.environments import kind, named_in, twins


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("prod", {"prod"}),
        ("EU-Production", {"prod"}),
        ("prod,dev", {"prod", "dev"}),
        ("staging/test", {"staging", "test"}),
        ("non-prod", {"staging"}),
        ("pre-prod", {"staging"}),
        ("nonprod", {"staging"}),
        ("product", set()),
        ("developer", set()),
        ("blue", set()),
        ("", set()),
    ],
)
def test_environments_are_words_and_no_parts_of_words(text: str, found: set[str]) -> None:
    assert named_in(text) == found


@pytest.mark.parametrize(("text", "word"), [("prd", "prod"), ("blue", "blue"), ("prod,dev", "prod,dev"), ("", "")])
def test_an_environment_of_the_teams_own_stays_as_it_is(text: str, word: str) -> None:
    assert kind(text) == word


@pytest.mark.parametrize(
    ("names", "counts"),
    [
        (["db-password-prod", "db-password-dev", "other"], {"prod": 1, "dev": 1}),
        (["prod-a", "dev-a", "prod-b", "test-b", "dev-c"], {"prod": 2, "dev": 1, "test": 1}),
        (["db-prod-password", "DB-Dev-Password"], {"prod": 1, "dev": 1}),
        (["test-user-password", "dev-portal-key", "prod-key"], {}),
        (["db-password", "db-password-dev"], {}),
        (["key-prod", "key-production"], {}),
        (["key-non-prod", "key-non-dev"], {}),
        ([], {}),
    ],
)
def test_only_the_same_secret_twice_proves_a_mixture(names: list[str], counts: dict[str, int]) -> None:
    assert twins(names) == counts
