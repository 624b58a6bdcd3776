"""A web server that is asked to stop: what it has in hand is answered, and nothing new is taken."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from audit.models import LedgerEntry
from kvadmin.emulator.faults import Fault
from tests import load


@pytest.mark.django_db(transaction=True)
def test_a_reveal_that_waits_for_azure_is_answered_before_the_server_ends(tmp_path: Path) -> None:
    port, record, answers = load.free_port(), load.Record(), list[Any]()
    with load.emulator() as (azure, door):
        ada = load.people([port], record, threading.Event())[0]
        processes = load.Processes(load.environment(door), tmp_path)
        try:
            server = processes.web(port)
            ada.look()
            azure.faults.set("pay-prod", Fault("slow", seconds=3, operations=frozenset({"SecretGet"})))
            path = f"{load.SHOWN}reveal/"
            waits = threading.Thread(target=lambda: answers.append(ada.call("POST", path, "INC-7", reason="INC-7: in")))
            waits.start()
            processes.until(lambda: any(row.operation == "SecretGet" for row in azure.log))
            server.terminate()
            while not load.refuses(port):
                time.sleep(0.02)
            waits.join()
            code = server.wait()
        finally:
            processes.end()

    assert (code, [answer.status_code for answer in answers]) == (0, [200]), record.wrong
    assert answers[0].json()["value"] == load.VALUE
    assert list(LedgerEntry.objects.order_by("seq").values_list("phase", flat=True)) == ["intent", "revealed"]
