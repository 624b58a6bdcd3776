"""A known value is read, and then looked for everywhere: it stands in one answer, and nowhere else."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import get_resolver, resolve, reverse
from django.utils import timezone
from django.utils.log import log_response

from audit.finding_models import Finding
from audit.ingest import ingest_audit
from audit.models import AccessEvent
from kvadmin import logs
from kvadmin.emulator import backup
from kvadmin.emulator.faults import KINDS, Fault
from kvadmin.emulator.state import Azure
from tests import factories
from tests.vaults.archives import IDENTITY, RECIPIENT
from vaults import backups
from vaults.models import Archive, Batch, Person, RevealRequest, Secret, Upload, Vault
from vaults.sync import sync_inventory

pytestmark = pytest.mark.django_db

COMPARED = "/compare/export/?left=vault:pay-prod&right=environment:prod&show=all"
EXPORTS = {"audit-export", "ledger-export", "leavers-export"}
CANARY = "canary-5e1f"
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
WORKSPACE = "00000000-0000-0000-0000-00000000cccc"
REVEAL = "/vaults/pay-prod/secrets/db-password/reveal/"


@pytest.fixture
def db_password(azure: Azure) -> Secret:
    azure.add_subscription(SUBSCRIPTION, "Payments")
    logs = azure.add_workspace("logs", subscription_id=SUBSCRIPTION, customer_id=WORKSPACE).resource_id
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION, tags={"environment": "prod"}, workspace=logs)
    azure.put_secret("pay-prod", "db-password", CANARY)
    azure.put_certificate("pay-prod", "tls", value=CANARY)
    azure.put_secret("pay-prod", "gone", CANARY)
    azure.vault("pay-prod").secrets.delete("gone", azure.clock.now(), timedelta(0), timedelta(days=90))
    sync_inventory()
    factories.policy("direct")
    return Secret.objects.get(key="db-password")


@pytest.fixture
def ada(db_password: Secret, client: Client) -> Client:
    """Somebody who may do everything that a person can do."""
    person = factories.person("ada", "secrets-user")
    factories.assign(person, "auditor")
    factories.assign(person, "administrator")
    factories.assign(person, "approver")
    factories.assign(person, "secrets-officer")
    Batch.objects.create(act="secret:update", title="Disable: 1 secret", reason="CHG-1", asked_by=person)
    backups.ask(person, factories.actor(person), db_password.vault, [RECIPIENT], reason="CHG-1")
    facts = {"vault": "x", "secrets": 0, "versions": 0, "left_out": 0}
    Upload.objects.create(vault=db_password.vault, by=person, facts=facts, expires_at=timezone.now())
    factories.ask(factories.person("dev", "reader"), db_password)
    now = timezone.now()
    Finding.objects.create(rule="burst", key="1", severity="warning", what="Many reads", since=now, last_at=now)
    client.force_login(person)
    client.raise_request_exception = False
    return client


def reveal(client: Client) -> HttpResponse:
    return client.post(REVEAL, {"reason": "INC-7"}, headers={"HX-Request": "true", "Accept": "application/json"})


def everything_stored() -> Iterator[tuple[str, str]]:
    """Every row of every table, with the table's name, as the database gives it."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 - names from the database
            yield table, repr(cursor.fetchall())


def cached() -> dict[str, object]:
    """All that the cache of this process holds."""
    return dict(cache._cache)  # type: ignore[attr-defined] # LocMemCache's own dictionary, which has no public name


def pages() -> list[str]:
    """The address of every page that a GET can open, with this company's names and ids filled in."""
    secret = "/vaults/pay-prod/secrets/db-password/"
    found = ["/", "/vaults/", "/vaults/pay-prod/", secret, f"{secret}versions/", "/search/?q=db", "/help/"]
    for kind in ("keys", "certificates"):
        found += [
            f"/vaults/pay-prod/{kind}/",
            f"/vaults/pay-prod/{kind}/tls/",
            f"/vaults/pay-prod/{kind}/tls/versions/",
        ]
    found += ["/bulk/", "/bulk/?change=disable", "/vaults/pay-prod/import/"]
    found += ["/rotation/", "/rotation/?month=2027-01", f"{secret}rotate/"]
    found += [f"/bulk/{batch.pk}/" for batch in Batch.objects.filter(archive=None, upload=None)]
    found += [f"{secret}{act}/" for act in ("set", "update", "roll-back", "delete", "copy")]
    found += ["/compare/?left=vault:pay-prod&right=environment:prod", "/archives/"]
    found += ["/vaults/pay-prod/backup/", "/vaults/pay-prod/restore/"]
    found += [f"/archives/{archive.pk}/" for archive in Archive.objects.all()]
    found += [f"/restores/{upload.pk}/" for upload in Upload.objects.all()]
    found += ["/vaults/pay-prod/new-secret/", "/deleted/", "/vaults/pay-prod/deleted/"]
    found += [f"/vaults/pay-prod/deleted/gone/{act}/" for act in ("recover", "purge")]
    found += ["/warnings/", "/vaults/pay-prod/access/"]
    found += ["/sync/", "/register-vault/", "/people/", "/roles/", "/roles/assign/", "/policies/"]
    found += ["/audit/", "/audit/charts/", "/audit/coverage/", "/audit/findings/", "/audit/ledger/", "/audit/names/"]
    found += ["/audit/secrets/pay-prod/db-password/"]
    found += ["/audit/people/ada/", "/audit/leavers/?person=ada"]
    found += ["/requests/", "/why/", f"{secret}ask/", f"{secret}break-glass/", "/sign-in/again/"]
    found += ["/sessions/", "/second-factors/", "/second-factors/app/", "/second-factors/keys/add/"]
    found += ["/second-factors/codes/new/"]
    found += [f"/people/{person.pk}/end-access/" for person in Person.objects.all()]
    found += [f"/people/{person.pk}/sessions/" for person in Person.objects.all()]
    found += [f"/requests/{request.pk}/" for request in RevealRequest.objects.all()]
    found += [f"/audit/findings/{finding.pk}/" for finding in Finding.objects.all()]
    found += [f"/people/{person.pk}/" for person in Person.objects.all()]
    return found + [f"/audit/events/{event.pk}/" for event in AccessEvent.objects.all()]


def test_the_value_is_in_its_answer_and_nowhere_else(
    ada: Client, azure: Azure, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    answer = reveal(ada)

    assert answer.content.decode().count(CANARY) == 1
    assert CANARY not in repr(sorted(answer.headers.items()))
    assert CANARY not in repr(answer.cookies)
    assert [table for table, rows in everything_stored() if CANARY in rows] == []
    assert CANARY not in caplog.text
    assert CANARY not in repr(cached()) + repr(dict(ada.session.items()))


def test_a_page_that_breaks_with_the_value_in_hand_logs_where_and_not_what(db_password: Secret) -> None:
    """As the product writes it: the exception's own text is the value."""
    stream, error = io.StringIO(), ValueError(CANARY)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter("json"))
    logger = logging.getLogger("django.request")
    logger.addHandler(handler)
    try:
        log_response("%s: %s", "Internal Server Error", REVEAL, exception=error, response=HttpResponse(status=500))
    finally:
        logger.removeHandler(handler)

    assert "builtins.ValueError" in stream.getvalue()
    assert CANARY not in stream.getvalue()
    assert "db-password" not in stream.getvalue()


def test_no_page_is_forgotten_here(ada: Client) -> None:
    reveal(ada)
    ingest_audit([WORKSPACE])
    acts = {"reveal", "end-role", "end-policy", "verify-ledger", "sign-out", "demo-sign-in", "approve-requests"}
    acts |= {f"{verb}-request" for verb in ("approve", "deny", "shorten", "withdraw", "edit", "revoke", "review")}
    acts |= {"generate", "stop-batch", "go-on-batch", "retry-batch", "vault-export", "search-export", "compare-export"}
    acts |= {"watch", "add-line", "tick", "disable-old", "close"}
    acts |= {"compare-values", "download-archive", "stop-archive", "go-on-archive", "remove-archive"}
    acts |= {"start-restore", "stop-restore", "go-on-restore", "retry-restore"}
    acts |= {"acknowledge", "backfill", "save-view", "delete-view", *EXPORTS}
    acts |= {"entra", "end-sessions"}
    outside = {"sign-in", "account_login", "entra-callback", "entra-check", "healthz", "readyz", "metrics"}
    # In the middle of a sign-in; for whoever has a second factor; and another name of a page that is there.
    outside |= {"mfa_authenticate", "mfa_view_recovery_codes", "mfa_deactivate_totp", "mfa_remove_webauthn"}
    outside |= {"mfa_index"}

    opened = {resolve(path.partition("?")[0]).url_name for path in pages()}

    assert opened == {name for name in get_resolver().reverse_dict if isinstance(name, str)} - acts - outside


def test_no_page_that_one_can_open_afterwards_shows_it(ada: Client, azure: Azure) -> None:
    reveal(ada)
    assert ingest_audit([WORKSPACE]).moved.explained == 1

    for path in pages():
        answer = ada.get(path)
        assert answer.status_code in {200, 302, 403, 409}, path
        assert CANARY not in answer.getvalue().decode(), path


@pytest.mark.parametrize("path", ["/vaults/pay-prod/export/", "/search/export/?q=db", COMPARED])
def test_no_export_of_the_inventory_carries_it(path: str, ada: Client) -> None:
    text = ada.post(path, {"format": "jsonl"}).getvalue().decode()
    assert ("db-password" in text, CANARY in text) == (True, False)


@pytest.mark.parametrize("name", ["audit-export", "ledger-export"])
@pytest.mark.parametrize("form", ["csv", "jsonl", "cef"])
def test_no_export_carries_it(name: str, form: str, ada: Client, azure: Azure) -> None:
    reveal(ada)
    ingest_audit([WORKSPACE])

    answer = ada.post(reverse(name), {"format": form})

    text = answer.getvalue().decode()
    assert "db-password" in text
    assert CANARY not in text


@pytest.mark.parametrize("kind", sorted(KINDS - {"slow"}))
def test_no_failure_of_azure_spills_it(
    kind: str, ada: Client, azure: Azure, caplog: pytest.LogCaptureFixture, settings
) -> None:
    """With DEBUG on, too, where Django's error page would show every local variable."""
    caplog.set_level(logging.DEBUG)
    settings.DEBUG = True
    azure.faults.set("pay-prod", Fault(kind))

    answer = reveal(ada)

    spilled = CANARY in answer.content.decode()
    assert spilled == (answer.status_code == 200)
    assert CANARY not in caplog.text
    assert [table for table, rows in everything_stored() if CANARY in rows] == []


def test_a_crash_right_after_the_read_spills_nothing(ada: Client, caplog: pytest.LogCaptureFixture, settings) -> None:
    """The ledger breaks between Azure's answer and its outcome row: the worst moment, with the value in hand."""
    settings.DEBUG = True
    caplog.set_level(logging.DEBUG)
    refuse_outcomes()

    answer = reveal(ada)

    assert answer.status_code == 503
    assert CANARY not in answer.content.decode()
    assert CANARY not in caplog.text


def import_file(client: Client, text: str, **form: str) -> HttpResponse:
    document = {"form": urlencode(form), "name": "x.env", "content": base64.b64encode(text.encode()).decode()}
    headers = {"HX-Request": "true", "Accept": "application/json"}
    return client.post("/vaults/pay-prod/import/", document, content_type="application/json", headers=headers)


@pytest.mark.parametrize("kind", ["", *sorted(KINDS - {"slow"})])
def test_an_imported_value_reaches_azure_and_stays_nowhere_else(
    kind: str, ada: Client, azure: Azure, caplog: pytest.LogCaptureFixture, settings
) -> None:
    """In a good file, in one with lines that cannot be read, and whatever Azure answers."""
    value, settings.DEBUG = "imported-9c4d", True
    caplog.set_level(logging.DEBUG)
    text = f"NEW='{value}'\nBAD NAME={value}\nDB_PASSWORD={value}\n={value}\nOPEN=\"{value}"
    preview = import_file(ada, text, existing="version")
    if kind:
        azure.faults.set("pay-prod", Fault(kind))

    result = import_file(ada, text, existing="version", seal=preview.json()["seal"], reason="CHG-7")

    hashes = [hashlib.new(name, value.encode()).hexdigest() for name in ("md5", "sha1", "sha256")]
    traces = [value, *hashes]  # a hash in a tag or in the database lets anybody who reads it guess
    assert [trace for answer in (preview, result) for trace in traces if trace in answer.content.decode()] == []
    assert [table for table, rows in everything_stored() for trace in traces if trace in rows] == []
    assert value not in caplog.text
    assert value not in repr(cached()) + repr(dict(ada.session.items()))
    azure.faults.clear()
    stored = azure.vault("pay-prod").secrets.get("NEW")
    assert (stored is not None and stored.latest.value == value) or kind


def test_a_crash_in_the_middle_of_an_import_spills_nothing(
    ada: Client, caplog: pytest.LogCaptureFixture, settings
) -> None:
    settings.DEBUG = True
    caplog.set_level(logging.DEBUG)
    text = "NEW=imported-9c4d"
    seal = import_file(ada, text).json()["seal"]
    refuse_outcomes()

    answer = import_file(ada, text, seal=seal, reason="CHG-7")

    assert "imported-9c4d" not in answer.content.decode()
    assert "imported-9c4d" not in caplog.text


# --- Writing: the value comes in, and goes to Azure alone -------------------------------------------------------------
WRITE = "/vaults/pay-prod/secrets/db-password/set/"
WRITTEN = "canary-7b20"


def write(client: Client, *, seen: bool = True, **changed: str) -> HttpResponse:
    """A new version as the page sends it: after a review, unless `seen` is False."""
    mark = client.get(WRITE).context["found"].mark
    form = {"mark": mark, "enabled": "on", "reason": "INC-7", **changed}
    headers = {"HX-Request": "true"}
    if seen:
        form["seen"] = client.post(WRITE, form, headers=headers).json().get("seen", "")
    body = json.dumps({"form": urlencode(form), "value": WRITTEN})
    return client.post(WRITE, body, "application/json", headers=headers)


def nowhere(answer: HttpResponse, client: Client, caplog: pytest.LogCaptureFixture) -> bool:
    """Whether the value that was sent stands in no answer, row, log line, cache or session."""
    kept = answer.content.decode() + repr(answer.headers) + caplog.text + repr(cached())
    kept += repr(dict(client.session.items())) + repr(list(everything_stored()))
    return WRITTEN not in kept


def test_a_value_that_is_written_is_in_azure_and_nowhere_else(
    ada: Client, azure: Azure, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    answer = write(ada)

    assert (answer.status_code, azure.vault("pay-prod").secrets.get("db-password").latest.value) == (200, WRITTEN)
    assert nowhere(answer, ada, caplog)
    for path in pages():
        assert WRITTEN not in ada.get(path).getvalue().decode(), path


@pytest.mark.parametrize(
    ("changed", "seen", "status"),
    [({"reason": ""}, True, 422), ({"tag_name": "x" * 600, "tag_value": "x"}, True, 422), ({}, False, 409)],
)
def test_a_form_that_is_refused_gives_no_value_back(
    changed: dict[str, str], seen: bool, status: int, ada: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    answer = write(ada, seen=seen, **changed)

    assert answer.status_code == status
    assert nowhere(answer, ada, caplog)


@pytest.mark.parametrize("kind", sorted(KINDS - {"slow", "loop"}))
def test_no_failure_of_azure_spills_what_was_to_be_written(
    kind: str, ada: Client, azure: Azure, caplog: pytest.LogCaptureFixture, settings
) -> None:
    caplog.set_level(logging.DEBUG)
    settings.DEBUG = True
    azure.faults.set("pay-prod", Fault(kind, operations=frozenset({"SecretSet"}), times=None))

    assert nowhere(write(ada), ada, caplog)


def test_a_ledger_that_breaks_after_the_write_is_told_as_it_is(
    ada: Client, azure: Azure, caplog: pytest.LogCaptureFixture, settings
) -> None:
    """Azure has the new version: "nothing was done" would be a lie."""
    settings.DEBUG = True
    caplog.set_level(logging.DEBUG)
    refuse_outcomes()

    answer = write(ada)

    assert answer.status_code == 503
    assert answer.json()["error"].startswith("Azure has done it, but the ledger cannot be written now")
    assert azure.vault("pay-prod").secrets.get("db-password").latest.value == WRITTEN
    assert nowhere(answer, ada, caplog)


def test_whole_vaults_leave_neither_a_value_nor_a_backup_behind(
    ada: Client, azure: Azure, caplog: pytest.LogCaptureFixture, run_jobs: Callable[[], None], settings
) -> None:
    """Backed up, restored, compared and copied: what kvadmin holds afterwards, and what it said on the way."""
    settings.DEBUG = True
    caplog.set_level(logging.DEBUG)
    azure.add_vault("pay-dr", subscription_id=SUBSCRIPTION)
    sync_inventory()
    run_jobs()
    archive = Archive.objects.get()
    raw = ada.post(f"/archives/{archive.pk}/download/").getvalue()
    sent = {"archive": io.BytesIO(raw), "identity": str(IDENTITY)}
    where = ada.post("/vaults/pay-dr/restore/", sent).headers["Location"]
    answers = [ada.get(where), ada.post(f"{where}start/", {"reason": "CHG-1: dr"})]
    run_jobs()
    pair = "-".join(str(Secret.objects.get(vault__name=name, key="db-password").pk) for name in ("pay-prod", "pay-dr"))
    answers += [ada.post("/compare/values/", {"pick": pair, "reason": "CHG-1: dr"})]
    answers += [ada.post(COPY, {"vault": "pay-dr", "name": "other", "reason": "CHG-1: dr"})]

    assert azure.vault("pay-dr").secrets.get("db-password").latest.value == CANARY
    assert b"Equal" in answers[2].content
    blob = backup.pack(azure.vault("pay-prod").secrets.get("db-password"), SUBSCRIPTION)[:30]
    for word in (CANARY, str(IDENTITY)[:40], blob):
        assert [table for table, rows in everything_stored() if word in rows] == []
        assert word not in caplog.text + repr(cached()) + repr(dict(ada.session.items()))
        assert [answer for answer in answers if word in answer.content.decode()] == []
        assert [
            place for place in settings.KVADMIN_ARCHIVE_DIR.rglob("*.*") if word.encode() in place.read_bytes()
        ] == []
    assert Vault.objects.get(name="pay-dr").secrets.count() == 1


COPY = "/vaults/pay-prod/secrets/db-password/copy/"


def refuse_outcomes() -> None:
    """The database takes intents and refuses every row that follows one."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "CREATE TRIGGER full BEFORE INSERT ON audit_ledgerentry WHEN NEW.phase <> 'intent' "
                "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            )
        else:
            cursor.execute(
                "CREATE TRIGGER full_disk BEFORE INSERT ON audit_ledgerentry FOR EACH ROW "
                "WHEN (NEW.phase <> 'intent') EXECUTE FUNCTION ledger_refuse()"
            )


def test_no_column_could_hold_a_value() -> None:
    """A new column has to be looked at: is it metadata, or a way in?"""
    suspicious = ("value", "plaintext", "password", "backup", "blob")
    columns = [
        f"{model.__name__}.{field.name}"
        for model in apps.get_models()
        if model._meta.app_label in {"vaults", "audit", "jobs"}
        for field in model._meta.concrete_fields
        if any(word in field.name.lower() for word in suspicious)
    ]

    # A password's hash, and what an identity does as a rule: an hour, an address, a secret's name.
    assert sorted(columns) == ["Person.password", "ReaderHabit.value"]


def test_looking_reads_nothing(ada: Client, azure: Azure) -> None:
    """Azure's own log is the witness: no page, opened by somebody who may everything, reads a value."""
    for path in pages():
        ada.get(path)

    assert [row.operation for row in azure.log if row.operation in {"SecretGet", "SecretBackup"}] == []
