"""Properties of a version without a new one, and an old version written anew: what Azure can, and what it cannot."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from audit.ingest import ingest_audit
from audit.models import AccessEvent, LedgerEntry
from kvadmin.emulator.state import Azure
from kvadmin.gateway import keyvault
from tests import factories
from tests.vaults.writing import PAGE, SUBSCRIPTION, build, newest, put, reads, very_many
from vaults.models import Person, Secret

pytestmark = pytest.mark.django_db
UPDATE, ROLL_BACK = f"{PAGE}update/", f"{PAGE}roll-back/"
WORKSPACE = "00000000-0000-0000-0000-00000000cccc"
ClientOf = Callable[[Person], Client]


@pytest.fixture
def secret(azure: Azure) -> Secret:
    return build(azure)


@pytest.fixture
def ada(client: Client, officer: Person) -> Client:
    client.force_login(officer)
    return client


def form(version: str, **changed: Any) -> dict[str, Any]:
    tags = changed.pop("tags", {"team": "blue", "owner": "ada"})
    given = {
        "version": version, "content_type": "text/plain", "expires_on": "2031-05-06T07:08:09", "enabled": "on",
        "reason": "INC-7: cleaned up", "tag_name": list(tags), "tag_value": list(tags.values()),
    }  # fmt: skip
    return given | changed


def confirmed(client: Client, path: str, sent: dict[str, Any]) -> HttpResponse:
    """Both steps of the page: what will change is shown, then done."""
    shown = client.post(path, sent)
    assert shown.status_code == 200, shown.content.decode()
    return client.post(path, sent | {"seen": shown.context["seen"]})


# --- Properties ------------------------------------------------------------------------------------------------------
def test_properties_change_without_a_new_version_and_without_a_read(ada: Client, azure: Azure, secret: Secret) -> None:
    before = newest(azure)

    answer = confirmed(ada, UPDATE, form(before.id, tags={"team": "red"}, expires_on="2032-01-01T00:00"))

    after = newest(azure)
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    assert (after.id, after.value, after.tags) == (before.id, "old value", {"team": "red"})
    assert after.expires_on == int(datetime(2032, 1, 1, tzinfo=UTC).timestamp())
    assert reads(azure) == []


def test_only_what_differs_is_sent_and_the_ledger_says_what(ada: Client, azure: Azure, secret: Secret) -> None:
    confirmed(ada, UPDATE, form(newest(azure).id, tags={"team": "red", "owner": "ada"}))

    done = LedgerEntry.objects.get(phase="done")
    assert (done.action, done.note, done.version) == ("secret:update", "Tag team: blue → red", newest(azure).id)
    assert done.request_id == next(row for row in azure.log if row.operation == "SecretUpdate").correlation_id
    assert Secret.objects.get().tags == {"team": "red", "owner": "ada"}


@pytest.mark.parametrize("enabled", [True, False])
def test_a_version_is_switched_off_and_on(ada: Client, azure: Azure, secret: Secret, enabled: bool) -> None:
    put(azure, "newer", enabled=not enabled, at=datetime(2026, 2, 1, tzinfo=UTC))
    sent = form(newest(azure).id)
    if not enabled:
        del sent["enabled"]

    confirmed(ada, UPDATE, sent)

    assert (newest(azure).enabled, Secret.objects.get().enabled) == (enabled, enabled)
    assert newest(azure).value == "newer"


def test_a_content_type_and_tags_can_be_emptied(ada: Client, azure: Azure, secret: Secret) -> None:
    confirmed(ada, UPDATE, form(newest(azure).id, content_type="", tags={}))

    assert (newest(azure).content_type, newest(azure).tags) == ("", {})


def test_an_expiry_cannot_be_taken_away_and_the_page_says_so(ada: Client, azure: Azure, secret: Secret) -> None:
    answer = ada.post(UPDATE, form(newest(azure).id, expires_on=""))

    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Azure cannot take an expiry away from a version: give it another date, or write a new version" in page
    assert "A single version cannot be deleted: disable it, or delete the whole secret." in page
    assert [row.operation for row in azure.log if row.operation == "SecretUpdate"] == []


def test_a_change_of_nothing_is_told(ada: Client, azure: Azure, secret: Secret) -> None:
    answer = ada.post(UPDATE, form(newest(azure).id))

    assert answer.status_code == 422
    assert "Nothing would change." in answer.content.decode()


def test_an_older_version_s_properties_are_not_taken_for_the_secret_s(
    ada: Client, azure: Azure, secret: Secret
) -> None:
    old = newest(azure)
    put(azure, "newer", tags={"team": "green"}, at=datetime(2026, 2, 1, tzinfo=UTC))

    confirmed(ada, UPDATE, form(old.id, tags={"team": "red"}))

    assert azure.vault("pay-prod").secrets.get("db-password").versions[old.id].tags == {"team": "red"}
    assert newest(azure).tags == {"team": "green"}
    assert Secret.objects.get().tags == {"team": "blue", "owner": "ada"}  # as the last sweep found it


def test_of_very_many_versions_none_is_called_the_newest(ada: Client, azure: Azure, secret: Secret) -> None:
    very_many(azure, "v")
    listed = keyvault.list_properties_of_secret_versions(secret.vault.uri, secret.name).versions

    answer, one = ada.get(UPDATE), ada.get(f"{UPDATE}?version={listed[0].version}")

    assert answer.status_code == 409
    assert "kvadmin cannot see which is the newest" in answer.content.decode()
    assert "One of very many versions" in one.content.decode()
    assert "The newest version<" not in one.content.decode()


def test_properties_that_somebody_changed_meanwhile_are_looked_at_again(
    ada: Client, azure: Azure, secret: Secret
) -> None:
    sent = form(newest(azure).id, tags={"team": "red"})
    sent["seen"] = ada.post(UPDATE, sent).context["seen"]
    confirmed(ada, UPDATE, form(newest(azure).id, content_type="changed"))

    answer = ada.post(UPDATE, sent)

    assert answer.status_code == 409
    assert "What will change is not what was shown any more." in answer.content.decode()
    assert newest(azure).tags == {"team": "blue", "owner": "ada"}


def test_a_wrong_form_comes_back_with_all_that_was_typed(ada: Client, azure: Azure, secret: Secret) -> None:
    answer = ada.post(UPDATE, form(newest(azure).id, reason="", content_type="typed", tags={"typed tag": "kept"}))

    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'value="typed"' in page
    assert 'value="typed tag"' in page
    assert "Say why, in a few words" in page


def test_a_certificate_s_secret_has_no_form_and_is_not_changed(ada: Client, azure: Azure, secret: Secret) -> None:
    azure.vault("pay-prod").secrets.get("db-password").managed = True
    page = ada.get(UPDATE).content.decode()

    ada.post(UPDATE, form(newest(azure).id, tags={"team": "red"}) | {"seen": "0" * 64})

    assert "Its properties are those of the certificate" in page
    assert newest(azure).tags == {"team": "blue", "owner": "ada"}


def test_a_version_that_is_not_there_is_a_sentence(ada: Client, secret: Secret) -> None:
    answer = ada.get(UPDATE, {"version": "0" * 32})

    assert answer.status_code == 404
    assert "Azure shows no such version of this secret." in answer.content.decode()


# --- Roll back -------------------------------------------------------------------------------------------------------
@pytest.fixture
def old(azure: Azure, secret: Secret) -> str:
    """The version to go back to; a newer one has come since."""
    version = newest(azure).id
    put(azure, "newer", tags={"team": "green"}, content_type="", at=datetime(2026, 2, 1, tzinfo=UTC))
    return version


def back(old: str, azure: Azure, **changed: Any) -> dict[str, Any]:
    return form(old, mark=newest(azure).id, expires_on="2033-01-01T00:00", **changed)


def test_an_old_value_is_written_anew_and_shown_to_nobody(ada: Client, azure: Azure, old: str) -> None:
    answer = confirmed(ada, ROLL_BACK, back(old, azure))

    assert (answer.status_code, newest(azure).value) == (302, "old value")
    assert newest(azure).id != old
    assert len(azure.vault("pay-prod").secrets.get("db-password").versions) == 3
    assert "old value" not in ada.get(PAGE).content.decode()


def test_the_read_and_the_write_are_each_on_record(ada: Client, azure: Azure, old: str) -> None:
    confirmed(ada, ROLL_BACK, back(old, azure))

    rows = LedgerEntry.objects.order_by("seq").values_list("phase", "action", "version")
    assert list(rows) == [
        ("intent", "secret:set", old), ("read", "secret:set", old),
        ("intent", "secret:set", ""), ("done", "secret:set", newest(azure).id),
    ]  # fmt: skip
    assert reads(azure) == ["SecretGet"]
    assert f"Rolled back to version {old}" in LedgerEntry.objects.get(phase="done").note


def test_azure_s_row_of_that_read_is_explained(ada: Client, azure: Azure, secret: Secret) -> None:
    logs = azure.add_workspace("logs", subscription_id=SUBSCRIPTION, customer_id=WORKSPACE).resource_id
    azure.vault("pay-prod").workspace = logs
    first = newest(azure).id
    put(azure, "newer", at=datetime(2026, 2, 1, tzinfo=UTC))
    confirmed(ada, ROLL_BACK, back(first, azure))

    ingest_audit([WORKSPACE])

    event = AccessEvent.objects.get(operation="SecretGet")
    assert (event.match, event.person, event.reason) == ("explained", "officer", "INC-7: cleaned up")


def test_looking_at_the_page_and_at_what_will_change_reads_nothing(ada: Client, azure: Azure, old: str) -> None:
    ada.get(ROLL_BACK, {"version": old})
    shown = ada.post(ROLL_BACK, back(old, azure)).content.decode()

    assert reads(azure) == []
    assert "the value of the old version" in shown
    assert "Tag team" in shown


def test_an_old_expiry_is_asked_about(ada: Client, azure: Azure, old: str) -> None:
    sent = back(old, azure) | {"expires_on": "2026-01-02T00:00"}
    shown = ada.post(ROLL_BACK, sent)
    again = ada.post(ROLL_BACK, sent | {"seen": shown.context["seen"]})

    assert "expired from its first moment on" in again.content.decode()
    assert (again.status_code, newest(azure).value) == (422, "newer")
    ada.post(ROLL_BACK, sent | {"seen": shown.context["seen"], "keep_expiry": "on"})
    assert newest(azure).value == "old value"


def test_a_newer_version_stops_it(ada: Client, azure: Azure, old: str) -> None:
    sent = back(old, azure)
    sent["seen"] = ada.post(ROLL_BACK, sent).context["seen"]
    put(azure, "newest of all", at=datetime(2026, 3, 1, tzinfo=UTC))

    assert ada.post(ROLL_BACK, sent).status_code == 409
    assert (newest(azure).value, reads(azure)) == ("newest of all", [])


def test_a_disabled_old_version_is_a_sentence_and_nothing_is_written(ada: Client, azure: Azure, old: str) -> None:
    versions = azure.vault("pay-prod").secrets.get("db-password").versions
    versions[old].enabled = False

    answer = confirmed(ada, ROLL_BACK, back(old, azure))

    assert answer.status_code == 409
    assert "The secret is disabled, so Azure does not give its value out." in answer.content.decode()
    assert newest(azure).value == "newer"
    assert (
        "It is disabled, so Azure does not give its value out." in ada.get(ROLL_BACK, {"version": old}).content.decode()
    )


# --- Who may ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("path", "action"), [(UPDATE, "secret:update"), (ROLL_BACK, "secret:set")])
@pytest.mark.parametrize("role", ["reader", "secrets-user", "approver", "purge-operator"])
def test_somebody_without_the_role_changes_nothing_and_it_is_on_record(
    role: str, path: str, action: str, client: Client, azure: Azure, secret: Secret
) -> None:
    client.force_login(factories.person("eve", role))

    answers = [client.get(path), client.post(path, form(newest(azure).id, tags={}))]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert set(LedgerEntry.objects.values_list("phase", "action")) == {("refused", action)}
    assert newest(azure).tags == {"team": "blue", "owner": "ada"}


@pytest.mark.parametrize("path", [UPDATE, ROLL_BACK])
def test_somebody_with_the_role_elsewhere_does_not_learn_of_it(path: str, secret: Secret, client_of: ClientOf) -> None:
    client = client_of(factories.person("bob", "secrets-officer", vault=factories.vault("hr-test")))

    assert [client.get(path).status_code, client.post(path, {}).status_code] == [404, 404]


def test_the_pages_offer_only_what_one_may(azure: Azure, secret: Secret, old: str, client_of: ClientOf) -> None:
    officer, reader = factories.person("o", "secrets-officer"), factories.person("r", "reader")
    acts = ("/set/", "/update/", "/delete/", "/roll-back/")

    seen = {
        name: [
            act
            for act in acts
            if act in "".join(client.get(path).content.decode() for path in (PAGE, f"{PAGE}versions/"))
        ]
        for name, client in (("o", client_of(officer)), ("r", client_of(reader)))
    }

    assert seen == {"o": list(acts), "r": []}
