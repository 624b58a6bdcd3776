"""Each dangerous set-up has its own id, stops the start, and says which variable to change."""

from __future__ import annotations

import http.client
import logging
from pathlib import Path

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from tests.processes import environment, python

KEY = "0123456789" * 5


@pytest.fixture
def production(settings: Settings) -> Settings:
    """A set-up that nothing is wrong with."""
    settings.DEBUG = False
    settings.SECRET_KEY = KEY
    settings.KVADMIN_EMULATOR = ""
    settings.SESSION_COOKIE_SECURE = True
    return settings


def found() -> dict[str, str]:
    """What the checks say: id -> sentence."""
    return {str(message.id): str(message.msg) for message in run_checks(tags=["kvadmin"])}


def test_a_sound_set_up_passes(production: Settings) -> None:
    assert found() == {}


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("", "KVADMIN_SECRET_KEY is not set; it needs 50."),
        ("x" * 49, "KVADMIN_SECRET_KEY has 49 characters; it needs 50."),
    ],
)
def test_a_missing_or_short_key_is_refused(key: str, sentence: str, production: Settings) -> None:
    production.SECRET_KEY = key

    assert found() == {"kvadmin.E001": sentence}


def test_a_development_server_may_have_a_short_key(production: Settings) -> None:
    production.DEBUG = True
    production.SECRET_KEY = "short"

    assert found() == {}


def test_the_emulator_is_refused_in_production(production: Settings) -> None:
    production.KVADMIN_EMULATOR = "http://127.0.0.1:8001"

    assert found() == {"kvadmin.E002": "KVADMIN_EMULATOR is set, but KVADMIN_DEBUG is off."}


def test_an_emulator_on_another_machine_is_refused(production: Settings) -> None:
    production.DEBUG = True
    production.KVADMIN_EMULATOR = "http://192.0.2.7:8001"

    assert found() == {"kvadmin.E006": "KVADMIN_EMULATOR is not on this machine."}


@pytest.mark.parametrize("address", ["http://127.0.0.1:8001", "http://localhost:1", "memory://x"])
def test_an_emulator_on_this_machine_may_serve_a_laptop(address: str, production: Settings) -> None:
    production.DEBUG = True
    production.KVADMIN_EMULATOR = address

    assert found() == {}


def test_the_demos_sign_in_is_refused_on_a_real_azure(production: Settings) -> None:
    production.KVADMIN_DEMO = True

    assert found() == {"kvadmin.E003": "KVADMIN_DEMO is on without KVADMIN_EMULATOR."}


@pytest.mark.parametrize("name", ["azure.identity", "urllib3"])
def test_a_talkative_sdk_is_refused(name: str, production: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger=name)

    assert found() == {"kvadmin.E004": f"{name} logs what is sent to Azure."}


def test_printing_whole_connections_is_refused(production: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)

    assert found() == {"kvadmin.E004": "http.client.HTTPConnection.debuglevel logs what is sent to Azure."}


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("client-secret", "KVADMIN_CREDENTIAL=client-secret needs AZURE_TENANT_ID and AZURE_CLIENT_SECRET."),
        (
            "client-certificate",
            "KVADMIN_CREDENTIAL=client-certificate needs AZURE_TENANT_ID and AZURE_CLIENT_CERTIFICATE_PATH.",
        ),
        (
            "workload-identity",
            "KVADMIN_CREDENTIAL=workload-identity needs AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE.",
        ),
    ],
)
def test_a_credential_names_what_it_lacks(kind: str, sentence: str, production: Settings) -> None:
    production.KVADMIN_CREDENTIAL = kind
    production.KVADMIN_CLIENT_ID = "an-app"

    assert found() == {"kvadmin.E005": sentence}


def test_a_complete_credential_passes(production: Settings) -> None:
    production.KVADMIN_CREDENTIAL = "client-secret"
    production.KVADMIN_TENANT_ID = production.KVADMIN_CLIENT_ID = production.KVADMIN_CLIENT_SECRET = "set"

    assert found() == {}


def test_azures_own_hosts_are_never_exempt_from_the_challenge_check(production: Settings) -> None:
    production.KVADMIN_UNCHECKED_CHALLENGE_HOSTS = ["localhost", "pay-prod.vault.azure.net"]

    assert found() == {
        "kvadmin.E007": "KVADMIN_UNCHECKED_CHALLENGE_HOSTS names pay-prod.vault.azure.net, a host of Azure."
    }


def test_a_file_that_cannot_be_read_is_named(production: Settings, tmp_path: Path) -> None:
    production.KVADMIN_CA_FILE = str(tmp_path / "gone.pem")

    assert found() == {"kvadmin.E008": f"KVADMIN_CA_FILE: cannot read '{tmp_path}/gone.pem'."}


def test_many_web_processes_are_warned_of_what_they_do_not_share(
    production: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    production.DATABASES["default"]["ENGINE"] = "django.db.backends.sqlite3"

    assert found() == {
        "kvadmin.W001": "WEB_CONCURRENCY starts several processes on SQLite.",
        "kvadmin.W002": "WEB_CONCURRENCY starts several processes without a shared cache.",
    }


def test_plain_http_in_production_is_warned_of(production: Settings) -> None:
    production.SESSION_COOKIE_SECURE = False

    assert found() == {"kvadmin.W003": "KVADMIN_HTTPS is off: values cross the network in clear."}


# --- The start itself, as a process ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        (
            {"KVADMIN_SYNC_MINUTES": "often"},
            "kvadmin cannot start: KVADMIN_SYNC_MINUTES: 'often' is not a whole number.",
        ),
        (
            {"KVADMIN_EMULATOR": "http://127.0.0.1:1", "KVADMIN_DEBUG": "false", "KVADMIN_SECRET_KEY": KEY},
            "kvadmin cannot start: (kvadmin.E002) KVADMIN_EMULATOR is set, but KVADMIN_DEBUG is off. "
            "Unset KVADMIN_EMULATOR to use the real Azure, or set KVADMIN_DEBUG=true on a laptop.",
        ),
    ],
)
def test_the_web_server_stops_at_a_wrong_set_up_with_one_line(variables: dict[str, str], line: str) -> None:
    start = python("-W", "ignore", "-c", "import kvadmin.wsgi", env=environment(**variables))

    assert start.communicate()[0].splitlines() == [line]
    assert start.returncode == 3  # gunicorn then stops, and does not try again for ever


def test_the_command_line_stops_at_a_wrong_set_up_with_one_line() -> None:
    start = python("manage.py", "check", env=environment(DATABASE_URL="postgres://ada:hunter2@[db"))

    assert start.communicate()[0].splitlines() == [
        "kvadmin cannot start: DATABASE_URL: cannot be read as a URL of that kind."
    ]
    assert start.returncode == 1
