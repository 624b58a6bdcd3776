"""A secret into another vault: byte for byte, with its metadata, on record on both sides, through no browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from audit.models import LedgerEntry
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.state import Azure
from tests import factories
from tests.audit.pages import text_of
from tests.test_canary import everything_stored
from tests.vaults.writing import very_many
from vaults import copying
from vaults.models import Person, RevealPolicy, RoleAssignment, Secret, Vault
from vaults.sync import sync_inventory

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
VALUE = "canary-c0py\r\n\tsecond\u200b\ufeff é \U0001f511 $$ %0A\n"
COPY = "/vaults/pay-prod/secrets/db-password/copy/"
SOON = datetime(2027, 5, 1, 12, 0, 30, tzinfo=UTC)


@pytest.fixture
def cloud(azure: Azure) -> Azure:
    azure.add_subscription(SUBSCRIPTION, "Payments")
    for vault in ("pay-prod", "pay-dr", "pay-test"):
        azure.add_vault(vault, subscription_id=SUBSCRIPTION, tags={"environment": vault[4:]})
    azure.put_secret("pay-prod", "db-password", "old", at=SOON - timedelta(days=500))
    azure.put_secret(
        "pay-prod", "db-password", VALUE, content_type="text/plain", tags={"team": "blue"}, expires_on=SOON
    )
    sync_inventory()
    return azure


def sent(client: Client, *, seen: str = "", **fields: str):
    return client.post(COPY, {"vault": "pay-dr", "name": "db-password", "reason": "CHG-4: DR", "seen": seen, **fields})


def copy(client: Client, **fields: str):
    """The whole way: what it comes to is shown first, and then confirmed."""
    shown = sent(client, **fields)
    seen = re.search(r'name="seen" value="([0-9a-f]{64})"', shown.content.decode())
    assert seen, text_of(shown.content.decode())
    return sent(client, seen=seen[1], **fields)


def there(azure: Azure, vault: str = "pay-dr", name: str = "db-password") -> Any:
    secret = azure.vault(vault).secrets.get(name)
    return secret.latest if secret else None


def operations(azure: Azure) -> list[str]:
    return [f"{row.vault.name} {row.operation}" for row in azure.log if row.operation in {"SecretGet", "SecretSet"}]


# --- The copy --------------------------------------------------------------------------------------------------------
def test_value_and_metadata_arrive_byte_for_byte_and_no_browser_sees_them(
    cloud: Azure, officer: Person, client_of: ClientOf
) -> None:
    client = client_of(officer)
    shown, done = sent(client), copy(client)

    made = there(cloud)
    assert (made.value, made.content_type, made.tags, made.expires_on) == (
        VALUE, "text/plain", {"team": "blue"}, int(SOON.timestamp()),
    )  # fmt: skip
    assert "canary" not in shown.content.decode() + done.content.decode()
    assert done.headers["Location"] == "/vaults/pay-dr/secrets/db-password/"
    assert [table for table, rows in everything_stored() if "canary" in rows] == []


def test_what_will_change_is_shown_before_and_nothing_is_read_for_that(
    cloud: Azure, officer: Person, client_of: ClientOf
) -> None:
    cloud.put_secret("pay-dr", "db-password", "theirs", tags={"team": "red"})

    page = text_of(sent(client_of(officer)).content.decode())
    assert "What will change in pay-dr A new version" in page
    assert "Tag team red blue" in page
    assert operations(cloud) == []


def test_both_sides_are_on_record_and_each_names_the_other(cloud: Azure, officer: Person, client_of: ClientOf) -> None:
    copy(client_of(officer))

    source = cloud.vault("pay-prod").secrets.get("db-password").latest.id
    rows = LedgerEntry.objects.exclude(request_id="").order_by("seq")
    assert [(row.action, row.phase, row.vault, row.person, row.reason) for row in rows] == [
        ("secret:copy", "read", "pay-prod", "officer", "CHG-4: DR"),
        ("secret:set", "done", "pay-dr", "officer", "CHG-4: DR"),
    ]  # fmt: skip
    assert rows[0].note == "Read to be copied to pay-dr / db-password; shown to nobody."
    assert rows[1].note.startswith(f"Copied from pay-prod / db-password, version {source}.")
    assert [row.request_id for row in rows] == [
        row.correlation_id for row in cloud.log if row.operation in {"SecretGet", "SecretSet"}
    ]
    assert operations(cloud) == ["pay-prod SecretGet", "pay-dr SecretSet"]


def test_the_inventory_shows_the_copy_at_once(cloud: Azure, officer: Person, client_of: ClientOf) -> None:
    copy(client_of(officer), name="New-Name")

    assert Secret.objects.get(vault__name="pay-dr").name == "New-Name"


def test_a_change_on_either_side_makes_what_was_shown_stale(cloud: Azure, officer: Person, client_of: ClientOf) -> None:
    client = client_of(officer)
    shown = sent(client).content.decode()
    seen = re.findall(r'name="seen" value="([0-9a-f]{64})"', shown)[0]
    cloud.put_secret("pay-dr", "db-password", "somebody was faster")

    answer = sent(client, seen=seen)
    assert (answer.status_code, there(cloud).value, operations(cloud)) == (409, "somebody was faster", [])


def test_of_two_versions_of_one_second_the_latest_is_copied(cloud: Azure, officer: Person, client_of: ClientOf) -> None:
    """Azure's times have whole seconds, and its list of versions has no order."""
    for number in range(6):
        cloud.put_secret("pay-prod", "db-password", f"{number}", tags={"number": str(number)})
    sync_inventory()

    copy(client_of(officer))
    assert (there(cloud).value, there(cloud).tags) == ("5", {"number": "5"})


def test_of_very_many_versions_the_newest_is_copied(cloud: Azure, officer: Person, client_of: ClientOf) -> None:
    very_many(cloud, "the newest", tags={"team": "green"}, at=cloud.clock.now())
    sync_inventory()

    copy(client_of(officer))
    assert (there(cloud).value, there(cloud).tags) == ("the newest", {"team": "green"})


# --- Who may ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("role", "scope", "status"),
    [
        ("secrets-officer", {"environment": "dev"}, 404),
        ("secrets-user", {}, 403),
        ("reader", {}, 403),
        ("auditor", {}, 403),
        ("administrator", {}, 404),
    ],
)
def test_nobody_else_copies(role: str, scope: dict[str, str], status: int, cloud: Azure, client_of: ClientOf) -> None:
    client = client_of(factories.person("eve", role, **scope))

    assert [client.get(COPY).status_code, sent(client).status_code] == [status, status]
    assert operations(cloud) == []


def test_an_officer_here_who_is_none_there_cannot_even_name_the_vault(cloud: Azure, client_of: ClientOf) -> None:
    client = client_of(factories.person("half", "secrets-officer", environment="prod"))

    assert 'value="pay-dr"' not in client.get(COPY).content.decode()
    answer = sent(client)
    assert (answer.status_code, operations(cloud)) == (422, [])


def test_an_officer_of_a_part_there_copies_into_that_part_only(cloud: Azure, client_of: ClientOf) -> None:
    somebody = factories.person("part", "secrets-officer", environment="prod")
    factories.assign(somebody, "secrets-officer", vault=Vault.objects.get(name="pay-dr"), prefix="app-")
    client = client_of(somebody)

    assert sent(client).status_code == 403
    assert copy(client, name="app-db").status_code == 302
    assert operations(cloud) == ["pay-prod SecretGet", "pay-dr SecretSet"]


def test_a_right_that_ended_since_the_page_was_opened_copies_nothing(
    cloud: Azure, officer: Person, client_of: ClientOf
) -> None:
    item, place = Secret.objects.get(), Vault.objects.get(name="pay-dr")
    planned = copying.plan(item, place, "db-password")
    RoleAssignment.objects.all().delete()
    fresh = Person.objects.get(pk=officer.pk)

    with pytest.raises(copying.Refusal):
        copying.copy(fresh, factories.actor(fresh), item, place, "db-password", planned, confirmed=True, reason="CHG-4")
    assert (LedgerEntry.objects.get().phase, operations(cloud)) == ("refused", [])


# --- Where values are shown more easily ------------------------------------------------------------------------------
def policies(here: str, there: str, **fields: Any) -> None:
    for name, mode in (("pay-prod", here), ("pay-dr", there)):
        if mode:
            factories.policy(mode, vault=Vault.objects.get(name=name), **(fields if name == "pay-dr" else {}))


@pytest.mark.parametrize(
    ("here", "there_"), [("forbidden", "direct"), ("forbidden", "approval"), ("", "direct"), ("", "approval")]
)
def test_what_nobody_may_be_shown_here_is_not_copied_to_where_somebody_may(
    here: str, there_: str, cloud: Azure, officer: Person, client_of: ClientOf
) -> None:
    policies(here, there_)

    answer = sent(client_of(officer))
    assert (answer.status_code, copying.NOBODY in text_of(answer.content.decode())) == (403, True)
    assert operations(cloud) == []


@pytest.mark.parametrize(
    ("here", "there_"),
    [
        ("direct", "direct"),
        ("direct", "approval"),
        ("approval", "forbidden"),
        ("forbidden", ""),
        ("", ""),
        ("direct", ""),
    ],
)
def test_an_equal_or_stricter_policy_there_asks_nothing(
    here: str, there_: str, cloud: Azure, officer: Person, client_of: ClientOf
) -> None:
    policies(here, there_)

    assert copy(client_of(officer)).status_code == 302


@pytest.mark.parametrize(
    ("mode", "fields", "sentence"),
    [
        ("direct", {}, "Here an approval is needed; there none is."),
        ("approval", {"use": "window"}, "Here a grant is for one time; there it can be for a while."),
        ("approval", {"cap_minutes": 600}, "Here a grant lasts 60 minutes at most; there 600."),
        ("approval", {"break_glass": True}, "There the glass can be broken; here it cannot."),
    ],
)
def test_a_laxer_policy_there_is_named_confirmed_and_put_on_record(
    mode: str, fields: dict[str, Any], sentence: str, cloud: Azure, officer: Person, client_of: ClientOf
) -> None:
    policies("approval", mode, **fields)
    client = client_of(officer)
    answer = copy(client)
    assert (answer.status_code, sentence in text_of(answer.content.decode())) == (422, True)
    assert operations(cloud) == []

    assert copy(client, laxer="on").status_code == 302
    assert LedgerEntry.objects.get(action="secret:copy", phase="read").note.endswith(f"Confirmed: {sentence}")


def test_a_group_that_has_to_approve_here_and_not_there_is_named(
    cloud: Azure, officer: Person, client_of: ClientOf
) -> None:
    policies("approval", "approval")
    for name in ("legal", "security"):
        RevealPolicy.objects.get(vault__name="pay-prod").approver_groups.add(Group.objects.create(name=name))
    RevealPolicy.objects.get(vault__name="pay-dr").approver_groups.add(Group.objects.get(name="legal"))

    answer = copy(client_of(officer))

    assert answer.status_code == 422
    assert "Here each of these groups has to approve, and there none of them: security." in text_of(
        answer.content.decode()
    )


def test_a_sign_in_that_is_too_old_leads_to_signing_in_again(
    cloud: Azure, officer: Person, client_of: ClientOf
) -> None:
    factories.policy("direct", vault=Vault.objects.get(name="pay-prod"), sign_in_minutes=5)
    factories.policy("direct", vault=Vault.objects.get(name="pay-dr"), sign_in_minutes=5)
    client = client_of(officer)
    session = client.session
    session["signed_in_at"] = 0.0
    session.save()

    assert sent(client).headers["Location"].startswith("/sign-in/again/")
    assert operations(cloud) == []


# --- What cannot be copied -------------------------------------------------------------------------------------------
def test_the_secret_itself_is_no_place_to_copy_to(cloud: Azure, officer: Person, client_of: ClientOf) -> None:
    answer = sent(client_of(officer), vault="pay-prod", name="DB-password")

    assert (answer.status_code, "This is the secret itself" in answer.content.decode()) == (422, True)


def test_a_disabled_one_and_one_of_a_certificate_are_refused_before_azure_is_asked_for_the_value(
    cloud: Azure, officer: Person, client_of: ClientOf
) -> None:
    cloud.put_secret("pay-prod", "db-password", "x", enabled=False, at=cloud.clock.now() + timedelta(seconds=9))
    assert b"It is disabled" in sent(client_of(officer)).content
    cloud.put_secret("pay-test", "tls", "key", managed=True)

    answer = sent(client_of(officer), vault="pay-test", name="tls")
    assert (answer.status_code, operations(cloud)) == (409, [])


@pytest.mark.parametrize(
    ("fault", "vault"), [("rbac", "pay-prod"), ("rbac", "pay-dr"), ("server", "pay-dr"), ("lost", "pay-dr")]
)
def test_what_azure_refuses_is_a_sentence_and_on_record(
    fault: str, vault: str, cloud: Azure, officer: Person, client_of: ClientOf
) -> None:
    cloud.faults.set(vault, Fault(fault, operations=frozenset({"SecretGet", "SecretSet"})))

    answer = copy(client_of(officer))
    assert (answer.status_code >= 400, "canary" in answer.content.decode()) == (True, False)
    assert "Nothing was copied" in answer.content.decode()
    assert LedgerEntry.objects.filter(phase="failed").count() == 1


def test_a_deleted_secret_that_holds_the_name_is_told(cloud: Azure, officer: Person, client_of: ClientOf) -> None:
    cloud.put_secret("pay-dr", "db-password", "gone")
    store, now = cloud.vault("pay-dr").secrets, cloud.clock.now()
    store.delete("db-password", now, now - now, SOON - now)

    answer = copy(client_of(officer))
    assert (answer.status_code, "A deleted secret still holds this name." in answer.content.decode()) == (409, True)
