"""manage.py doctor: its lines, its JSON, its exit status, and what never stands in them."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from kvadmin.doctor.examine import EXAMINATIONS, NEED_A_SIGN_IN
from kvadmin.emulator.faults import KINDS, Fault
from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.state import Azure
from kvadmin.gateway import client
from kvadmin.jobs import recovery
from tests.kvadmin.doctor.conftest import CANARY
from tests.processes import manage

pytestmark = pytest.mark.django_db


@pytest.fixture
def sound(cloud: Azure, settings: Settings) -> Azure:
    """Nothing needed is missing."""
    settings.DEBUG = True  # for the emulator is no production
    recovery.beat("host-1-a")
    return cloud


def said(*options: str) -> str:
    out = io.StringIO()
    try:
        call_command("doctor", *options, stdout=out, no_color=True)
    except CommandError as error:
        out.write(f"\n{error}")
    return out.getvalue()


def test_a_sound_set_up_ends_well_and_says_a_line_for_each(sound: Azure) -> None:
    text = said()

    assert [name for name in EXAMINATIONS if name not in text] == []
    assert "Something needed fails" not in text


def test_a_line_has_icon_word_and_sentence(sound: Azure) -> None:
    wanted = "\u2713 ok    vault                pay-prod can be listed: its first page holds 1. No value was read."

    assert wanted in said().splitlines()


def test_what_is_missing_ends_with_status_one_and_the_command_below(sound: Azure) -> None:
    sound.faults.set("pay-prod", Fault("rbac"))

    text = said()

    assert "\u2717 wrong vault" in text
    assert '--role "Key Vault Reader"' in text
    assert text.endswith("Something needed fails: vault.")


def test_json_holds_the_same(sound: Azure) -> None:
    found = json.loads(said("--json"))

    assert found["ok"] is True
    assert list(dict.fromkeys(line["name"] for line in found["examinations"])) == list(EXAMINATIONS)
    assert {"name", "state", "sentence", "command"} == set(found["examinations"][0])


def test_one_failure_stops_nothing_else(sound: Azure) -> None:
    sound.revoke(KVADMIN)

    text = said()

    assert text.endswith("Something needed fails: resource manager, vault, access log.")
    assert "ok    worker" in text


@pytest.mark.parametrize("kind", sorted(KINDS - {"slow", "loop"}))
def test_no_secret_is_ever_told(sound: Azure, settings: Settings, kind: str) -> None:
    settings.KVADMIN_CLIENT_SECRET = settings.KVADMIN_OIDC_CLIENT_SECRET = CANARY
    settings.EMAIL_HOST_PASSWORD = settings.KVADMIN_METRICS_TOKEN = CANARY
    settings.KVADMIN_NOTIFY_URLS = [f"slack://{CANARY}/b/c"]
    sound.faults.set("pay-prod", Fault(kind))

    text = said() + said("--json")

    assert CANARY not in text
    assert settings.SECRET_KEY not in text
    assert KVADMIN.token("https://management.azure.com").rpartition(".")[0] not in text


def test_without_a_sign_in_nothing_of_azure_is_tried(sound: Azure, settings: Settings) -> None:
    settings.KVADMIN_EMULATOR, settings.KVADMIN_CREDENTIAL, settings.KVADMIN_TENANT_ID = "", "client-secret", ""
    client.reset()

    states = {
        line["name"]: line["state"] for line in json.loads(said("--json").partition("\nSomething")[0])["examinations"]
    }

    assert states["credential"] == "wrong"
    assert [name for name, state in states.items() if state == "off" and name in NEED_A_SIGN_IN] == [
        "clock", "resource manager", "vault", "role assignments", "diagnostic settings", "access log",
    ]  # fmt: skip


def test_when_nothing_can_be_reached_each_line_says_so_and_no_password_is_told() -> None:
    process = manage(
        "doctor",
        KVADMIN_EMULATOR="http://127.0.0.1:9",
        DATABASE_URL=f"postgres://kvadmin:{CANARY}@127.0.0.1:9/kvadmin",
        CACHE_URL=f"redis://:{CANARY}@127.0.0.1:9/0",
        EMAIL_URL=f"smtp://ada:{CANARY}@127.0.0.1:9",
    )
    text = process.communicate()[0]

    assert process.returncode == 1
    assert "\u2717 wrong database             The database does not answer as it should (OperationalError)." in text
    assert "\u2717 wrong access log           kvadmin knows no workspace" in text
    assert "\u2717 wrong mail                 The mail server 127.0.0.1:9 does not take kvadmin's mail" in text
    assert CANARY not in text
