"""What one person read, and who read one secret: the log and the ledger joined, within the auditor's reach."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from django.utils import timezone

from audit import match
from audit.dossiers import MOST_READERS
from audit.finding_models import DirectoryName, Finding
from audit.findings import judge
from audit.ledger import Actor
from tests import factories
from tests.audit.inventories import FakeInventory
from tests.audit.pages import MARKUP, is_harmless, text
from tests.audit.rows import EVE, event, revealed
from vaults.models import Person, Secret

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
OID = "0d5e0000-0000-4000-8000-00000000000a"
ROBOT = {"who": "app-login", "who_kind": "managed-identity", "object_id": OID}


@pytest.fixture
def db_password() -> Secret:
    return factories.secret(factories.vault("pay-prod"), "db-password")


def path(who: str) -> str:
    return f"/audit/people/{quote(who, safe='')}/"


# --- One person ------------------------------------------------------------------------------------------------------
def test_reads_by_hand_and_through_kvadmin_stand_together(
    auditor: Person, db_password: Secret, client_of: ClientOf
) -> None:
    eve = factories.person("eve", "reader")
    Person.objects.filter(pk=eve.pk).update(email=EVE)
    event()
    act = revealed(who=Actor(str(eve.pk), "eve"), secret="api-key", request_id=str(uuid.uuid4()))
    page = text(client_of(auditor), path(EVE))

    assert "pay-prod / db-password 1 0" in page
    assert "pay-prod / api-key 0 1" in page
    assert "Only in the ledger" in page
    assert f'href="/audit/ledger/?act={act.id}"' in client_of(auditor).get(path(f"kvadmin:{eve.pk}")).content.decode()


def test_a_read_that_azure_has_shown_is_told_once(auditor: Person, db_password: Secret, client_of: ClientOf) -> None:
    eve, request = factories.person("eve", "reader"), str(uuid.uuid4())
    revealed(who=Actor(str(eve.pk), "eve"), request_id=request)
    event(who="kvadmin", who_kind="managed-identity", correlation_id=request, match="other")
    match.rematch(timezone.now() - timedelta(hours=1))
    page = text(client_of(auditor), path(f"kvadmin:{eve.pk}"))

    assert "pay-prod / db-password 0 1" in page
    assert "Only in the ledger" not in page


@pytest.mark.parametrize("address", [OID, "Login service", "login SERVICE"])
def test_a_program_is_found_by_its_id_and_by_the_name_that_it_was_given(
    auditor: Person, db_password: Secret, client_of: ClientOf, address: str
) -> None:
    DirectoryName.objects.create(identifier=OID, name="Login service", kind="app", set_by="x", set_at=timezone.now())
    event(**ROBOT)
    event(**ROBOT | {"object_id": "0d5e0000-0000-4000-8000-00000000000b", "name": "of-a-namesake"})
    judge(FakeInventory())
    page = text(client_of(auditor), path(address))

    assert "What Login service read" in page
    assert ("db-password" in page, "of-a-namesake" in page) == (True, False)


def test_whoever_was_renamed_keeps_what_they_read_before(
    auditor: Person, db_password: Secret, client_of: ClientOf
) -> None:
    event(who="eve.old@contoso.example", object_id=OID, name="api-key")
    event(who=EVE, object_id=OID)
    judge(FakeInventory())

    page = text(client_of(auditor), path(EVE))
    assert ("api-key" in page, "db-password" in page) == (True, True)


def test_a_user_name_is_found_however_it_is_written(auditor: Person, db_password: Secret, client_of: ClientOf) -> None:
    event(who="Eve@Contoso.example", object_id=OID)
    revealed(secret="api-key", who=Actor("4711", "Gone Person"), request_id=str(uuid.uuid4()))
    judge(FakeInventory())

    assert "pay-prod / db-password" in text(client_of(auditor), path("eve@contoso.EXAMPLE"))
    assert "pay-prod / api-key" in text(client_of(auditor), path("gone person"))
    assert "db-password" in text(client_of(auditor), f"/audit/leavers/?person={EVE.upper()}")


def test_a_person_whose_account_is_gone_is_still_found_by_the_name_in_the_ledger(
    auditor: Person, db_password: Secret, client_of: ClientOf
) -> None:
    revealed(who=Actor("4711", "Gone Person"), request_id=str(uuid.uuid4()))

    for address in ("Gone Person", "kvadmin:4711"):
        assert "pay-prod / db-password" in text(client_of(auditor), path(address))


def test_each_auditor_sees_what_is_in_reach_and_else_nobody_of_that_name(
    auditor: Person, db_password: Secret, client_of: ClientOf
) -> None:
    hr = factories.vault("hr-prod", environment="hr")
    event(vault="pay-prod")
    event(vault="hr-prod", name="payroll")
    for_hr = factories.person("of-hr", "auditor", vault=hr)
    for_none = factories.person("of-test", "auditor", vault=factories.vault("pay-test"))

    page = text(client_of(for_hr), path(EVE))
    assert ("payroll" in page, "db-password" in page) == (True, False)
    assert client_of(for_none).get(path(EVE)).status_code == 404
    for role in ("", "reader", "administrator"):
        answer = client_of(factories.person(f"r-{role}", role)).get(path(EVE))
        assert (answer.status_code, b"payroll" in answer.content) == (403, False)


def test_an_account_that_never_read_is_known_to_whoever_audits_everything_only(
    auditor: Person, db_password: Secret, client_of: ClientOf
) -> None:
    eve = factories.person("eve", "reader")
    small = factories.person("small", "auditor", vault=db_password.vault)

    assert "No read seen in this time" in text(client_of(auditor), path(f"kvadmin:{eve.pk}"))
    answers = [client_of(small).get(path(f"kvadmin:{eve.pk}")), client_of(auditor).get(path("nobody-at-all"))]
    assert [answer.status_code for answer in answers] == [404, 404]


@pytest.mark.parametrize("who", ["kvadmin:", "kvadmin:x", f"kvadmin:{'9' * 40}", "a/b/c", "%", "x" * 3000, MARKUP])
def test_an_address_that_means_nobody_is_a_plain_404(auditor: Person, client_of: ClientOf, who: str) -> None:
    answer = client_of(auditor).get(path(who))

    assert answer.status_code == 404
    assert is_harmless(answer.content.decode())


def test_the_range_is_ninety_days_until_another_is_chosen(
    auditor: Person, db_password: Secret, client_of: ClientOf
) -> None:
    event(name="key-one", at=timezone.now() - timedelta(days=20))
    event(name="key-two", at=timezone.now() - timedelta(days=100))
    client = client_of(auditor)
    found = {
        word: ["key-one" in text(client, path(EVE), range=word), "key-two" in text(client, path(EVE), range=word)]
        for word in ("", "7d", "90d", "365d")
    }
    assert found == {"": [True, False], "7d": [False, False], "90d": [True, False], "365d": [True, True]}


@pytest.mark.parametrize("rows", [1, 3])
def test_a_persons_page_costs_the_same_for_one_row_and_for_three(
    auditor: Person, client_of: ClientOf, rows: int, django_assert_num_queries: Any
) -> None:
    eve = factories.person("eve", "reader")
    Person.objects.filter(pk=eve.pk).update(email=EVE)
    for n in range(rows):
        factories.secret(factories.vault(f"vault-{n}"), "db-password")
        event(vault=f"vault-{n}", object_id=OID)
        revealed(f"vault-{n}", "api-key", who=Actor(str(eve.pk), "eve"), request_id=str(uuid.uuid4()))
    judge(FakeInventory())
    client = client_of(auditor)
    client.get(path(EVE))
    with django_assert_num_queries(PERSON):
        client.get(path(EVE))


PERSON = 21


# --- One secret ------------------------------------------------------------------------------------------------------
def test_a_secrets_page_tells_its_readers_and_how_much_the_log_can_know(
    auditor: Person, db_password: Secret, client_of: ClientOf
) -> None:
    event()
    event(at=timezone.now() - timedelta(days=2))
    event(**ROBOT)
    event(who="mallory", is_read=False, match="other", outcome="denied", status=403)
    event(name="other")
    page = text(client_of(auditor), "/audit/secrets/Pay-Prod/DB-password/")

    assert "3 identities" in page
    assert f"{EVE} 2 0" in page
    assert "mallory 0 1" in page
    assert "Whether this vault sends an access log has not been checked yet." in page


def test_a_list_of_readers_that_is_cut_says_so(auditor: Person, db_password: Secret, client_of: ClientOf) -> None:
    for n in range(MOST_READERS):
        event(who=f"reader-{n}@contoso.example")
    assert "This list is cut" not in text(client_of(auditor), "/audit/secrets/pay-prod/db-password/")

    event(who="one-more@contoso.example")
    assert "This list is cut" in text(client_of(auditor), "/audit/secrets/pay-prod/db-password/")


def test_the_latest_ten_findings_are_not_shown_as_all_of_them(
    auditor: Person, db_password: Secret, client_of: ClientOf
) -> None:
    for n in range(11):
        assert "there are more" not in text(client_of(auditor), "/audit/secrets/pay-prod/db-password/")
        Finding.objects.create(
            rule="first", key=str(n), severity="note", vault="pay-prod", secret="db-password", what="Read.",
            since=timezone.now(), last_at=timezone.now(),
        )  # fmt: skip
    assert "the latest 10; there are more" in text(client_of(auditor), "/audit/secrets/pay-prod/db-password/")


def test_where_the_vault_is_blind_no_page_says_that_nobody_read_it(
    auditor: Person, db_password: Secret, client_of: ClientOf
) -> None:
    db_password.vault.log_state = "no-setting"
    db_password.vault.save()

    page = text(client_of(auditor), "/audit/secrets/pay-prod/db-password/")
    assert "No read seen. This vault is blind (no diagnostic setting)" in page


def test_a_reveal_that_only_the_ledger_has_counts_among_the_readers(
    auditor: Person, db_password: Secret, client_of: ClientOf
) -> None:
    eve = Actor("5", "Eve Example")
    for request_id in ("shown-by-azure", "not-shown-yet"):
        revealed(who=eve, request_id=request_id)
    event(who="kvadmin", who_kind="managed-identity", correlation_id="shown-by-azure", match="other")
    match.rematch(timezone.now() - timedelta(hours=1))

    page = text(client_of(auditor), "/audit/secrets/pay-prod/db-password/")
    assert "1 identity" in page
    assert "Eve Example through kvadmin 2 0" in page
    assert "No read seen" not in page


def test_a_secret_out_of_reach_does_not_exist_for_an_auditor(db_password: Secret, client_of: ClientOf) -> None:
    event()
    event(vault="unknown", name="somewhere")
    of_api = factories.person("of-api", "auditor", vault=db_password.vault, prefix="api-")
    of_db = factories.person("of-db", "auditor", vault=db_password.vault, prefix="db-")
    everywhere = factories.person("everywhere", "auditor")
    seen = {
        person.username: [
            client_of(person).get(f"/audit/secrets/{name}/").status_code
            for name in ("pay-prod/db-password", "unknown/somewhere", "no/such")
        ]
        for person in (of_api, of_db, everywhere, factories.person("bob", "reader"))
    }
    assert seen == {
        "of-api": [404, 404, 404], "of-db": [200, 404, 404], "everywhere": [200, 200, 404], "bob": [403, 403, 403],
    }  # fmt: skip


@pytest.mark.parametrize("rows", [1, 3])
def test_a_secrets_page_costs_the_same_for_one_row_and_for_three(
    auditor: Person, db_password: Secret, client_of: ClientOf, rows: int, django_assert_num_queries: Any
) -> None:
    for n in range(rows):
        event(object_id=f"0d5e0000-0000-4000-8000-00000000000{n}", who=f"{n}@contoso.example")
        revealed(request_id=str(uuid.uuid4()))
    client = client_of(auditor)
    client.get("/audit/secrets/pay-prod/db-password/")
    with django_assert_num_queries(SECRET):
        client.get("/audit/secrets/pay-prod/db-password/")


SECRET = 15


def test_markup_in_logged_names_is_text_on_both_pages(auditor: Person, client_of: ClientOf) -> None:
    event(who=MARKUP, via=MARKUP, name="odd", address=MARKUP[:45])
    revealed("pay-prod", "odd", who=Actor("4711", MARKUP), request_id="r")
    client = client_of(auditor)

    for page in ("/audit/secrets/pay-prod/odd/", path(MARKUP), path("kvadmin:4711")):
        body = client.get(page).content.decode()
        assert "alert(1)" in body, page
        assert is_harmless(body), page
