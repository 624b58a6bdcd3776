"""A new version, and a new secret: exactly these bytes, nothing lost on the way, and nobody's newer one overwritten."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import AccessEvent, LedgerEntry
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.state import Azure
from kvadmin.gateway import keyvault, writes
from kvadmin.gateway.values import SecretValue
from tests import factories
from tests.test_canary import everything_stored
from tests.vaults.awkward import VALUES
from tests.vaults.writing import NEW, OLD, SET, build, fields, newest, put, reads, review, reviewed, very_many, write
from vaults.models import DeletedSecret, Person, Secret, Turn
from vaults.rows import VaultRows
from vaults.sync import sync_inventory

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]


@pytest.fixture
def secret(azure: Azure) -> Secret:
    return build(azure)


@pytest.fixture
def mark(secret: Secret, azure: Azure) -> str:
    """What the page carries: the version that it was opened on."""
    return newest(azure).id


@pytest.fixture
def ada(client: Client, officer: Person) -> Client:
    client.force_login(officer)
    return client


# --- Byte for byte ---------------------------------------------------------------------------------------------------
def test_there_are_sixty_awkward_values() -> None:
    assert len(VALUES) == len(set(VALUES.values())) == 60


def test_every_awkward_value_arrives_through_the_page_s_requests(ada: Client, azure: Azure, mark: str) -> None:
    wrong = []
    for name, value in VALUES.items():
        answer = reviewed(ada, value, fields(newest(azure).id, expires_on=""))
        if answer.status_code != 200 or newest(azure).value != value:
            wrong.append(name)
        azure.clock.advance(timedelta(seconds=1))

    assert wrong == []


def test_every_awkward_value_goes_through_the_gateway_and_back(secret: Secret, azure: Azure) -> None:
    uri, wrong = secret.vault.uri, []
    for name, value in VALUES.items():
        written = writes.set_secret(uri, "awkward", SecretValue(value), act_id="act-00000000")
        read = keyvault.get_secret(uri, "awkward", written.properties.version, reveal_id="act-00000000")
        if read.value.expose() != value:
            wrong.append(name)

    assert wrong == []


def test_line_breaks_of_another_kind_are_a_new_value(ada: Client, azure: Azure, mark: str) -> None:
    """Replacing CRLF by LF is a change: both versions are written, and each is what was sent."""
    reviewed(ada, "a\r\nb", fields(mark))
    azure.clock.advance(timedelta(seconds=1))
    reviewed(ada, "a\nb", fields(newest(azure).id, expires_on="2033-01-01T00:00:00"))

    assert [version.value for version in azure.vault("pay-prod").secrets.get("db-password").versions.values()] == [
        "old value", "a\r\nb", "a\nb",
    ]  # fmt: skip


def test_half_a_character_is_refused_and_never_replaced(ada: Client, azure: Azure, mark: str) -> None:
    answer = reviewed(ada, "half \ud83d here", fields(mark))

    assert (answer.status_code, newest(azure).value) == (422, "old value")
    assert "The value holds half a character" in answer.json()["error"]


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
def test_no_digest_of_a_value_is_kept(ada: Client, azure: Azure, mark: str, algorithm: str) -> None:
    """Whoever reads a digest can try values until one fits: neither a tag nor a row may hold one."""
    reviewed(ada, "hunter2", fields(mark))

    digest = hashlib.new(algorithm, b"hunter2")
    kept = "".join(row for _, row in everything_stored()) + repr(newest(azure).tags)
    assert [text for text in (digest.hexdigest(), b64encode(digest.digest()).decode()) if text in kept] == []


def test_a_value_of_25_600_bytes_is_the_longest(ada: Client, azure: Azure, mark: str) -> None:
    too_long = reviewed(ada, "é" * 12_800 + "x", fields(mark))

    assert "25,601 bytes in UTF-8; Azure takes 25,600 at most" in too_long.json()["error"]
    assert [row.operation for row in azure.log if row.operation == "SecretSet"] == []
    assert reviewed(ada, "é" * 12_800, fields(mark)).status_code == 200


# --- What will change is shown first ---------------------------------------------------------------------------------
def test_a_review_says_what_changes_and_what_is_kept_and_writes_nothing(ada: Client, azure: Azure, mark: str) -> None:
    html = review(ada, fields(mark, tags={"team": "red", "owner": "ada"}, content_type="")).json()["html"]

    assert "Tag team" in html
    assert [html.count(f"</svg>{word}<") for word in ("Changed", "Removed", "Kept")] == [2, 1, 2]
    assert "2031-05-06 07:08:09Z" in html
    assert "2032-01-01 00:00:00Z" in html
    assert [row.operation for row in azure.log if row.operation == "SecretSet"] == []


def test_what_was_not_shown_is_not_written(ada: Client, azure: Azure, mark: str) -> None:
    seen = review(ada, fields(mark)).json()["seen"]

    answer = write(ada, "new", fields(mark, content_type="other", seen=seen))

    assert (answer.status_code, newest(azure).value) == (409, "old value")
    assert answer.json()["error"].startswith("What will change is not what was shown")


def test_nothing_is_written_without_a_review(ada: Client, azure: Azure, mark: str) -> None:
    assert write(ada, "new", fields(mark)).status_code == 409
    assert newest(azure).value == "old value"


def test_a_new_version_carries_everything_that_the_form_began_with(ada: Client, azure: Azure, mark: str) -> None:
    reviewed(ada, "new", fields(mark))

    version = newest(azure)
    assert (version.value, version.content_type, version.tags) == (
        "new", "text/plain", {"team": "blue", "owner": "ada"},
    )  # fmt: skip
    assert (version.enabled, version.expires_on) == (True, int(datetime(2032, 1, 1, tzinfo=UTC).timestamp()))


def test_the_page_begins_with_what_azure_has_now_and_not_with_the_last_sweep(
    ada: Client, azure: Azure, mark: str
) -> None:
    """Somebody added a tag a minute ago; the inventory does not know it yet."""
    put(azure, "newer", tags={"team": "<green>"}, at=datetime(2026, 2, 1, tzinfo=UTC))

    page = ada.get(SET).content.decode()

    assert 'value="&lt;green&gt;"' in page
    assert 'value="2031-05-06T07:08:09"' in page
    assert f'name="mark" value="{newest(azure).id}"' in page
    assert reads(azure) == []


def test_a_tag_with_a_line_break_survives_though_no_field_can_hold_it(ada: Client, azure: Azure, mark: str) -> None:
    put(azure, "newer", tags={"note": "two\nlines", "team": "blue"}, at=datetime(2026, 2, 1, tzinfo=UTC))

    reviewed(ada, "new", fields(newest(azure).id, tags={"team": "red"}))

    assert newest(azure).tags == {"team": "red", "note": "two\nlines"}


def test_that_tag_goes_when_that_is_asked_for(ada: Client, azure: Azure, mark: str) -> None:
    put(azure, "newer", tags={"note": "two\nlines"}, at=datetime(2026, 2, 1, tzinfo=UTC))

    reviewed(ada, "new", fields(newest(azure).id, tags={"team": "red"}, drop="on"))

    assert newest(azure).tags == {"team": "red"}


# --- The expiry ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("expires_on", "question"),
    [
        ("2031-05-06T07:08:09", "The new version would keep the old one&#x27;s expiry."),
        ("2026-01-01T00:00", "The new version would be expired from its first moment on."),
    ],
)
def test_an_old_expiry_is_asked_about_and_taken_only_then(
    ada: Client, azure: Azure, mark: str, expires_on: str, question: str
) -> None:
    form = fields(mark, expires_on=expires_on)
    shown = review(ada, form).json()

    refused = write(ada, "new", form | {"seen": shown["seen"]})
    taken = write(ada, "new", form | {"seen": shown["seen"], "keep_expiry": "on"})

    assert question in shown["html"]
    assert (refused.status_code, refused.json()["field"]) == (422, "keep_expiry")
    assert (taken.status_code, newest(azure).value) == (200, "new")


def test_a_date_is_utc_and_does_not_move_however_often_it_is_saved(ada: Client, azure: Azure, mark: str) -> None:
    """A tool that adds the local time of day to the UTC day moves an expiry by a day with each save."""
    wanted = "2030-03-31T02:30:00"  # a moment that Europe's clocks skip, and after midnight in New York's evening
    for _ in range(3):
        reviewed(ada, "new", fields(newest(azure).id, expires_on=wanted, keep_expiry="on"))
        azure.clock.advance(timedelta(seconds=1))
        assert f'value="{wanted}"' in ada.get(SET).content.decode()

    assert newest(azure).expires_on == int(datetime(2030, 3, 31, 2, 30, tzinfo=UTC).timestamp())


@pytest.mark.parametrize("far", ["51703-01-01T00:00", "10000-01-01T00:00", "9999-12-31T23:59:59"])
def test_a_year_that_no_calendar_has_is_refused(ada: Client, mark: str, far: str) -> None:
    answer = review(ada, fields(mark, expires_on=far))

    assert answer.status_code == 422
    assert "9999" in answer.json()["errors"]["expires_on"]


def test_an_expiry_before_the_start_is_refused(ada: Client, mark: str) -> None:
    answer = review(ada, fields(mark, not_before="2033-01-01T00:00"))

    assert answer.json()["errors"] == {"expires_on": "It would expire before it is valid."}


# --- Rules, before the call ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        ({f"t{n}": "x" for n in range(16)}, "15 tags at most"),
        ({"n" * 513: "x"}, "512 characters"),
        ({"n": "x" * 513}, "512 characters"),
        ({"": "x"}, "A tag needs a name."),
    ],
)
def test_tags_that_azure_would_not_take_are_told_at_the_field(
    ada: Client, azure: Azure, mark: str, tags: dict[str, str], sentence: str
) -> None:
    answer = review(ada, fields(mark, tags=tags))

    assert answer.status_code == 422
    assert sentence in answer.json()["errors"]["tags"]


def test_two_tags_of_one_name_are_refused(ada: Client, mark: str) -> None:
    form = fields(mark) | {"tag_name": ["team", "team"], "tag_value": ["a", "b"]}

    assert review(ada, form).json()["errors"] == {"tags": "Two tags have the same name."}


@pytest.mark.parametrize("field", ["reason", "content_type"])
def test_a_wrong_field_is_named_and_the_value_is_not_echoed(ada: Client, mark: str, field: str) -> None:
    answer = write(ada, "the new value", fields(mark, **{field: "" if field == "reason" else "x" * 256}))

    assert list(answer.json()["errors"]) == [field]
    assert "the new value" not in answer.content.decode()


# --- Somebody was faster ---------------------------------------------------------------------------------------------
def test_a_newer_version_is_not_overwritten_and_its_writer_is_named(ada: Client, azure: Azure, mark: str) -> None:
    form = fields(mark) | {"seen": review(ada, fields(mark)).json()["seen"]}
    other = factories.person("bob", "secrets-officer")
    bob = Client()
    bob.force_login(other)
    assert reviewed(bob, "bob's", fields(mark)).status_code == 200

    answer = write(ada, "ada's", form)

    assert (answer.status_code, newest(azure).value) == (409, "bob's")
    assert "bob, through kvadmin, wrote version" in answer.json()["html"]
    assert answer.json()["mark"] == newest(azure).id


def test_after_a_look_one_s_own_may_go_on_top(ada: Client, azure: Azure, mark: str) -> None:
    theirs = put(azure, "theirs", at=datetime(2026, 2, 1, tzinfo=UTC))
    overtaken = review(ada, fields(mark))

    answer = reviewed(ada, "mine", fields(overtaken.json()["mark"]))

    assert overtaken.status_code == 409
    assert overtaken.json()["mark"] == theirs.id
    assert (answer.status_code, newest(azure).value) == (200, "mine")


def test_who_wrote_around_kvadmin_is_known_from_azure_s_log(ada: Client, azure: Azure, mark: str) -> None:
    theirs = put(azure, "theirs", at=datetime(2026, 2, 1, tzinfo=UTC))
    AccessEvent.objects.create(
        fingerprint="1", at=timezone.now(), vault="pay-prod", operation="SecretSet", name="db-password",
        version=theirs.id, outcome="ok", who="pipeline@example.com", source="AZKVAuditLogs", raw={},
    )  # fmt: skip

    assert "pipeline@example.com wrote version" in review(ada, fields(mark)).json()["html"]


def test_a_writer_whom_no_log_has_shown_yet_is_not_invented(ada: Client, azure: Azure, mark: str) -> None:
    put(azure, "theirs", at=datetime(2026, 2, 1, tzinfo=UTC))

    assert "Somebody whom the access log has not shown yet wrote" in review(ada, fields(mark)).json()["html"]


def test_two_versions_of_the_same_second_are_told_apart_from_one(ada: Client, azure: Azure, mark: str) -> None:
    put(azure, "same second", at=OLD)

    assert review(ada, fields(mark)).status_code == 409


def test_the_newest_is_the_one_created_last_and_not_the_one_changed_last(ada: Client, azure: Azure, mark: str) -> None:
    """Changing an old version's tags makes it no newer."""
    newer = put(azure, "newer", at=datetime(2026, 2, 1, tzinfo=UTC))
    uri = "https://pay-prod.vault.azure.net/"
    azure.clock.advance(timedelta(days=90))
    writes.update_secret_properties(uri, "db-password", mark, tags={"x": "y"}, act_id="act-00000000")

    assert f'name="mark" value="{newer.id}"' in ada.get(SET).content.decode()


def test_while_somebody_writes_nobody_else_does(ada: Client, azure: Azure, mark: str, secret: Secret) -> None:
    Turn.objects.create(
        vault=secret.vault, key="db-password", until=timezone.now() + timedelta(minutes=1), holder="bob"
    )

    answer = reviewed(ada, "new", fields(mark))

    assert answer.status_code == 409
    assert answer.json()["error"].startswith("bob is changing this secret at this moment.")
    assert LedgerEntry.objects.get(phase="refused").code == "busy"


def test_the_turn_of_a_dead_process_is_over_after_a_while(ada: Client, azure: Azure, mark: str, secret: Secret) -> None:
    Turn.objects.create(
        vault=secret.vault, key="db-password", until=timezone.now() - timedelta(seconds=1), holder="bob"
    )

    assert reviewed(ada, "new", fields(mark)).status_code == 200
    assert Turn.objects.count() == 0


# --- Who may ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", [SET, NEW])
@pytest.mark.parametrize("role", ["reader", "secrets-user", "approver", "auditor", "purge-operator"])
def test_somebody_without_the_role_writes_nothing_and_it_is_on_record(
    role: str, path: str, client: Client, azure: Azure, mark: str
) -> None:
    client.force_login(factories.person("eve", role))

    answers = [client.get(path), review(client, fields(mark), path), write(client, "x", fields(mark, name="a"), path)]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert newest(azure).value == "old value"
    assert list(LedgerEntry.objects.values_list("phase", "action", "person").distinct().order_by()) == [
        ("refused", "secret:set", "eve")
    ]


@pytest.mark.parametrize("path", [SET, NEW])
def test_somebody_with_the_role_elsewhere_does_not_learn_of_it(
    path: str, azure: Azure, mark: str, client_of: ClientOf
) -> None:
    client = client_of(factories.person("bob", "secrets-officer", vault=factories.vault("hr-test")))

    assert [client.get(path).status_code, write(client, "x", fields(mark), path).status_code] == [404, 404]
    assert newest(azure).value == "old value"


def test_a_role_for_a_prefix_writes_within_it_and_not_beside_it(
    azure: Azure, secret: Secret, client_of: ClientOf
) -> None:
    client = client_of(factories.person("db", "secrets-officer", vault=secret.vault, prefix="db-"))

    within = reviewed(client, "v", fields("", name="db-new"), NEW)
    beside = review(client, fields("", name="app-new"), NEW)

    assert client.get(NEW).status_code == 200
    assert (within.status_code, newest(azure, "db-new").value) == (200, "v")
    assert (beside.status_code, azure.vault("pay-prod").secrets.get("app-new")) == (403, None)


# --- On record, and in the inventory at once -------------------------------------------------------------------------
def test_a_write_is_on_record_before_and_after_with_azure_s_id(ada: Client, azure: Azure, mark: str) -> None:
    reviewed(ada, "new", fields(mark))

    intent, done = LedgerEntry.objects.order_by("seq")
    row = next(row for row in azure.log if row.operation == "SecretSet")
    assert (intent.phase, done.phase, done.action, done.reason) == ("intent", "done", "secret:set", "INC-7: rotated")
    assert (done.request_id, done.version) == (row.correlation_id, newest(azure).id)
    assert "Expires: 2031-05-06 07:08:09Z → 2032-01-01 00:00:00Z" in done.note
    assert f"act/{intent.act}" in row.client_info


def test_the_inventory_knows_it_at_once_and_a_list_begun_before_does_not_undo_it(
    ada: Client, azure: Azure, mark: str
) -> None:
    began, stale = timezone.now(), next(keyvault.list_properties_of_secrets("https://pay-prod.vault.azure.net/"))
    reviewed(ada, "new", fields(mark, tags={"team": "red"}))
    rows = VaultRows(Secret.objects.get().vault, began)
    rows.write(stale)
    rows.vanish()

    assert Secret.objects.get().tags == {"team": "red"}


def test_a_new_secret_is_not_lost_to_a_list_that_was_begun_before_it(ada: Client, azure: Azure, mark: str) -> None:
    rows = VaultRows(Secret.objects.get().vault, timezone.now())
    reviewed(ada, "v", fields("", name="Fresh-One"), NEW)
    rows.vanish()

    fresh = Secret.objects.get(key="fresh-one")
    assert (fresh.name, fresh.vanished_at) == ("Fresh-One", None)


# --- A new secret ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["000", "-abc", "new", "delete", "set", "x", "a" * 127])
def test_every_name_that_azure_allows_can_be_made(ada: Client, azure: Azure, secret: Secret, name: str) -> None:
    answer = reviewed(ada, "v", fields("", name=name), NEW)

    assert answer.json()["next"] == f"/vaults/pay-prod/secrets/{name}/"
    assert newest(azure, name).value == "v"
    assert ada.get(f"/vaults/pay-prod/secrets/{name}/set/").status_code == 200


@pytest.mark.parametrize("name", ["a_b", "a.b", "a b", "é", "", "a" * 128, "a/b", ".."])
def test_a_name_that_azure_does_not_allow_is_told_before_the_call(
    ada: Client, azure: Azure, secret: Secret, name: str
) -> None:
    answer = review(ada, fields("", name=name), NEW)

    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["name"])
    assert azure.log == []


def test_a_name_that_is_there_already_in_other_capitals_is_not_written_over(
    ada: Client, azure: Azure, secret: Secret
) -> None:
    answer = review(ada, fields("", name="DB-Password"), NEW)

    assert answer.status_code == 409
    assert "There is a secret of this name already" in answer.json()["html"]
    assert write(ada, "x", fields("", name="DB-Password", seen="0" * 64), NEW).status_code == 409
    assert newest(azure).value == "old value"


def test_a_secret_with_too_many_versions_to_know_the_newest_is_not_made_anew(
    ada: Client, azure: Azure, secret: Secret
) -> None:
    for _ in range(501):
        azure.put_secret("pay-prod", "busy", "v")

    assert review(ada, fields("", name="busy"), NEW).status_code == 409
    shown = review(ada, fields("many"), "/vaults/pay-prod/secrets/busy/set/")
    assert shown.status_code == 404  # not in the inventory yet
    sync_inventory()
    shown = review(ada, fields("many"), "/vaults/pay-prod/secrets/busy/set/")
    assert "Not checked: whether somebody writes at the same time" in shown.json()["html"]


def test_of_very_many_versions_a_new_one_begins_with_what_the_newest_has(
    ada: Client, azure: Azure, secret: Secret
) -> None:
    """Azure lists versions by their ids, so that the newest may be among those that are cut off."""
    very_many(azure, "v", tags={"team": "green"})
    sync_inventory()

    page = ada.get(SET).content.decode()

    assert 'value="green"' in page
    assert 'value="red"' not in page


def test_the_name_of_a_deleted_secret_leads_to_its_recovery(ada: Client, azure: Azure, secret: Secret) -> None:
    azure.vault("pay-prod").secrets.delete("db-password", azure.clock.now(), timedelta(0), timedelta(days=90))

    answer = reviewed(ada, "v", fields("", name="db-password"), NEW)

    assert answer.status_code == 409
    assert "A deleted secret still holds this name." in answer.json()["error"]
    assert 'href="/vaults/pay-prod/deleted/db-password/recover/"' in answer.json()["html"]
    assert DeletedSecret.objects.get().state == "deleted"


def test_a_name_that_is_just_being_deleted_is_said_to_be_so(ada: Client, azure: Azure, secret: Secret) -> None:
    azure.vault("pay-prod").secrets.delete("db-password", azure.clock.now(), timedelta(minutes=1), timedelta(days=90))

    answer = reviewed(ada, "v", fields("", name="db-password"), NEW)

    assert answer.json()["error"].startswith("The secret is being deleted at this moment.")
    assert LedgerEntry.objects.get(phase="failed").code == "being-deleted"


# --- What Azure does not do ------------------------------------------------------------------------------------------
def test_a_certificate_s_secret_offers_no_form_and_takes_no_value(ada: Client, azure: Azure, mark: str) -> None:
    azure.vault("pay-prod").secrets.get("db-password").managed = True
    azure.vault("pay-prod").secrets.get("db-password").item = None
    page = ada.get(SET).content.decode()

    answer = reviewed(ada, "x", fields(mark))

    assert "Belongs to a certificate" in page
    assert "data-value-text" not in page
    assert (answer.status_code, newest(azure).value) == (409, "old value")
    assert [row.operation for row in azure.log if row.operation == "SecretSet"] == []


def test_an_answer_that_was_lost_is_not_called_a_failure(ada: Client, azure: Azure, mark: str) -> None:
    form = fields(mark)
    form["seen"] = review(ada, form).json()["seen"]
    azure.faults.set("pay-prod", Fault("lost", operations=frozenset({"SecretSet"})))

    answer = write(ada, "new", form)

    assert answer.status_code == 502
    assert "It is not known whether Azure has done it all the same" in answer.json()["error"]
    assert LedgerEntry.objects.get(phase="failed").request_id == ""


@pytest.mark.parametrize("kind", ["firewall", "rbac", "throttled"])
def test_a_refusal_of_azure_is_one_sentence(ada: Client, azure: Azure, mark: str, kind: str) -> None:
    form = fields(mark)
    form["seen"] = review(ada, form).json()["seen"]
    azure.faults.set("pay-prod", Fault(kind, operations=frozenset({"SecretSet"})))

    answer = write(ada, "the new value", form)

    assert answer.status_code in {502, 503}
    assert "It is not known" not in answer.json()["error"]
    assert "the new value" not in answer.content.decode()
    assert newest(azure).value == "old value"


def test_a_vault_out_of_reach_is_a_sentence_and_no_form(ada: Client, azure: Azure, secret: Secret) -> None:
    azure.faults.set("pay-prod", Fault("firewall"))
    answer = ada.get(SET)

    assert answer.status_code == 502
    assert "firewall does not let kvadmin in" in answer.content.decode()
    assert "data-writing" not in answer.content.decode()


# --- What is no request of the page ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "body", [" ", "{", "[]", '{"value": "x"}', '{"form": "a=b"}', '{"form": "", "value": 7}', "null"]
)
def test_a_body_that_is_none_of_the_page_s_is_refused(ada: Client, azure: Azure, mark: str, body: str) -> None:
    headers = {"HX-Request": "true"}

    assert ada.post(SET, body, "application/json", headers=headers).status_code == 400
    assert newest(azure).value == "old value"


def test_a_plain_form_is_told_that_writing_needs_javascript(ada: Client, azure: Azure, mark: str) -> None:
    answer = ada.post(SET, fields(mark) | {"value": "x"})

    assert (answer.status_code, newest(azure).value) == (400, "old value")
    assert "Writing a value needs JavaScript" in answer.json()["error"]
    assert "Writing a value needs JavaScript" in ada.get(SET).content.decode()


def test_a_get_writes_nothing(ada: Client, azure: Azure, mark: str) -> None:
    ada.get(SET, {"value": "x", **fields(mark)})

    assert newest(azure).value == "old value"
    assert reads(azure) == []
