"""A whole day, simulated: `make simulation` runs it at its full size, this at a smaller one."""

from __future__ import annotations

import pytest
from django.db import connection

from kvadmin.emulator.state import Azure
from tests.audit.simulation import Simulation, Size

pytestmark = pytest.mark.django_db

SMALL = Size(events=3_000, identities=60, hours=12, reveals=60, lost=12, injected=25, forged=10, row_limit=700)


@pytest.mark.parametrize("seed", [7])
def test_every_reveal_is_explained_every_stolen_read_an_alarm_and_nothing_else_is(azure: Azure, seed: int) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL tells the ledger's time itself, and its clock is not ours to move")
    report = Simulation(azure, SMALL, seed).run()

    assert report.wrong == []
    assert (report.explained, report.lost_answers, report.unexplained, report.forged) == (60, 12, 25, 10)
    assert report.stored == report.events >= 3_000
