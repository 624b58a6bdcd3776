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
NO_SHARED_CACHE = "Several processes, as PostgreSQL or WEB_CONCURRENCY suggests, would share no cache."


@pytest.fixture
def production(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A set-up that nothing is wrong with."""
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.sqlite3")
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


def entra(production: Settings, **settings: object) -> None:
    """Sign-in with Entra as it should be set up, but for these settings."""
    right = {
        "CLIENT_ID": "33333333-3333-4333-8333-333333333333",
        "CLIENT_SECRET": "a-secret",
        "CREDENTIAL": "client-secret",
        "TENANT_ID": "11111111-1111-4111-8111-111111111111",
        "ISSUER": "https://login.microsoftonline.com/11111111-1111-4111-8111-111111111111/v2.0",
        "GROUPS": {"Kv.Readers": "Readers"},
    }
    for name, value in (right | settings).items():
        setattr(production, f"KVADMIN_OIDC_{name}", value)


def test_a_whole_set_up_of_entra_passes(production: Settings) -> None:
    entra(production)

    assert found() == {}


def test_with_its_own_identity_kvadmin_needs_no_secret(production: Settings) -> None:
    entra(production, CLIENT_SECRET="", CREDENTIAL="managed-identity")

    assert found() == {}


@pytest.mark.parametrize(
    ("wrong", "needs"),
    [
        ({"CLIENT_SECRET": ""}, "KVADMIN_OIDC_CLIENT_SECRET"),
        ({"TENANT_ID": ""}, "KVADMIN_OIDC_TENANT_ID (or AZURE_TENANT_ID)"),
        ({"CLIENT_SECRET": "", "GROUPS": {}}, "KVADMIN_OIDC_CLIENT_SECRET and KVADMIN_OIDC_GROUPS"),
    ],
)
def test_half_a_set_up_of_entra_is_refused(production: Settings, wrong: dict[str, object], needs: str) -> None:
    entra(production, **wrong)

    assert found() == {"kvadmin.E009": f"KVADMIN_OIDC_CLIENT_ID is set, and needs {needs}."}


@pytest.mark.parametrize("tenant", ["common", "organizations", "contoso.example"])
def test_only_one_tenants_id_will_do(production: Settings, tenant: str) -> None:
    entra(production, TENANT_ID=tenant)

    assert found() == {"kvadmin.E010": "KVADMIN_OIDC_TENANT_ID is no tenant's id."}


@pytest.mark.parametrize("issuer", ["http://login.microsoftonline.com/x/v2.0", "http://127.0.0.1:9400", "login", ""])
def test_a_provider_without_https_is_refused_in_production(production: Settings, issuer: str) -> None:
    entra(production, ISSUER=issuer)

    assert found() == {"kvadmin.E011": "KVADMIN_OIDC_ISSUER is not https."}


def test_settings_of_entra_that_do_nothing_are_warned_of(production: Settings) -> None:
    entra(production, CLIENT_ID="")

    idle = "KVADMIN_OIDC_CLIENT_SECRET and KVADMIN_OIDC_GROUPS without KVADMIN_OIDC_CLIENT_ID"
    assert found() == {"kvadmin.W006": f"{idle}: nobody can sign in with Entra."}


def test_many_web_processes_are_warned_of_what_they_do_not_share(
    production: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")

    assert found() == {
        "kvadmin.W001": "WEB_CONCURRENCY starts several processes on SQLite.",
        "kvadmin.W002": NO_SHARED_CACHE,
    }


def test_replicas_of_one_process_each_are_warned_of_the_cache_that_they_do_not_share(
    production: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(production.DATABASES["default"], "ENGINE", "django.db.backends.postgresql")

    assert found() == {"kvadmin.W002": NO_SHARED_CACHE}


@pytest.mark.parametrize("hosts", [["*"], ["kvadmin.example.com", "*"], ["."]])
def test_a_server_that_answers_to_any_name_is_refused(production: Settings, hosts: list[str]) -> None:
    production.ALLOWED_HOSTS = hosts

    assert found() == {"kvadmin.E013": "KVADMIN_ALLOWED_HOSTS allows every host."}


@pytest.mark.parametrize("mode", ["direct", "always"])
def test_acting_on_behalf_of_people_needs_people_who_sign_in_with_entra(production: Settings, mode: str) -> None:
    production.KVADMIN_ON_BEHALF_OF = mode

    assert found() == {"kvadmin.E012": f"KVADMIN_ON_BEHALF_OF={mode} needs sign-in with Entra."}


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
