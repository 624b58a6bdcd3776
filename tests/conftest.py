"""What every test may ask for: a fake cloud, people with roles, and a browser session for each of them.

Say `@pytest.mark.django_db(transaction=True)` where threads, or another process, must see the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import hypothesis
import pytest
from azure.keyvault.certificates._shared import http_challenge_cache as certificate_challenges
from azure.keyvault.keys._shared import http_challenge_cache as key_challenges
from azure.keyvault.secrets._shared import http_challenge_cache as secret_challenges
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django_tasks_db.models import DBTaskResult
from structlog.contextvars import clear_contextvars

from audit import triggers
from kvadmin.emulator import doors
from kvadmin.emulator.state import Azure
from kvadmin.gateway import client
from kvadmin.jobs import runs
from tests import factories
from tests.entra import _openid_provider, entra  # noqa: F401 - fixtures
from vaults.models import Person

# A slow machine is no fault of the code: no deadline, and no complaint about the time that examples take to make.
hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What needs PostgreSQL is skipped on SQLite; what asks for no database runs there only, once is enough."""
    if connection.vendor != "postgresql":
        for item in items:
            if item.get_closest_marker("postgres"):
                item.add_marker(pytest.mark.skip(reason="needs PostgreSQL"))
        return
    plain = [item for item in items if not _asks_for_a_database(item)]
    config.hook.pytest_deselected(items=plain)
    items[:] = [item for item in items if _asks_for_a_database(item)]


def _asks_for_a_database(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    return bool(item.get_closest_marker("django_db") or fixtures & {"db", "transactional_db", "live_server"})


@pytest.fixture(autouse=True)
def _the_ledger_may_be_emptied(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test with real transactions ends by emptying all tables, which the ledger's triggers would refuse.

    Emptying sends post_migrate, on which the audit app puts them back.
    """
    marker = request.node.get_closest_marker("django_db")
    transactional = bool(marker and marker.kwargs.get("transaction"))
    if transactional or {"transactional_db", "live_server"} & set(request.fixturenames):
        request.getfixturevalue("transactional_db")  # set up before this fixture, so torn down after it
        yield
        triggers.remove(connection)
    else:
        yield


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    yield
    cache.clear()
    clear_contextvars()


@pytest.fixture
def azure() -> Iterator[Azure]:
    """An empty fake cloud, the one that the gateway talks to."""
    cloud = Azure()
    doors.set_memory("tests", cloud)
    client.reset()
    for challenges in (secret_challenges, key_challenges, certificate_challenges):
        challenges.clear()  # the SDKs keep a host's challenge for the whole process, and would not ask again
    yield cloud
    client.reset()
    doors.drop_memory("tests")


@pytest.fixture
def run_jobs(db: None) -> Callable[[], None]:
    """run_jobs(): does what is queued and due, here and now. What a job raises is found in its row, not raised."""

    def run() -> None:
        while job := DBTaskResult.objects.ready().first():
            job.claim("tests")
            runs.run(job)

    return run


# --- People: each holds one role on everything; tests/factories.py makes others --------------------------------------


@pytest.fixture
def nobody(db: None) -> Person:
    """Signed in, and without any role."""
    return factories.person("nobody")


@pytest.fixture
def reader(db: None) -> Person:
    return factories.person("reader", "reader")


@pytest.fixture
def secrets_user(db: None) -> Person:
    return factories.person("secrets-user", "secrets-user")


@pytest.fixture
def approver(db: None) -> Person:
    return factories.person("approver", "approver")


@pytest.fixture
def approver_2(db: None) -> Person:
    return factories.person("approver-2", "approver")


@pytest.fixture
def officer(db: None) -> Person:
    return factories.person("officer", "secrets-officer")


@pytest.fixture
def oncall(db: None) -> Person:
    """May break the glass; break-glass roles are for named people only."""
    return factories.person("oncall", "break-glass-holder")


@pytest.fixture
def auditor(db: None) -> Person:
    return factories.person("auditor", "auditor")


@pytest.fixture
def admin(db: None) -> Person:
    """kvadmin's Administrator: gives roles, and reveals, approves and audits nothing."""
    return factories.person("admin", "administrator")


@pytest.fixture
def client_of() -> Callable[[Person], Client]:
    """client_of(person): a browser in which this person has just signed in."""

    def sign_in(person: Person) -> Client:
        client = Client()
        client.force_login(person)
        return client

    return sign_in
