"""At the same moment: people who sign in with Entra, and whom Microsoft calls by one name, all come in."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier
from time import sleep
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from tests import entra as e
from tests.entra import ADA, BOB, TENANT, Entra
from vaults.models import Person

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
NAME = "ada@contoso.example"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def come_back(client: Client, answer: str, start: Barrier | None = None) -> int:
    """Microsoft's answer is taken, in a thread with a connection of its own; the status of kvadmin's."""
    try:
        if start:
            start.wait()
        return client.get(answer).status_code
    finally:
        connection.close()


def until_it_waits(coming: Future[Any]) -> None:
    """Until the other one's transaction meets what this one has not committed yet."""
    while not coming.done():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(WAITING)
            if cursor.fetchone()[0]:
                return
        sleep(0.01)


def one_during_the_other(entra: Entra) -> list[int]:
    """Ada's sign-in is not committed yet when Bob's needs a name."""
    entra.person(BOB)  # whom Microsoft calls by Ada's name as well
    ada, bob = Client(), Client()
    answer, other = entra.answer(e.begin(ada)), entra.answer(e.begin(bob), BOB)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first = ada.get(answer).status_code
            coming = pool.submit(come_back, bob, other)
            until_it_waits(coming)
        found = [first, coming.result()]
    assert [whose(client) for client in (ada, bob)] == [ADA, BOB]
    return found


def whose(client: Client) -> str:
    return str(Person.objects.get(pk=client.session["_auth_user_id"]).object_id)


def names() -> dict[str, str]:
    return dict(Person.objects.values_list("object_id", "username"))


def test_two_first_sign_ins_with_one_name_make_two_accounts(entra: Entra) -> None:
    assert one_during_the_other(entra) == [302, 302]

    assert names() == {ADA: NAME, BOB: f"{NAME}+{BOB[:8]}"}
    assert [group.name for group in Person.objects.get(object_id=BOB).groups.all()] == ["Readers"]


def test_two_who_are_given_one_new_name_both_come_in(entra: Entra) -> None:
    for object_id in (ADA, BOB):
        Person.objects.create(username=object_id[:3], tenant_id=TENANT, object_id=object_id)

    assert one_during_the_other(entra) == [302, 302]

    assert names() == {ADA: NAME, BOB: f"{NAME}+{BOB[:8]}"}


@pytest.mark.parametrize("turn", range(3))
def test_a_crowd_with_one_name_comes_in_as_many_people(turn: int, entra: Entra) -> None:
    people = {f"{number}0000000-0000-4000-8000-000000000000": Client() for number in range(6)}
    for object_id in people:
        entra.person(object_id)
    answers = {object_id: entra.answer(e.begin(client), object_id) for object_id, client in people.items()}
    start = Barrier(len(people))

    with ThreadPoolExecutor(len(people)) as pool:
        coming = [pool.submit(come_back, people[object_id], answers[object_id], start) for object_id in people]

    assert [one.result() for one in coming] == [302] * len(people)
    assert [whose(client) for client in people.values()] == list(people)
    assert sum(name == NAME for name in names().values()) == 1
