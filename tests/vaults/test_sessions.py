"""Sessions end by the clock and by hand, and nobody sees or ends one that is not theirs to end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from audit.models import LedgerEntry
from tests import factories
from vaults import sessions
from vaults.models import Person, Session

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


def signed_in(client: Client, **headers: str) -> bool:
    return client.get("/help/", headers=headers).status_code == 200


def later(**spans: float) -> time_machine.travel:
    return time_machine.travel(timezone.now() + timedelta(**spans))


# --- The clock -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("minutes", "lasts"), [(59, True), (61, False)])
def test_a_session_without_use_is_over_after_an_hour(
    reader: Person, client_of: ClientOf, minutes: int, lasts: bool
) -> None:
    client = client_of(reader)

    with later(minutes=minutes):
        assert signed_in(client) is lasts


def test_a_session_in_use_goes_on_until_its_absolute_limit(reader: Person, client_of: ClientOf, settings) -> None:
    settings.KVADMIN_SESSION_HOURS = 2
    client = client_of(reader)
    start = timezone.now()

    lasted = []
    for minutes in (50, 100, 119, 121):
        with time_machine.travel(start + timedelta(minutes=minutes)):
            lasted.append(signed_in(client))

    assert lasted == [True, True, True, False]


def test_what_a_page_asks_for_by_itself_keeps_no_session_alive(reader: Person, client_of: ClientOf) -> None:
    client = client_of(reader)
    client.get("/help/")  # puts the CSRF token into the session

    with later(minutes=50):
        assert signed_in(client, **{"X-By-Itself": "true"})
    with later(minutes=70):
        assert not signed_in(client)


def test_signing_in_anew_begins_a_session_anew(reader: Person, client_of: ClientOf) -> None:
    client = client_of(reader)
    before = Session.objects.get()

    with later(minutes=30):
        client.post("/sign-in/again/", {"password": "pw", "next": "/"})

    after = Session.objects.get()
    assert after.pk != before.pk
    assert after.started_at - before.started_at >= timedelta(minutes=30)


# --- What is kept ----------------------------------------------------------------------------------------------------
def test_when_from_where_and_with_which_browser_it_was_last_used(client: Client, reader: Person) -> None:
    client.post("/sign-in/", {"login": "reader", "password": "pw"}, headers={"User-Agent": FIREFOX})
    with later(minutes=5):
        client.get("/help/", headers={"User-Agent": "curl/8.5"}, REMOTE_ADDR="203.0.113.9")

    row = Session.objects.get(person=reader)
    assert (row.address, row.browser) == ("203.0.113.9", "curl")
    assert timedelta(minutes=4) < row.used_at - row.started_at < timedelta(minutes=6)


def test_the_table_holds_no_key_that_opens_a_session(reader: Person, client_of: ClientOf) -> None:
    client = client_of(reader)
    row = Session.objects.get()

    assert client.session.session_key not in {row.pk, row.session_data}
    client.cookies["kvadmin"] = row.pk
    assert not signed_in(client)


def test_what_a_session_holds_lies_encrypted(reader: Person, client_of: ClientOf) -> None:
    client = client_of(reader)
    session = client.session
    session["note"] = "canary-session"
    session.save()

    row = Session.objects.get()
    assert row.get_decoded()["note"] == client.session["note"] == "canary-session"
    assert row.session_data.startswith("gAAAA")
    Session.objects.update(session_data=row.session_data[:-8] + "AAAAAAA=")
    assert not signed_in(client)


def test_a_use_is_written_once_a_minute_and_at_once_from_elsewhere(
    reader: Person, client_of: ClientOf, django_assert_num_queries
) -> None:
    client = client_of(reader)
    client.get("/help/")  # puts the CSRF token into the session, and with it where it is used

    with django_assert_num_queries(3):  # the session, the person, the roles
        client.get("/help/")
    with django_assert_num_queries(4):
        client.get("/help/", REMOTE_ADDR="203.0.113.9")


# --- One's own -------------------------------------------------------------------------------------------------------
def test_one_sees_ones_own_sessions_and_nobody_elses(reader: Person, admin: Person, client_of: ClientOf) -> None:
    mine, _, _ = client_of(reader), client_of(reader), client_of(admin)

    rows = mine.get("/sessions/").context["rows"]

    assert [row.session.person for row in rows] == [reader, reader]
    assert sorted(row.is_current for row in rows) == [False, True]


@pytest.mark.parametrize("count", [1, 3])
def test_the_list_costs_the_same_however_long_it_is(
    reader: Person, client_of: ClientOf, django_assert_num_queries, count: int
) -> None:
    client, *_ = [client_of(reader) for _ in range(count)]
    client.get("/help/")

    with django_assert_num_queries(4):  # the session, the person, the roles, the list
        assert len(client.get("/sessions/").context["rows"]) == count


def test_a_lost_laptop_is_signed_out_from_another_browser_and_on_record(reader: Person, client_of: ClientOf) -> None:
    laptop, here = client_of(reader), client_of(reader)
    lost = sessions.digest(laptop.session.session_key)

    here.post("/sessions/end/", {"pick": lost})

    assert (signed_in(laptop), signed_in(here)) == (False, True)
    entry = LedgerEntry.objects.get()
    assert (entry.action, entry.person_id) == ("session:revoke", str(reader.pk))
    assert entry.note.startswith("Ended 1 of their own sessions: ")


def test_signing_out_everywhere_includes_here(reader: Person, admin: Person, client_of: ClientOf) -> None:
    laptop, here, other = client_of(reader), client_of(reader), client_of(admin)

    answer = here.post("/sessions/end/", {"every": "yes"})

    assert answer["Location"] == "/sign-in/"
    assert [signed_in(client) for client in (laptop, here, other)] == [False, False, True]


def test_one_cannot_end_somebody_elses_by_its_number(reader: Person, admin: Person, client_of: ClientOf) -> None:
    mine, theirs = client_of(reader), client_of(admin)

    answer = mine.post("/sessions/end/", {"pick": sessions.digest(theirs.session.session_key)}, follow=True)

    assert "None of these sessions is there any more." in answer.content.decode()
    assert signed_in(theirs)
    assert LedgerEntry.objects.count() == 0


# --- An administrator ------------------------------------------------------------------------------------------------
def test_an_administrator_ends_anybodys_sessions_for_a_reason_and_on_record(
    reader: Person, admin: Person, client_of: ClientOf
) -> None:
    laptop, desk = client_of(reader), client_of(reader)
    path = f"/people/{reader.pk}/sessions/"
    hers = client_of(admin)
    assert [row.session.person for row in hers.get(path).context["rows"]] == [reader, reader]

    hers.post(path, {"every": "yes", "reason": "INC-9: a stolen laptop"})

    assert (signed_in(laptop), signed_in(desk), signed_in(hers)) == (False, False, True)
    entry = LedgerEntry.objects.get()
    assert (entry.action, entry.person, entry.reason) == ("session:revoke", "admin", "INC-9: a stolen laptop")
    assert entry.note.startswith("Ended 2 of sessions of reader (reader): ")


def test_a_reason_is_asked_for_and_what_was_picked_stays_picked(
    reader: Person, admin: Person, client_of: ClientOf
) -> None:
    laptop, hers = client_of(reader), client_of(admin)
    picked = sessions.digest(laptop.session.session_key)

    answer = hers.post(f"/people/{reader.pk}/sessions/", {"pick": picked, "reason": ""})

    assert answer.status_code == 422
    assert answer.context["form"].errors == {"reason": ["This field is required."]}
    assert f'value="{picked}" id="pick-1" checked' in answer.content.decode()
    assert signed_in(laptop)


def test_who_administers_a_part_or_nothing_ends_no_session(reader: Person, client_of: ClientOf) -> None:
    laptop = client_of(reader)
    part = factories.person("part", "administrator", environment="dev")
    path = f"/people/{reader.pk}/sessions/"

    statuses = [
        client_of(who).post(path, {"every": "yes", "reason": "no reason"}).status_code for who in (part, reader)
    ]

    assert statuses == [403, 403]
    assert signed_in(laptop)
    assert [entry.phase for entry in LedgerEntry.objects.all()] == ["refused", "refused"]


def test_looking_and_getting_end_nothing(reader: Person, client_of: ClientOf) -> None:
    client = client_of(reader)

    assert client.get("/sessions/end/").status_code == 405
    assert signed_in(client)
