"""What the doctor says of kvadmin's own house: all well, and each thing that is missing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from audit import triggers
from kvadmin.doctor.results import Result, State
from kvadmin.emulator.state import Azure
from kvadmin.jobs import recovery, schedule
from kvadmin.jobs.models import Schedule, WorkerBeat
from tests.entra import CLIENT_ID, TENANT, Entra
from tests.kvadmin.doctor.conftest import Ask

pytestmark = pytest.mark.django_db
SMTP = "django.core.mail.backends.smtp.EmailBackend"
ISSUER = f"https://login.microsoftonline.com/{TENANT}/v2.0"


def only(lines: list[Result]) -> tuple[State, str]:
    (line,) = lines
    return line.state, line.sentence


# --- Settings --------------------------------------------------------------------------------------------------------
def test_what_the_checks_find_is_told(ask: Ask, settings: Settings) -> None:
    settings.KVADMIN_EMULATOR, settings.KVADMIN_DEMO = "", True

    lines = {line.sentence[:12]: line.state for line in ask("settings")}

    assert lines["kvadmin.E003"] is State.WRONG
    assert lines["kvadmin.W003"] is State.LOOK


# --- The database ----------------------------------------------------------------------------------------------------
def test_a_database_that_is_well_is_told(ask: Ask) -> None:
    assert [line.state for line in ask("database")] == [State.OK, State.OK]


def test_missing_triggers_are_told(ask: Ask) -> None:
    triggers.remove(connection)

    line = ask("database")[1]

    assert line.state is State.WRONG
    assert line.command == "python manage.py verify_ledger\npython manage.py migrate"


def test_a_single_missing_trigger_is_named() -> None:
    wanted = triggers.missing(connection)
    triggers.remove(connection)

    assert (wanted, len(triggers.missing(connection))) == (set(), 2)


def test_a_database_older_than_the_code_is_told(ask: Ask) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'audit'")

    (line,) = ask("database")

    assert (line.state, line.command) == (State.WRONG, "python manage.py migrate")


# --- The cache -------------------------------------------------------------------------------------------------------
def test_a_cache_that_forgets_is_told(ask: Ask, settings: Settings) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}

    assert only(ask("cache")) == (
        State.WRONG,
        "The cache forgets at once what it is given. Look at CACHE_URL.",
    )


def test_a_cache_out_of_reach_is_told_without_its_password(ask: Ask, settings: Settings) -> None:
    place = "redis://:canary-d0c7@127.0.0.1:9/0"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": place}}

    assert only(ask("cache")) == (State.WRONG, "The cache does not answer (ConnectionError). Look at CACHE_URL.")


def test_a_cache_of_one_process_is_told_where_there_are_several(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "2")

    assert [line.state for line in ask("cache")] == [State.LOOK]


# --- The worker ------------------------------------------------------------------------------------------------------
def test_a_worker_that_was_heard_of_is_counted(ask: Ask) -> None:
    recovery.beat("host-1-a")

    assert only(ask("worker")) == (State.OK, "Workers that live: 1.")


def test_a_silent_worker_is_told(ask: Ask) -> None:
    WorkerBeat.objects.create(worker_id="host-1-a", seen_at=timezone.now() - timedelta(minutes=2))

    (line,) = ask("worker")

    assert (line.state, line.command) == (State.WRONG, "python manage.py worker")


def test_schedules_that_are_overdue_are_named(ask: Ask) -> None:
    recovery.beat("host-1-a")
    schedule.register()
    Schedule.objects.filter(name="sync").update(next_at=timezone.now() - timedelta(hours=1))

    line = ask("worker")[1]

    assert (line.state, line.sentence) == (
        State.LOOK,
        "Overdue by more than ten minutes: sync. Look at the worker's log.",
    )


# --- Mail and notices ------------------------------------------------------------------------------------------------
def test_no_mail_server_is_no_fault(ask: Ask, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

    assert [line.state for line in ask("mail")] == [State.OFF]


def test_a_mail_is_sent_only_where_one_was_asked_for(ask: Ask) -> None:
    ask("mail")
    assert mail.outbox == []

    ask("mail", mail="ada@contoso.example")
    assert [message.to for message in mail.outbox] == [["ada@contoso.example"]]


def test_a_mail_server_that_refuses_is_told_without_its_password(ask: Ask, settings: Settings) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = SMTP, "127.0.0.1", 9
    settings.EMAIL_HOST_PASSWORD = "canary-d0c7"

    assert only(ask("mail")) == (
        State.WRONG,
        "The mail server 127.0.0.1:9 does not take kvadmin's mail (ConnectionRefusedError). "
        "Look at EMAIL_URL and KVADMIN_MAIL_FROM.",
    )


def test_an_address_with_a_line_break_is_no_address(ask: Ask) -> None:
    assert [line.state for line in ask("mail", mail="a@b.example\nBcc: c@d.example")] == [State.WRONG]
    assert mail.outbox == []


def test_channels_are_counted_by_kind_and_never_quoted(ask: Ask, settings: Settings) -> None:
    settings.KVADMIN_NOTIFY_URLS = ["slack://canary-d0c7/b/c", "slack://d/e/f", "json://host"]

    assert only(ask("notices")) == (
        State.OK,
        "Channels for notices: json (1), slack (2). Nothing was posted.",
    )


# --- Signing in with Entra -------------------------------------------------------------------------------------------
def test_without_entra_there_is_nothing_to_examine(ask: Ask) -> None:
    assert [line.state for line in (*ask("sign-in"), *ask("app registration"))] == [State.OFF, State.OFF]


def test_the_provider_that_answers_is_named(ask: Ask, entra: Entra) -> None:
    assert only(ask("sign-in")) == (
        State.OK,
        f"Microsoft's sign-in is within reach and is the tenant's: {entra.issuer}.",
    )


def test_a_provider_that_names_itself_otherwise_is_told(ask: Ask, entra: Entra, settings: Settings) -> None:
    settings.KVADMIN_OIDC_ISSUER = f"{entra.issuer}/."

    (line,) = ask("sign-in")

    assert (line.state, line.command) == (State.WRONG, "az account show --query tenantId")


def test_a_provider_out_of_reach_is_told(ask: Ask, settings: Settings) -> None:
    settings.KVADMIN_OIDC_CLIENT_ID, settings.KVADMIN_OIDC_ISSUER = CLIENT_ID, "http://127.0.0.1:9"

    state, sentence = only(ask("sign-in"))

    assert (state, sentence.endswith("so nobody can sign in with Microsoft.")) == (State.WRONG, True)


@pytest.fixture
def registered(azure: Azure, settings: Settings) -> Azure:
    """The app registration is known to Entra, by a secret."""
    settings.KVADMIN_OIDC_CLIENT_ID, settings.KVADMIN_OIDC_CLIENT_SECRET = CLIENT_ID, "app-secret"
    settings.KVADMIN_OIDC_TENANT_ID, settings.KVADMIN_OIDC_ISSUER = TENANT, ISSUER
    azure.apps[CLIENT_ID] = "app-secret"
    return azure


@pytest.mark.parametrize("kind", ["client-secret", "managed-identity"])
def test_an_app_registration_that_entra_accepts_is_told(
    ask: Ask, registered: Azure, settings: Settings, kind: str
) -> None:
    settings.KVADMIN_OIDC_CREDENTIAL = kind

    assert only(ask("app registration")) == (
        State.OK,
        f"Entra accepts the app registration {CLIENT_ID} with its {kind}.",
    )


def test_a_wrong_secret_is_told_and_not_quoted(ask: Ask, registered: Azure, settings: Settings) -> None:
    settings.KVADMIN_OIDC_CLIENT_SECRET = "canary-d0c7"

    (line,) = ask("app registration")

    assert line.sentence == (
        "Entra does not accept the app registration with its client-secret (AADSTS7000215). "
        "The app registration's secret is wrong. Check KVADMIN_OIDC_CLIENT_SECRET."
    )
    assert (line.state, line.command) == (State.WRONG, f"az ad app credential list --id {CLIENT_ID}")


def test_an_app_that_does_not_trust_the_identity_is_told(ask: Ask, registered: Azure, settings: Settings) -> None:
    settings.KVADMIN_OIDC_CREDENTIAL = "managed-identity"
    registered.distrusting_apps.add(CLIENT_ID)

    (line,) = ask("app registration")

    assert "Check issuer, subject and audience of its federated credential." in line.sentence
    assert (line.state, line.command) == (State.WRONG, f"az ad app federated-credential list --id {CLIENT_ID}")


def test_another_providers_secret_is_not_tried(ask: Ask, entra: Entra) -> None:
    assert [line.state for line in ask("app registration")] == [State.LOOK]
