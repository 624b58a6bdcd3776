"""The rotation board: what is due when, for whom, counted once; and a rotation walked from its start to its end."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit import ledger
from audit.models import AccessEvent, LedgerEntry
from kvadmin.actions import SECRET_SET
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.state import Azure
from tests import factories
from vaults import rotation
from vaults.models import ExpiryWatch, Person, Rotation, Secret, Vault
from vaults.sync import sync_inventory

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
ROTATE = "/vaults/pay-prod/secrets/db-password/rotate/"


def text(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    return response.content.decode()


def shown(client: Client, query: str = "") -> list[str]:
    return [secret.name for _, secret, _ in client.get(f"/rotation/?{query}").context["rows"]]


def stats(page: str) -> dict[str, str]:
    return {label: n for n, label in re.findall(r'class="stat[^>]*><strong>([\d,]+)</strong><span>([^<]+)', page)}


@pytest.fixture
def company(db: None) -> Vault:
    """A secret in each state of the board, in the environment "prod"."""
    vault, now = factories.vault("pay-prod", health="ok", listed_at=timezone.now()), timezone.now()
    ages = {"expired": -2, "soon": 3, "month": 20, "quarter": 60, "later": 400}
    for name, days in ages.items():
        factories.secret(vault, name, expires_on=now + timedelta(days=days), created_on=now - timedelta(days=10))
    factories.secret(vault, "endless", created_on=now - timedelta(days=800), tags={"Owner": "Blue Team"})
    factories.secret(vault, "tls", managed=True, expires_on=now + timedelta(days=5), created_on=now)
    return vault


# --- The board -------------------------------------------------------------------------------------------------------
def test_each_secret_is_counted_once_and_a_certificates_secret_as_its_certificate(
    company: Vault, reader: Person, client_of: ClientOf
) -> None:
    page = text(client_of(reader), "/rotation/")
    assert stats(page) == {
        "Expired": "1", "Within 7 days": "2", "Within 30 days": "3", "Within 90 days": "4", "Later": "1",
        "No expiry set": "1", "Not renewed for over a year": "1",
    }  # fmt: skip
    assert "7 secrets, 1 of them certificates, each counted once" in page


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["expired", "soon", "tls", "month", "quarter", "later", "endless"]),
        ("due=expired", ["expired"]),
        ("due=week", ["soon", "tls"]),
        ("due=endless", ["endless"]),
        ("due=later", ["later"]),
        ("kind=certificates", ["tls"]),
        ("kind=secrets&due=week", ["soon"]),
        ("owner=blue", ["endless"]),
        ("owner=none&due=week&kind=secrets", ["soon"]),
        ("age=730", ["endless"]),
        ("sort=oldest&age=365", ["endless"]),
        ("q=quar", ["quarter"]),
        ("environment=prod&q=vault:pay&due=expired", ["expired"]),
    ],
)
def test_the_board_is_filtered_and_sorted_by_its_address(
    company: Vault, reader: Person, client_of: ClientOf, query: str, names: list[str]
) -> None:
    assert shown(client_of(reader), query) == names


def test_the_list_is_parted_by_weeks(company: Vault, reader: Person, client_of: ClientOf) -> None:
    page = text(client_of(reader), "/rotation/")
    groups = re.findall(r'scope="colgroup"[^>]*>([^<]+)<', page)
    assert (groups[0], groups[-1], len(groups) == len(set(groups))) == ("Expired", "No expiry set", True)


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (None, "No expiry set"),
        (datetime(2027, 1, 6, tzinfo=UTC), "Expired"),
        (datetime(2027, 1, 10, 23, tzinfo=UTC), "This week"),
        (datetime(2027, 1, 11, tzinfo=UTC), "Next week"),
        (datetime(2027, 1, 31, tzinfo=UTC), "Week of 2027-01-25"),
    ],
)
def test_a_week_begins_on_monday(moment: datetime | None, words: str) -> None:
    assert rotation.week_of(moment, datetime(2027, 1, 6, 12, tzinfo=UTC)) == words


def test_each_person_sees_what_their_roles_reach(
    company: Vault, nobody: Person, reader: Person, client_of: ClientOf
) -> None:
    part = factories.person("eve", "reader", vault=company, prefix="s")
    elsewhere = factories.person("bob", "reader", environment="test")
    assert [len(shown(client_of(person))) for person in (reader, part, elsewhere, nobody)] == [7, 1, 0, 0]
    page = text(client_of(elsewhere), "/rotation/?month=2027-01")
    assert ("expired<" in page, "prod</option>" in page) == (False, False)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("query", "queries"), [("", 9), ("month=2027-01", 10)])
def test_the_board_takes_as_many_queries_for_three_secrets_as_for_one(
    reader: Person, client_of: ClientOf, count: int, query: str, queries: int,
    django_assert_num_queries: Callable[[int], Any],
) -> None:  # fmt: skip
    for number in range(count):
        end = datetime(2027, 1, 5 + number, tzinfo=UTC)
        factories.secret(factories.vault(f"more-{number}"), f"token-{number}", expires_on=end)
    client = client_of(reader)
    client.get("/help/")  # the first page puts the CSRF token into the session
    with django_assert_num_queries(queries):
        page = text(client, f"/rotation/?{query}")
    assert len(set(re.findall(r"token-\d", page))) == count


def test_the_board_goes_on_page_by_page(reader: Person, client_of: ClientOf) -> None:
    vault = factories.vault("pay-prod")
    for number in range(60):
        factories.secret(vault, f"t-{number:02}", expires_on=timezone.now() + timedelta(days=number))
    client = client_of(reader)
    first = client.get("/rotation/").context
    second = shown(client, f"at={first['slice'].next}")
    assert [secret.name for _, secret, _ in first["rows"]] + second == [f"t-{number:02}" for number in range(60)]
    assert "This board has no such page." in text(client, "/rotation/?at=%7Bx", 404)


def test_the_calendar_shows_each_day_of_a_month_and_says_how_many_more(reader: Person, client_of: ClientOf) -> None:
    vault = factories.vault("pay-prod")
    for number in range(5):
        factories.secret(vault, f"t-{number}", expires_on=datetime(2027, 1, 31, 23, number, tzinfo=UTC))
    factories.secret(vault, "next-month", expires_on=datetime(2027, 2, 1, tzinfo=UTC))
    page = text(client_of(reader), "/rotation/?month=2027-01")
    assert re.findall(r">(t-\d)</a>", page) == ["t-0", "t-1", "t-2"]
    assert ("and 2 more" in page, "next-month" in page, "January 2027" in page) == (True, False, True)
    assert ("month=2026-12" in page, "month=2027-02" in page) == (True, True)


@pytest.mark.parametrize("month", ["2027-13", "soon", "0000-01", "9999-12"])
def test_a_month_that_is_none_shows_this_one(company: Vault, reader: Person, client_of: ClientOf, month: str) -> None:
    response = client_of(reader).get(f"/rotation/?month={month}")
    assert (response.status_code, f"{response.context['month']:%Y-%m}") == (200, f"{timezone.now():%Y-%m}")


def test_looking_asks_azure_nothing(azure: Azure, company: Vault, reader: Person, client_of: ClientOf) -> None:
    text(client_of(reader), "/rotation/")
    assert azure.log == []


# --- Read by somebody who left ---------------------------------------------------------------------------------------
def read_by(person: Person, name: str, days: float) -> None:
    AccessEvent.objects.create(
        fingerprint=f"{person.pk}{name}", at=timezone.now() - timedelta(days=days), vault="pay-prod", name=name,
        operation="SecretGet", is_read=True, outcome="ok", who=person.username, source="AZKVAuditLogs", raw={},
    )  # fmt: skip


def test_what_somebody_who_left_has_read_is_counted_until_it_is_rotated(
    company: Vault, auditor: Person, client_of: ClientOf
) -> None:
    gone, there = factories.person("gone"), factories.person("there")
    Person.objects.filter(pk=gone.pk).update(is_active=False)
    read_by(gone, "soon", 5)  # of the version that is current
    read_by(gone, "month", 12)  # of the one before it
    read_by(there, "later", 1)
    client = client_of(auditor)
    assert stats(text(client, "/rotation/"))["Seen to be read by somebody who left, and not rotated since"] == "1"
    assert shown(client, "left=on") == ["soon"]


def test_a_roll_back_is_no_rotation(company: Vault, auditor: Person, client_of: ClientOf) -> None:
    gone = factories.person("gone")
    Person.objects.filter(pk=gone.pk).update(is_active=False)
    for name in ("soon", "month"):
        read_by(gone, name, 5)
    Secret.objects.filter(key__in=["soon", "month"]).update(created_on=timezone.now())
    target = ledger.Target("pay-prod", "soon", "0" * 32)
    act = ledger.begin(SECRET_SET, factories.actor(auditor), target, reason="INC-7", move=ledger.NO_MOVE)
    act.read(version="0" * 32, request_id="1b6f0c0a-9d3e-4f0f-8f3c-2b1a09876543", region="westeurope")

    assert shown(client_of(auditor), "left=on") == ["soon"]


def test_whoever_left_is_known_by_the_object_id_too_and_a_comparison_showed_them_nothing(
    company: Vault, auditor: Person, client_of: ClientOf
) -> None:
    gone = factories.person("gone")
    oid = "0d5e0000-0000-4000-8000-00000000000a"
    Person.objects.filter(pk=gone.pk).update(is_active=False, object_id=oid)
    for name in ("soon", "month", "later"):
        read_by(gone, name, 1)
    AccessEvent.objects.filter(name="soon").update(who="eve.old@contoso.example", object_id=oid)
    through = {"who": "kvadmin", "person_id": str(gone.pk)}
    AccessEvent.objects.filter(name="month").update(action="secret:compare", **through)
    AccessEvent.objects.filter(name="later").update(action="secret:backup", **through)
    assert sorted(shown(client_of(auditor), "left=on")) == ["later", "soon"]


def test_whoever_may_not_audit_learns_nothing_of_readers(company: Vault, reader: Person, client_of: ClientOf) -> None:
    gone = factories.person("gone")
    Person.objects.filter(pk=gone.pk).update(is_active=False)
    read_by(gone, "soon", 5)
    client = client_of(reader)
    assert "read by somebody who left" not in text(client, "/rotation/")
    assert len(shown(client, "left=on")) == 7


# --- One rotation ----------------------------------------------------------------------------------------------------
@pytest.fixture
def pay(azure: Azure) -> Secret:
    azure.add_subscription(SUBSCRIPTION, "Payments")
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION, tags={"environment": "prod"})
    azure.put_secret("pay-prod", "db-password", "old", tags={"team": "blue"})
    azure.put_secret("pay-prod", "tls", "pem", managed=True)
    sync_inventory()
    return Secret.objects.get(key="db-password")


def begin(client: Client, lines: str = "billing\nnightly import") -> Rotation:
    client.post(ROTATE, {"reason": "CHG-9: yearly", "lines": lines})
    return Rotation.objects.get()


def test_a_rotation_goes_from_its_start_to_its_end(
    azure: Azure, pay: Secret, officer: Person, client_of: ClientOf
) -> None:
    client, secret = client_of(officer), azure.vault("pay-prod").secrets.get("db-password")
    assert secret is not None
    made, old, versions = begin(client), secret.latest, secret.versions
    assert (made.old_version, [line.text for line in made.lines.all()]) == (old.id, ["billing", "nightly import"])
    assert "Set a new version first." in text(client, ROTATE)

    azure.clock.advance(timedelta(seconds=2))
    made_new = azure.put_secret("pay-prod", "db-password", "new").id
    sync_inventory()
    for line in made.lines.all():
        client.post(f"{ROTATE}tick/", {"line": line.pk})
    client.post(f"{ROTATE}disable-old/")
    client.post(f"{ROTATE}close/")

    made.refresh_from_db()
    assert {pk: version.enabled for pk, version in versions.items()} == {old.id: False, made_new: True}
    assert (made.closed_by, made.old_disabled_at is not None) == ("officer", True)
    notes = list(LedgerEntry.objects.filter(action="secret:set").order_by("seq").values_list("note", flat=True))
    assert notes == [
        "A rotation is begun.",
        "The rotation is closed: a new version is set, the old one is disabled, 0 lines of the list are open.",
    ]
    assert LedgerEntry.objects.get(action="secret:update", phase="done").version == old.id
    assert "Rotations before" in text(client, ROTATE)


def test_its_state_is_shown_on_the_secret(pay: Secret, officer: Person, reader: Person, client_of: ClientOf) -> None:
    begin(client_of(officer))
    mine, theirs = (text(client_of(person), "/vaults/pay-prod/secrets/db-password/") for person in (officer, reader))
    assert [("A rotation is under way" in page, "Go on with it" in page) for page in (mine, theirs)] == [
        (True, True), (True, False),
    ]  # fmt: skip


def test_the_newest_version_is_never_disabled_as_the_old_one(
    azure: Azure, pay: Secret, officer: Person, client_of: ClientOf
) -> None:
    client = client_of(officer)
    begin(client)
    page = client.post(f"{ROTATE}disable-old/", follow=True).content.decode()
    assert "The old version is still the newest one: set a new version first." in page
    assert azure.vault("pay-prod").secrets.get("db-password").latest.enabled  # type: ignore[union-attr]


def test_a_line_is_added_ticked_and_its_tick_taken_back(pay: Secret, officer: Person, client_of: ClientOf) -> None:
    client = client_of(officer)
    made = begin(client, "")
    client.post(f"{ROTATE}add-line/", {"text": "<b>the app</b>"})
    line = made.lines.get()
    client.post(f"{ROTATE}tick/", {"line": line.pk})
    line.refresh_from_db()
    assert (line.done_by, "&lt;b&gt;the app&lt;/b&gt;" in text(client, ROTATE)) == ("officer", True)
    client.post(f"{ROTATE}tick/", {"line": line.pk})
    line.refresh_from_db()
    assert (line.done_by, line.done_at) == ("", None)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("\n".join(f"job {n}" for n in range(101)), "A checklist has 100 lines at most; these are 101."),
        (f"short\n{'x' * 301}", "A line may have 300 characters; line 2 has more."),
    ],
)
def test_a_checklist_that_is_too_long_is_not_cut_without_a_word(
    pay: Secret, officer: Person, client_of: ClientOf, lines: str, sentence: str
) -> None:
    answer = client_of(officer).post(ROTATE, {"reason": "CHG-9: yearly", "lines": lines})
    assert (answer.status_code, sentence in answer.content.decode(), Rotation.objects.count()) == (422, True, 0)


def test_a_full_checklist_takes_no_more_lines(pay: Secret, officer: Person, client_of: ClientOf) -> None:
    client = client_of(officer)
    rotation_of = begin(client, "\n".join(f"job {n}" for n in range(100)))
    page = client.post(ROTATE + "add-line/", {"text": "one more"}, follow=True).content.decode()
    assert ("A checklist has 100 lines at most" in page, rotation_of.lines.count()) == (True, 100)


def test_a_line_of_another_rotation_is_not_ticked_here(
    azure: Azure, pay: Secret, officer: Person, client_of: ClientOf
) -> None:
    other = Rotation.objects.create(vault=pay.vault, key="other", reason="x", started_by="x")
    line = other.lines.create(text="theirs")
    client = client_of(officer)
    client.post(ROTATE, {"reason": "CHG-9: yearly"})
    page = client.post(f"{ROTATE}tick/", {"line": line.pk}, follow=True).content.decode()
    line.refresh_from_db()
    assert (line.done_at, "There is no such line any more." in page) == (None, True)


def test_those_who_read_it_lately_stand_on_the_list_for_whoever_may_audit(
    pay: Secret, officer: Person, client_of: ClientOf
) -> None:
    read_by(factories.person("billing-app"), "db-password", 3)
    both = factories.person("both", "secrets-officer")
    factories.assign(both, "auditor")
    pages = [text(client_of(person), ROTATE) for person in (both, officer)]
    assert ["billing-app" in page for page in pages] == [True, False]


def test_only_one_rotation_of_a_secret_is_under_way(pay: Secret, officer: Person, client_of: ClientOf) -> None:
    client = client_of(officer)
    begin(client)
    client.post(ROTATE, {"reason": "CHG-10: again"})
    assert Rotation.objects.count() == 1


def test_what_was_typed_stays_when_azure_cannot_be_asked(
    pay: Secret, officer: Person, azure: Azure, client_of: ClientOf
) -> None:
    azure.faults.set("pay-prod", Fault("firewall"))
    answer = client_of(officer).post(ROTATE, {"reason": "CHG-9: yearly", "lines": "the nightly job"})
    page = answer.content.decode()
    assert (answer.status_code, Rotation.objects.count()) == (502, 0)
    assert [words in page for words in ("The rotation is not begun", "CHG-9: yearly", "the nightly job")] == [True] * 3


def test_a_lost_answer_to_the_last_step_is_not_called_a_failure(
    pay: Secret, officer: Person, azure: Azure, client_of: ClientOf
) -> None:
    client = client_of(officer)
    begin(client)
    azure.clock.advance(timedelta(minutes=1))
    azure.put_secret("pay-prod", "db-password", "new")
    azure.faults.set("pay-prod", Fault("lost", operations=frozenset({"SecretUpdate"})))
    page = client.post(ROTATE + "disable-old/", follow=True).content.decode()
    assert "It is not known whether Azure has done it all the same" in page


def test_of_very_many_versions_none_is_disabled_as_the_old_one_by_guessing(
    pay: Secret, officer: Person, azure: Azure, client_of: ClientOf
) -> None:
    for _ in range(501):
        azure.put_secret("pay-prod", "db-password", "v")
    client = client_of(officer)
    begin(client)
    client.post(ROTATE + "disable-old/")
    assert Rotation.objects.get().old_disabled_at is None
    assert all(version.enabled for version in azure.vault("pay-prod").secrets.get("db-password").versions.values())
    assert "Which version this was kvadmin could not see" in text(client, ROTATE)


def test_a_certificates_secret_is_not_rotated_here(pay: Secret, officer: Person, client_of: ClientOf) -> None:
    client, path = client_of(officer), ROTATE.replace("db-password", "tls")
    client.post(path, {"reason": "CHG-9: yearly"})
    assert ("Belongs to a certificate" in text(client, path), Rotation.objects.count()) == (True, 0)


@pytest.mark.parametrize("verb", ["", "add-line/", "tick/", "disable-old/", "close/"])
def test_whoever_may_not_write_rotates_nothing(
    pay: Secret, officer: Person, reader: Person, nobody: Person, client_of: ClientOf, verb: str
) -> None:
    begin(client_of(officer))
    elsewhere = factories.person("bob", "secrets-officer", environment="test")
    answers = [client_of(person).post(ROTATE + verb, {"reason": "x y z"}) for person in (reader, elsewhere, nobody)]
    assert [answer.status_code for answer in answers] == [403, 404, 404]
    assert Rotation.objects.get().closed_at is None


def test_whoever_sees_a_secret_may_ask_to_be_reminded(
    pay: Secret, reader: Person, nobody: Person, client_of: ClientOf
) -> None:
    path = "/vaults/pay-prod/secrets/db-password/watch/"
    elsewhere = factories.person("bob", "reader", environment="test")
    assert [client_of(person).post(path).status_code for person in (reader, elsewhere, nobody)] == [302, 404, 404]
    assert list(ExpiryWatch.objects.values_list("person__username", "key")) == [("reader", "db-password")]
    client_of(reader).post(path)
    assert ExpiryWatch.objects.count() == 0
