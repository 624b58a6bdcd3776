"""What lies in a shared cache is data: it comes back as it was, and never becomes code."""

from __future__ import annotations

import pickle

import pytest

from kvadmin.caching import JsonSerializer
from tests.processes import environment, python

ENTRIES = [True, "y", 7, 0, [1764567890.25, 1764567891.5], [], None, {"a": 1}]


class Trap:
    """Whose return from a pickle is an act."""

    made = 0

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return _spring, ("sprung",)


def _spring(word: str) -> str:
    Trap.made += 1
    return word


@pytest.mark.parametrize("entry", ENTRIES)
def test_what_is_kept_comes_back_as_it_was(entry: object) -> None:
    assert JsonSerializer().loads(JsonSerializer().dumps(entry)) == entry


def test_a_number_is_stored_so_that_redis_can_count_it_up() -> None:
    assert JsonSerializer().dumps(41) == b"41"


def test_a_python_object_that_somebody_put_there_is_not_made() -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each kind of bytes that is no JSON has a kind of its own
        JsonSerializer().loads(pickle.dumps(Trap()))

    assert Trap.made == 0


def test_a_python_object_is_not_even_stored() -> None:
    with pytest.raises(TypeError):
        JsonSerializer().dumps(Trap())


@pytest.mark.parametrize("url", ["redis://:word@127.0.0.1:9/0", "rediss://127.0.0.1:9/0"])
def test_redis_is_always_set_up_so(url: str) -> None:
    say = "from kvadmin.settings import CACHES; print(CACHES['default']['OPTIONS']['serializer'])"
    process = python("-c", say, env=environment(CACHE_URL=url))

    assert process.communicate()[0].strip() == "kvadmin.caching.JsonSerializer"
