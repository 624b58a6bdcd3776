"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from audit import triggers
from kvadmin.emulator import doors
from kvadmin.emulator.state import Azure


@pytest.fixture
def azure() -> Iterator[Azure]:
    """An empty fake cloud, the one that the gateway talks to."""
    from kvadmin.gateway import client

    cloud = Azure()
    doors.set_memory("tests", cloud)
    client.reset()
    yield cloud
    client.reset()
    doors.drop_memory("tests")


@pytest.fixture(autouse=True)
def _ledger_can_be_emptied(request: pytest.FixtureRequest) -> Iterator[None]:
    """Between transactional tests the database is emptied; only then may the ledger forget, so its guard is lifted."""
    marker = request.node.get_closest_marker("django_db")
    transactional = bool(marker and marker.kwargs.get("transaction"))
    if not transactional and not {"transactional_db", "live_server"} & set(request.fixturenames):
        yield
        return
    request.getfixturevalue("transactional_db")
    triggers.install(connection)
    yield
    triggers.remove(connection)
