"""The sweep from the web: who may ask for one, its progress, and what the last ones found."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from django.test import Client
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from audit.models import LedgerEntry
from kvadmin.jobs import runs
from kvadmin.templatetags.kv import DASH
from tests import factories
from vaults.models import Person, SyncRun, Vault

if TYPE_CHECKING:
    from kvadmin.emulator.state import Azure

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
PROGRESS = {"HX-Request": "true", "HX-Target": "sync-progress"}


def test_an_administrator_asks_for_a_sweep_and_it_is_on_record(admin: Person, client_of: ClientOf) -> None:
    response = client_of(admin).post("/sync/")
    run = SyncRun.objects.get()
    assert (response.headers["Location"], run.state, run.asked_by) == ("/sync/", "queued", "admin")
    assert DBTaskResult.objects.get().args_kwargs == {"args": [run.pk], "kwargs": {}}
    assert LedgerEntry.objects.get().note == f"sweep {run.pk}"


def test_a_sweep_that_has_not_begun_has_counted_nothing(admin: Person, client_of: ClientOf) -> None:
    SyncRun.objects.create()
    assert f'<td data-label="Secrets" class="num">{DASH}</td>' in client_of(admin).get("/sync/").content.decode()
    SyncRun.objects.update(started_at=timezone.now(), state="running")
    assert '<td data-label="Secrets" class="num">0</td>' in client_of(admin).get("/sync/").content.decode()


def test_the_queued_job_sweeps(azure: Azure, admin: Person, client_of: ClientOf) -> None:
    azure.add_subscription("00000000-0000-0000-0000-00000000aaaa", "Payments")
    azure.add_vault("pay-prod", subscription_id="00000000-0000-0000-0000-00000000aaaa")
    client_of(admin).post("/sync/")
    runs.run(DBTaskResult.objects.get())
    assert (SyncRun.objects.get().state, Vault.objects.get().name) == ("done", "pay-prod")


def test_a_second_one_is_not_queued_while_one_is_under_way(admin: Person, client_of: ClientOf) -> None:
    client = client_of(admin)
    client.post("/sync/")
    page = client.post("/sync/", follow=True).content.decode()
    assert (SyncRun.objects.count(), DBTaskResult.objects.count()) == (1, 1)
    assert "A sweep is already running: this is how far it is." in page


@pytest.mark.parametrize("who", ["reader", "nobody"])
def test_nobody_else_sweeps_or_sees_the_counts(request: pytest.FixtureRequest, client_of: ClientOf, who: str) -> None:
    SyncRun.objects.create(state="done", secrets_seen=4711)
    client = client_of(request.getfixturevalue(who))
    assert (client.get("/sync/").status_code, client.post("/sync/").status_code) == (403, 403)
    assert "4,711" not in client.get("/sync/").content.decode()
    assert SyncRun.objects.count() == 1


def test_a_part_of_the_vaults_is_not_enough_to_sweep_them_all_or_to_see_how_many_there_are(
    client_of: ClientOf,
) -> None:
    SyncRun.objects.create(state="done", secrets_seen=4711, vaults_total=4711)
    client = client_of(factories.person("dev-admin", "administrator", environment="dev"))
    answers = [client.get("/sync/"), client.post("/sync/"), client.get("/register-vault/"), client.get("/")]
    answers.append(client.post("/register-vault/", {"uri": "https://x.vault.azure.net/", "environment": "dev"}))
    assert [answer.status_code for answer in answers] == [403, 403, 403, 200, 403]
    assert [word for answer in answers for word in ("4,711", ">Sweeps<") if word in answer.content.decode()] == []
    assert (SyncRun.objects.count(), Vault.objects.count()) == (1, 0)


def test_progress_is_shown_while_it_runs(admin: Person, client_of: ClientOf) -> None:
    SyncRun.objects.create(
        state="running", progressed_at=timezone.now(), vaults_total=12, vaults_done=3, vaults_failed=1, secrets_seen=40
    )
    page = client_of(admin).get("/sync/", headers=PROGRESS).content.decode()
    assert "4 of 12 vaults done, 1 of them failed; 40 secrets seen, 0 written." in page
    assert '<progress max="12" value="4"' in page


def test_progress_ends_and_tells_the_page(admin: Person, client_of: ClientOf) -> None:
    SyncRun.objects.create(state="done")
    response = client_of(admin).get("/sync/", headers=PROGRESS)
    assert response.headers["HX-Trigger"] == '{"swept": {}}'
    assert "hx-trigger" not in response.content.decode()


@pytest.mark.parametrize("count", [1, 3])
def test_the_last_sweeps_take_as_many_queries_for_three_as_for_one(
    admin: Person, client_of: ClientOf, count: int, django_assert_num_queries: Callable[[int], object]
) -> None:
    for _ in range(count):
        SyncRun.objects.create(state="done", note="<b>Azure said no</b>")
    client = client_of(admin)
    client.get("/help/")  # the first page puts the CSRF token into the session
    with django_assert_num_queries(5):  # type: ignore[attr-defined]
        page = client.get("/sync/").content.decode()
    assert (page.count('<th scope="row">'), "<b>Azure" in page) == (count, False)


def test_a_vault_registered_by_hand_is_swept(azure: Azure, admin: Person, client_of: ClientOf) -> None:
    azure.add_subscription("00000000-0000-0000-0000-00000000aaaa", "Payments")
    azure.add_vault("hidden", subscription_id="00000000-0000-0000-0000-00000000aaaa", visible_in_arm=False)
    azure.put_secret("hidden", "inside", "x")
    client = client_of(admin)
    client.post("/register-vault/", {"uri": "https://hidden.vault.azure.net/"})
    client.post("/sync/")
    runs.run(DBTaskResult.objects.get())
    reader = client_of(factories.person("eve", "reader"))
    assert ">inside<" in reader.get("/vaults/hidden/").content.decode()
