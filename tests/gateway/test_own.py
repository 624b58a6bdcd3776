"""For whom Azure takes kvadmin, and what time it is there: the real pipeline, over the emulator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from kvadmin.emulator import doors
from kvadmin.emulator.http import Request, Response, json_response
from kvadmin.emulator.identities import KVADMIN, TENANT_ID
from kvadmin.emulator.state import Azure
from kvadmin.gateway import client, own
from kvadmin.gateway.own import Own


def test_the_identity_is_the_one_of_the_token(azure: Azure) -> None:
    assert own.own_identity() == Own(KVADMIN.object_id, KVADMIN.app_id, TENANT_ID)


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=3)])
def test_the_time_is_azures(azure: Azure, ahead: timedelta) -> None:
    azure.clock.advance(ahead)

    found = own.azure_time()

    assert found is not None
    assert abs(found - datetime.now(UTC) - ahead) < timedelta(minutes=5)


def test_the_time_is_azures_through_a_server_too(azure: Azure, settings) -> None:
    azure.clock.advance(timedelta(hours=3))
    with doors.serve(azure, 0) as server:
        import threading

        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        settings.KVADMIN_EMULATOR = server.address
        client.reset()
        found = own.azure_time()
        client.reset()
        server.shutdown()
        thread.join()

    assert found is not None
    assert abs(found - datetime.now(UTC) - timedelta(hours=3)) < timedelta(minutes=5)


def test_an_answer_without_a_time_has_none(
    azure: Azure, scripted: Callable[[Callable[[Request], Response]], None]
) -> None:
    scripted(lambda request: json_response(403, {}, {"Date": ""}))

    assert own.azure_time() is None


def test_kvadmin_knows_its_own_identity_from_its_token(azure: Azure):
    assert own.own_object_id() == KVADMIN.object_id


def test_without_a_token_kvadmin_does_not_know_itself_and_nothing_fails(azure: Azure, settings):
    settings.KVADMIN_EMULATOR, settings.KVADMIN_CREDENTIAL, settings.KVADMIN_TENANT_ID = "", "client-secret", ""
    client.reset()

    assert own.own_object_id() == ""
