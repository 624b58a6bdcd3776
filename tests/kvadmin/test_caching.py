"""What lies in a shared cache is data: it comes back as it was, and never becomes code."""

from __future__ import annotations

import pickle

import pytest
from django.test import Client

from kvadmin.caching import AWAY, JsonSerializer
from tests import factories
from tests.entra import Entra
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


# --- When it does not answer -----------------------------------------------------------------------------------------


@pytest.fixture
def away(settings) -> None:
    """A Redis that nobody can connect to."""
    place = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {"default": place}


@pytest.mark.django_db
@pytest.mark.parametrize("password", ["pw", "wrong"])
def test_where_bad_sign_ins_cannot_be_counted_nobody_comes_in_by_a_password(
    away: None, client: Client, password: str
) -> None:
    factories.person("ada", "reader")

    answer = client.post("/sign-in/", {"login": "ada", "password": password})

    assert (answer.status_code, AWAY in answer.content.decode()) == (503, True)
    assert "_auth_user_id" not in client.session


@pytest.mark.django_db
def test_whoever_is_signed_in_goes_on_without_it(away: None, client: Client) -> None:
    client.force_login(factories.person("ada", "reader"))

    assert client.get("/vaults/").status_code == 200
    assert client.post("/sign-out/").status_code == 302


@pytest.mark.django_db
def test_entras_people_come_in_without_it(away: None, client: Client, entra: Entra) -> None:
    assert entra.sign_in(client)["Location"] == "/help/"


def test_nobody_waits_long_for_it() -> None:
    say = "from kvadmin.settings import CACHES; print(*CACHES['default']['OPTIONS'].values())"
    process = python("-c", say, env=environment(CACHE_URL="redis://127.0.0.1:9/0"))

    assert process.communicate()[0].split() == ["3", "3", "kvadmin.caching.JsonSerializer"]
