"""Words for environments, in tags and in names: is this production, and are several of them mixed in one place?"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

PRODUCTION = "prod"
_WORDS = {
    PRODUCTION: {"prod", "production", "prd"},
    "staging": {"staging", "stage", "stg", "uat", "acc", "preprod", "nonprod"},
    "test": {"test", "tst", "qa"},
    "dev": {"dev", "development"},
}
_GROUP = {word: group for group, words in _WORDS.items() for word in words}
_NOT = {"non", "pre", "no", "not"}  # before "prod" they make it another environment
_SPLIT = re.compile(r"[^a-z0-9]+")


def named_in(text: str) -> set[str]:
    """The environments that a tag or a name speaks of, such as {"prod"} for "eu-production"; those it knows only."""
    words = _SPLIT.split(text.lower())
    found = {_GROUP[word] for word in words if word in _GROUP}
    return found - {PRODUCTION} | {"staging"} if PRODUCTION in found and _NOT & set(words) else found


def kind(environment: str) -> str:
    """The one environment that a tag names, or the tag itself where it is a word of the team's own."""
    found = named_in(environment)
    return found.pop() if len(found) == 1 else environment


def twins(names: Iterable[str]) -> dict[str, int]:
    """How many secrets there are for each environment of which another one has the same secret beside it.

    `db-password-prod` beside `db-password-dev` counts once for each; a word alone, such as "test-user", proves nothing.
    """
    bases: dict[str, set[str]] = defaultdict(set)
    for name in names:
        words = _SPLIT.split(name.lower())
        found = {_GROUP[word] for word in words if word in _GROUP}
        if len(found) == 1 and not _NOT & set(words):
            bases["-".join("*" if word in _GROUP else word for word in words)] |= found
    counts: dict[str, int] = defaultdict(int)
    for found in bases.values():
        for environment in found if len(found) > 1 else ():
            counts[environment] += 1
    return dict(counts)
