"""A few seconds of tests/load.py; `make load` runs a minute of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import load

# By chance nobody may have waited for the server that was killed, and its worker's job have been at its beginning.
MAY_BE_NONE = {"broken connections", "jobs done twice by the kill"}


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_killing_a_web_server_and_a_worker_under_load_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    report = load.run(6, tmp_path)

    assert report.faults == []
    assert [name for name, count in report.figures.items() if count == 0 and name not in MAY_BE_NONE] == []
