"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
