"""At the same moment: of several who change one secret through kvadmin, one does, and the others are told.

And a limit that counts what one person does holds for all that they send at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client

from audit.models import LedgerEntry
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.state import Azure
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.values import SecretValue
from tests import factories
from tests.vaults import bulk_world
from tests.vaults.test_compare import fill_the_hour
from tests.vaults.writing import SUBSCRIPTION, build, newest
from vaults import bulk, equality, keeping, limbo, purges, requests, reveals
from vaults.models import Batch, DeletedSecret, Person, Secret, Turn
from vaults.rules import Refusal
from vaults.wishes import Wish

pytestmark = pytest.mark.django_db(transaction=True)
LOST = {"busy", "newer-version"}


@pytest.fixture
def secret(azure: Azure) -> Secret:
    return build(azure)


def at_once(*verbs: Callable[[], str]) -> list[str]:
    """Run all verbs at the same moment, each in a thread with a connection of its own; what each gave or raised."""
    barrier, results = threading.Barrier(len(verbs)), [""] * len(verbs)

    def run(index: int, verb: Callable[[], str]) -> None:
        barrier.wait()
        try:
            results[index] = verb()
        except (Refusal, GatewayError) as error:
            results[index] = error.code
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(verbs)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return results


def writer(secret: Secret, by: Person, mark: str) -> Callable[[], str]:
    """Somebody who writes their own name on top of what they were shown."""

    def write() -> str:
        actor = factories.actor(by)
        keeping.set_secret(
            actor, secret.vault, secret.name, SecretValue(by.username), Wish(), mark=mark, reason="INC-7"
        )
        return "done"

    return write


def test_of_five_writers_one_writes_and_nobody_s_version_is_covered_up(azure: Azure, secret: Secret) -> None:
    people = [factories.person(f"officer-{number}", "secrets-officer") for number in range(5)]
    mark = newest(azure).id

    results = at_once(*[writer(secret, person, mark) for person in people])

    assert results.count("done") == 1
    assert set(results) <= {"done", *LOST}
    assert newest(azure).value == people[results.index("done")].username
    assert len(azure.vault("pay-prod").secrets.get("db-password").versions) == 2
    assert Turn.objects.count() == 0
    assert LedgerEntry.objects.filter(phase="refused").count() == 4


@pytest.mark.postgres
@pytest.mark.parametrize("turn", range(3))
def test_a_delete_and_a_write_at_once_leave_one_truth(turn: int, azure: Azure, secret: Secret, officer: Person) -> None:
    actor = factories.actor(officer)

    written, removed = at_once(
        writer(secret, officer, newest(azure).id),
        lambda: keeping.delete(actor, secret, reason="INC-7").state,
    )

    assert removed in {"deleting", "busy"}
    if removed == "busy":
        assert (written, newest(azure).value) == ("done", "officer")
    else:
        assert written in {"done", "busy", "newer-version", "deleted-recoverable"}
        assert azure.vault("pay-prod").secrets.get("db-password") is None
    assert Turn.objects.count() == 0


def gone(secret: Secret, by: Person) -> DeletedSecret:
    item = keeping.delete(factories.actor(by), secret, reason="INC-7")
    limbo.follow(item)
    return DeletedSecret.objects.get()


@pytest.mark.postgres
@pytest.mark.parametrize("turn", range(3))
def test_two_who_recover_bring_it_back_once(turn: int, azure: Azure, secret: Secret, officer: Person) -> None:
    item, actor = gone(secret, officer), factories.actor(officer)

    results = at_once(*[lambda: keeping.recover(actor, item, reason="INC-7").state] * 2)

    assert results.count("recovering") == 1
    assert {*results} - {"recovering"} <= {"busy", "state"}
    assert [row.operation for row in azure.log].count("SecretRecover") == 1


@pytest.mark.postgres
@pytest.mark.parametrize("turn", range(3))
def test_a_purge_and_a_recovery_at_once_are_one_of_the_two(
    turn: int, azure: Azure, secret: Secret, officer: Person
) -> None:
    factories.assign(officer, "purge-operator")
    item, actor = gone(secret, officer), factories.actor(officer)

    results = at_once(
        lambda: keeping.recover(actor, item, reason="INC-7").state,
        lambda: purges.purge(officer, actor, item, reason="INC-7").state,
    )

    lives = azure.vault("pay-prod").secrets.get("db-password") is not None
    assert results[0 if lives else 1] == ("recovering" if lives else "purging")
    assert results[1 if lives else 0] in {"busy", "state", "not-purgeable", "gone"}


@pytest.mark.postgres
def test_an_approval_is_used_by_one_of_two_purges(
    azure: Azure, secret: Secret, officer: Person, approver: Person
) -> None:
    factories.policy("forbidden", purge_approval=True)
    factories.assign(officer, "purge-operator")
    item, actor = gone(secret, officer), factories.actor(officer)
    azure.purge_delay = timedelta(minutes=1)
    request = purges.ask(officer, actor, item, reason="INC-7", ticket="")
    requests.approve(approver, factories.actor(approver), request.pk, seen=request.asked_hash)

    results = at_once(*[lambda: purges.purge(officer, actor, item, reason="INC-7").state] * 4)

    request.refresh_from_db()
    assert results.count("purging") == 1
    assert request.state == "consumed"
    assert [row.operation for row in azure.log].count("SecretPurge") == 1


@pytest.mark.postgres
@pytest.mark.parametrize("turn", range(3))
def test_a_change_of_many_comes_not_between_the_look_and_the_write_of_one(
    turn: int, azure: Azure, officer: Person
) -> None:
    bulk_world.company(azure, secrets=8)
    batches = [bulk_world.asked(officer, tags=f"team={colour}") for colour in ("blue", "red", "green")]
    secrets = list(Secret.objects.select_related("vault").order_by("key"))
    azure.log.clear()

    def works(batch: Batch) -> Callable[[], str]:
        return lambda: str(bulk.run(batch.pk, batch.turn))

    def writes() -> str:
        for secret in secrets:
            mark = bulk_world.newest(azure, secret.name).id
            with suppress(Refusal):
                writer(secret, officer, mark)()
        return ""

    at_once(*map(works, batches), writes)

    for secret in secrets:
        rows = [row.operation for row in azure.log if f"/{secret.name}" in row.request_uri]
        assert "SecretListVersions, SecretUpdate, SecretSet" not in ", ".join(rows)
    assert Turn.objects.count() == 0


def two_of_one_name(azure: Azure) -> str:
    """Two vaults that hold a secret of one name; the pair, as the form of the comparison sends it."""
    azure.add_subscription(SUBSCRIPTION, "Payments")
    for vault in ("web-prod", "web-test"):
        azure.add_vault(vault, subscription_id=SUBSCRIPTION)
        azure.put_secret(vault, "token", "v")
    return "-".join(str(factories.secret(factories.vault(name), "token").pk) for name in ("web-prod", "web-test"))


@pytest.mark.postgres
@pytest.mark.parametrize("turn", range(3))
def test_questions_sent_at_once_do_not_pass_the_hourly_limit(
    turn: int, azure: Azure, officer: Person, client_of: Callable[[Person], Client]
) -> None:
    pair, clients = two_of_one_name(azure), [client_of(officer) for _ in range(4)]
    fill_the_hour(officer, 2 * equality.PER_HOUR - 2)

    def asks(client: Client) -> Callable[[], str]:
        return lambda: str(client.post("/compare/values/", {"pick": [pair], "reason": "CHG-3"}).status_code)

    results = at_once(*[asks(client) for client in clients])

    assert sorted(results) == ["200", "429", "429", "429"]
    assert [row.operation for row in azure.log].count("SecretGet") == 2


@pytest.mark.postgres
@pytest.mark.parametrize("turn", range(3))
def test_values_asked_for_at_once_do_not_pass_the_hourly_limit(
    turn: int, azure: Azure, secret: Secret, secrets_user: Person, settings
) -> None:
    settings.KVADMIN_REVEALS_PER_HOUR = 2

    def asks() -> str:
        try:
            return reveals.reveal(factories.actor(secrets_user), secret, reason="INC-7").value.expose()
        except reveals.TooManyReveals as error:
            return error.code

    results = at_once(*[asks] * 6)

    assert results.count("too-many") == 4
    assert [row.operation for row in azure.log].count("SecretGet") == 2


def test_a_value_that_azure_did_not_give_out_is_not_counted(
    azure: Azure, secret: Secret, secrets_user: Person, settings
) -> None:
    settings.KVADMIN_REVEALS_PER_HOUR = 1
    azure.faults.set("pay-prod", Fault("rbac", times=2))
    for _ in range(2):
        with pytest.raises(GatewayError):
            reveals.reveal(factories.actor(secrets_user), secret, reason="INC-7")

    assert reveals.reveal(factories.actor(secrets_user), secret, reason="INC-7").value.expose()
