"""One value, for one person who may, once, with a reason, and with evidence on both sides."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from audit import ledger
from audit.models import LedgerEntry
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.state import Azure
from tests import factories
from vaults import requests
from vaults.models import Person, RevealPolicy, RevealRequest, Secret

pytestmark = pytest.mark.django_db

CANARY = "canary-\r\n\t<b>7f3a</b>\u200b\ufeff é \U0001f511\n"
REVEAL = "/vaults/pay-prod/secrets/db-password/reveal/"


@pytest.fixture
def db_password(azure: Azure) -> Secret:
    """A secret that Azure has and the inventory knows, in a vault whose policy is direct."""
    azure.add_subscription("00000000-0000-0000-0000-00000000aaaa", "Payments")
    azure.add_vault("pay-prod", subscription_id="00000000-0000-0000-0000-00000000aaaa")
    azure.put_secret("pay-prod", "db-password", CANARY)
    factories.policy("direct")
    return factories.secret(factories.vault("pay-prod"), "db-password")


@pytest.fixture
def ada(client: Client) -> Person:
    somebody = factories.person("ada", "secrets-user", environment="prod")
    client.force_login(somebody)
    return somebody


def reveal(client: Client, path: str = REVEAL, **fields: str):
    data = {"reason": "INC-7: log in to the database", **fields}
    return client.post(path, data, headers={"Accept": "application/json", "HX-Request": "true"})


def reads(azure: Azure) -> list[tuple[str, int]]:
    return [(row.operation, row.status) for row in azure.log if row.operation == "SecretGet"]


def test_somebody_who_may_gets_the_exact_value_in_one_answer_that_nothing_stores(
    client: Client, azure: Azure, db_password: Secret, ada: Person
) -> None:
    answer = reveal(client)

    assert answer.json()["value"] == CANARY
    assert "canary" not in answer.json()["html"]
    assert "no-store" in answer["Cache-Control"]
    assert reads(azure) == [("SecretGet", 200)]


def test_the_ledger_and_azure_tell_the_same_story(
    client: Client, azure: Azure, db_password: Secret, ada: Person
) -> None:
    reveal(client)

    intent, outcome = LedgerEntry.objects.order_by("seq")
    row = next(row for row in azure.log if row.operation == "SecretGet")
    assert [intent.phase, outcome.phase] == ["intent", "revealed"]
    assert outcome.request_id == row.correlation_id
    assert f"reveal/{intent.act}" in row.client_info
    assert (outcome.person, outcome.reason) == ("ada", "INC-7: log in to the database")
    assert (len(outcome.version), outcome.vault, outcome.secret) == (32, "pay-prod", "db-password")


@pytest.mark.parametrize(
    ("role", "scope", "status"),
    [
        ("secrets-user", {"environment": "dev"}, 404),
        ("reader", {}, 403),
        ("approver", {}, 403),
        ("auditor", {}, 403),
        ("secrets-officer", {}, 403),
        ("administrator", {}, 404),
        ("", {}, 404),
    ],
)
def test_nobody_else_gets_it_and_azure_is_not_even_asked(
    role: str, scope: dict[str, str], status: int, client: Client, azure: Azure, db_password: Secret
) -> None:
    client.force_login(factories.person("eve", role, **scope))

    answer = reveal(client)

    assert answer.status_code == status
    assert "canary" not in answer.content.decode()
    assert reads(azure) == []
    assert list(LedgerEntry.objects.values_list("phase", flat=True)) == (["refused"] if status == 403 else [])


def test_a_stranger_is_sent_to_sign_in(client: Client, azure: Azure, db_password: Secret) -> None:
    answer = reveal(client)

    assert answer["HX-Redirect"].split("?")[0] == "/sign-in/"
    assert reads(azure) == []


@pytest.mark.parametrize(("mode", "code"), [("approval", "needs-approval"), ("forbidden", "forbidden")])
def test_the_policy_of_the_place_can_refuse_a_secrets_user(
    mode: str, code: str, client: Client, azure: Azure, db_password: Secret, ada: Person
) -> None:
    factories.policy(mode, vault=db_password.vault)

    answer = reveal(client)

    assert answer.status_code == 403
    assert "vault pay-prod" in answer.content.decode()
    assert LedgerEntry.objects.get().code == code
    assert reads(azure) == []


def test_get_and_head_show_nothing(client: Client, azure: Azure, db_password: Secret, ada: Person) -> None:
    assert [client.get(REVEAL).status_code, client.head(REVEAL).status_code] == [405, 405]
    assert reads(azure) == []


def test_a_form_that_is_sent_without_the_script_shows_nothing(
    client: Client, azure: Azure, db_password: Secret, ada: Person
) -> None:
    answer = client.post(REVEAL, {"reason": "INC-7: log in"})

    assert (answer.status_code, "value" in answer.json()) == (400, False)
    assert reads(azure) == []


def test_a_post_without_the_csrf_token_shows_nothing(azure: Azure, db_password: Secret) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(factories.person("ada", "secrets-user"))

    answer = reveal(strict)

    assert answer.status_code == 403
    assert reads(azure) == []


@pytest.mark.parametrize(
    ("fields", "sentence", "field"),
    [
        ({"reason": ""}, "Say why you need the value: the reason is kept in the ledger.", "reason"),
        ({"reason": "  "}, "Say why you need the value: the reason is kept in the ledger.", "reason"),
        ({"reason": "x"}, "Say why in a few words: the reason is kept in the ledger.", "reason"),
        ({"reason": "x" * 26_000}, "The reason may have 500 characters; this one has 26000.", "reason"),
        ({"version": "../../keys"}, "That is no version id: it has 32 characters, 0-9 and a-f.", "version"),
        ({"version": "versions"}, "That is no version id: it has 32 characters, 0-9 and a-f.", "version"),
    ],
)
def test_an_unclear_question_gets_one_sentence(
    fields: dict[str, str], sentence: str, field: str, client: Client, azure: Azure, db_password: Secret, ada: Person
) -> None:
    answer = reveal(client, **fields)

    assert answer.status_code == 422
    assert answer.json() == {"error": sentence, "advice": "", "field": field}
    assert reads(azure) == []


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault("rbac"), 502, "rbac"),
        (Fault("access-policy"), 502, "access-policy"),
        (Fault("firewall"), 502, "firewall"),
        (Fault("private-link"), 502, "private-link"),
        (Fault("throttled", retry_after=3600), 503, "throttled"),
        (Fault("throttled"), 503, "throttled"),
        (Fault("server"), 502, "server"),
        (Fault("reset"), 502, "unreachable"),
        (Fault("dns"), 502, "dns"),
        (Fault("truncated"), 502, "bad-answer"),
        (Fault("html"), 502, "bad-answer"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else None,
)
def test_when_azure_fails_there_is_one_sentence_a_record_and_no_value(
    fault: Fault, status: int, code: str, client: Client, azure: Azure, db_password: Secret, ada: Person
) -> None:
    azure.faults.set("pay-prod", fault)

    answer = reveal(client)

    assert (answer.status_code, list(answer.json())) == (status, ["error", "advice", "field"])
    assert answer.json()["error"].endswith(".")
    assert "canary" not in answer.content.decode()
    assert list(LedgerEntry.objects.order_by("seq").values_list("phase", "code")) == [("intent", ""), ("failed", code)]


def test_a_throttled_vault_says_when_to_come_back(
    client: Client, azure: Azure, db_password: Secret, ada: Person
) -> None:
    azure.faults.set("pay-prod", Fault("throttled", retry_after=17))

    answer = reveal(client)

    assert answer["Retry-After"] == "17"
    assert "17" in answer.json()["error"] + answer.json()["advice"]


def test_a_disabled_secret_is_called_disabled_not_forbidden(
    client: Client, azure: Azure, db_password: Secret, ada: Person
) -> None:
    azure.put_secret("pay-prod", "db-password", CANARY, enabled=False)

    answer = reveal(client)

    assert (answer.status_code, LedgerEntry.objects.get(phase="failed").code) == (409, "disabled")
    assert "disabled" in answer.json()["error"]


def test_an_expired_secret_is_still_shown_as_azure_still_serves_it(
    client: Client, azure: Azure, db_password: Secret, ada: Person
) -> None:
    azure.put_secret("pay-prod", "db-password", "old", expires_on=timezone.now() - timedelta(days=1))

    assert reveal(client).json()["value"] == "old"


def test_an_old_version_is_shown_when_asked_for(client: Client, azure: Azure, db_password: Secret, ada: Person) -> None:
    reveal(client)
    old = LedgerEntry.objects.get(phase="revealed").version
    azure.put_secret("pay-prod", "db-password", "rotated")

    assert reveal(client).json()["value"] == "rotated"
    assert reveal(client, version=old).json()["value"] == CANARY
    assert reveal(client, version="0" * 32).status_code == 404


@pytest.mark.parametrize("name", ["new", "delete", "reveal", "versions", "000", "-abc", "x" * 127, "UPPER-Case"])
def test_every_legal_name_has_its_reveal(
    name: str, client: Client, azure: Azure, db_password: Secret, ada: Person
) -> None:
    azure.put_secret("pay-prod", name, f"value of {name}")
    factories.secret(db_password.vault, name)

    assert reveal(client, f"/vaults/pay-prod/secrets/{name}/reveal/").json()["value"] == f"value of {name}"


def test_without_a_ledger_no_value(client: Client, azure: Azure, db_password: Secret, ada: Person) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_ledgerentry RENAME TO elsewhere")

    answer = reveal(client)

    assert answer.status_code == 503
    assert answer.json()["error"] == ledger.LedgerUnavailable.sentence
    assert reads(azure) == []


def test_one_person_cannot_harvest(client: Client, azure: Azure, db_password: Secret, ada: Person, settings) -> None:
    settings.KVADMIN_REVEALS_PER_HOUR = 2

    answers = [reveal(client) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert len(reads(azure)) == 2
    assert LedgerEntry.objects.get(phase="refused").code == "too-many"


def test_a_role_ended_a_moment_ago_reveals_nothing(
    client: Client, azure: Azure, db_password: Secret, ada: Person
) -> None:
    assert reveal(client).status_code == 200

    ada.role_assignments.update(ended_at=timezone.now())

    assert reveal(client).status_code == 404
    assert len(reads(azure)) == 1


def test_the_answer_is_json_that_a_browser_will_not_take_for_a_page(
    client: Client, azure: Azure, db_password: Secret, ada: Person
) -> None:
    answer = reveal(client)

    assert answer["Content-Type"] == "application/json"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert json.loads(answer.content)["value"] == CANARY


# --- By a grant ------------------------------------------------------------------------------------------------------
PAGE = "/vaults/pay-prod/secrets/db-password/"


@pytest.fixture
def granted(db_password: Secret, client: Client) -> RevealRequest:
    """An approved request of a Reader, whose browser this is."""
    RevealPolicy.objects.all().delete()
    factories.policy("approval", use="window")
    dev, approver = factories.person("dev", "reader"), factories.person("priya", "approver")
    client.force_login(dev)
    asked = factories.ask(dev, db_password)
    return requests.approve(approver, factories.actor(approver), asked.pk, seen=asked.asked_hash)


def test_a_grant_shows_the_value_once_without_another_reason(
    client: Client, azure: Azure, granted: RevealRequest
) -> None:
    page = client.get(PAGE).content.decode()
    assert "Approved by priya" in page
    assert "You can show the value one time" in page
    assert 'name="reason"' not in page

    answers = [client.post(REVEAL, headers={"HX-Request": "true"}) for _ in range(2)]

    assert answers[0].json()["value"] == CANARY
    assert answers[1].status_code == 403
    assert reads(azure) == [("SecretGet", 200)]
    assert "You can show the value" not in client.get(PAGE).content.decode()


def test_the_page_says_that_a_request_waits_and_for_whom(client: Client, db_password: Secret) -> None:
    RevealPolicy.objects.all().delete()
    factories.policy("approval")
    dev = factories.person("dev", "reader")
    factories.person("priya", "approver")
    asked = factories.ask(dev, db_password)
    client.force_login(dev)

    page = client.get(PAGE).content.decode()

    assert "Waiting for priya, until" in page
    assert f'href="/requests/{asked.pk}/"' in page
    assert "data-reveal-form" not in page


@pytest.mark.parametrize("role", ["reader", "approver", "secrets-user", "auditor"])
def test_anothers_grant_shows_nothing(role: str, client: Client, azure: Azure, granted: RevealRequest) -> None:
    client.force_login(factories.person("eve", role))

    assert reveal(client).status_code == 403
    assert reads(azure) == []


def test_a_grant_that_was_taken_back_says_so_and_shows_nothing(
    client: Client, azure: Azure, granted: RevealRequest
) -> None:
    priya = Person.objects.get(username="priya")
    requests.revoke(priya, factories.actor(priya), granted.pk, comment="the incident is over")

    assert reveal(client).status_code == 403
    assert reads(azure) == []


def test_a_grant_that_has_just_ended_is_a_sentence_in_the_answer(
    client: Client, azure: Azure, granted: RevealRequest
) -> None:
    RevealRequest.objects.update(due_at=timezone.now() - timedelta(seconds=1))

    answer = reveal(client)

    assert (answer.status_code, answer.json()["error"]) == (
        409,
        "This grant shows nothing: the request is expired.",
    )
    assert reads(azure) == []
    granted.refresh_from_db()
    assert granted.state == "expired"


def test_what_azure_refuses_is_a_sentence_and_the_use_comes_back(
    client: Client, azure: Azure, granted: RevealRequest
) -> None:
    azure.faults.set("pay-prod", Fault("firewall", times=1))

    answers = [reveal(client), reveal(client)]

    assert [answer.status_code for answer in answers] == [502, 200]
    assert answers[1].json()["value"] == CANARY


def test_a_grant_for_another_version_does_not_show_this_one(
    client: Client, azure: Azure, granted: RevealRequest
) -> None:
    answer = reveal(client, version="0" * 32)

    assert answer.status_code == 409
    assert answer.json()["error"].startswith("Your grant is not for this version.")
    assert reads(azure) == []


def test_whoever_may_see_it_anyway_keeps_the_grant(client: Client, azure: Azure, granted: RevealRequest) -> None:
    """The policy became direct meanwhile: the request is void, and the role is enough."""
    factories.policy("direct", vault=granted.secret.vault)
    factories.assign(Person.objects.get(username="dev"), "secrets-user")

    assert reveal(client).json()["value"] == CANARY
    assert LedgerEntry.objects.get(phase="revealed").request is None


def test_looking_uses_no_grant(client: Client, azure: Azure, granted: RevealRequest) -> None:
    client.get(PAGE)
    client.get(f"/requests/{granted.pk}/")

    assert client.get(REVEAL).status_code == 405
    granted.refresh_from_db()
    assert (granted.state, granted.uses_left, reads(azure)) == ("approved", 1, [])
