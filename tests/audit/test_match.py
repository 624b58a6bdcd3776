"""Every read of a value lands on the list where it belongs, whatever came first and however often it is sorted."""

from __future__ import annotations

import itertools
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from audit import ingest, ledger, match
from audit.models import AccessEvent, OwnIdentity
from kvadmin import actions as a
from kvadmin.emulator.identities import KVADMIN
from tests.audit.rows import ADA, OURS, STRANGER, VERSION, agent, challenge, revealed, row, unseen

pytestmark = pytest.mark.django_db

REQUEST = "11111111-2222-4333-8444-555555555555"


def take_in(*rows: dict[str, Any]) -> dict[str, str]:
    """What list each row is on, by its correlation id."""
    ingest.ingest_rows(rows)
    return dict(AccessEvent.objects.values_list("correlation_id", "match"))


def list_of(one: dict[str, Any]) -> str:
    return take_in(one)[one["CorrelationId"]]


# --- By the request id -----------------------------------------------------------------------------------------------
def test_a_read_with_the_ledgers_request_id_is_explained_by_the_persons_name_and_reason() -> None:
    act = revealed(request_id=REQUEST)

    assert list_of(row(CorrelationId=REQUEST)) == "explained"
    event = AccessEvent.objects.get()
    assert (event.person, event.person_id, event.reason, event.ledger_act) == ("Ada Example", "7", "INC-1", act.id)
    assert event.matched_by == "request-id"


def test_a_request_id_of_another_secret_explains_nothing() -> None:
    revealed(request_id=REQUEST, secret="api-key")

    assert list_of(row(CorrelationId=REQUEST)) == "unexplained"


def refused_by_azure() -> None:
    """A try that Azure answered with an error, whose request id is on record."""
    error = RuntimeError()
    error.request_id = REQUEST  # type: ignore[attr-defined]
    ledger.begin(
        a.SECRET_REVEAL, ADA, ledger.Target("pay-prod", "db-password"), reason="INC-1", move=ledger.NO_MOVE
    ).failed(error)


def test_a_failed_try_carries_the_persons_name_but_is_no_read() -> None:
    refused_by_azure()

    assert list_of(row(CorrelationId=REQUEST, Status=403)) == "other"
    assert AccessEvent.objects.get().person == "Ada Example"


def test_a_value_that_left_although_kvadmin_failed_is_explained() -> None:
    refused_by_azure()

    assert list_of(row(CorrelationId=REQUEST)) == "explained"


# --- On behalf of a person -------------------------------------------------------------------------------------------
APP = "33333333-3333-4333-8333-333333333333"
ACTING = {"oid": "aaaaaaaa-0000-4000-8000-000000000001", "appid": APP, "idtyp": "user", "upn": "ada@contoso.example"}
acts_for_people = override_settings(KVADMIN_ON_BEHALF_OF="direct", KVADMIN_OIDC_CLIENT_ID=APP)


@acts_for_people
def test_a_read_with_a_persons_own_rights_is_explained_and_the_person_is_not_taken_for_kvadmin() -> None:
    revealed(request_id=REQUEST, rights="person")
    theirs = row(claims=ACTING | {"appid": STRANGER["appid"]})

    assert take_in(row(CorrelationId=REQUEST, claims=ACTING), theirs) == {
        REQUEST: "explained",
        theirs["CorrelationId"]: "around",
    }
    assert not OwnIdentity.objects.exists()


@acts_for_people
def test_a_lost_answer_to_a_person_is_explained_by_the_reveal_id_too() -> None:
    act = revealed(rights="person")

    assert list_of(row(claims=ACTING, ClientInfo=agent(act.id), TimeGenerated=timezone.now())) == "explained"


@acts_for_people
def test_a_read_through_kvadmins_registration_that_the_ledger_does_not_know_is_an_alarm() -> None:
    """Somebody else holds the registration's secret, and a token of that person."""
    assert list_of(row(claims=ACTING)) == "unexplained"


@override_settings(KVADMIN_OIDC_CLIENT_ID=APP)
def test_where_kvadmin_acts_for_nobody_its_registration_proves_nothing() -> None:
    assert list_of(row(claims=ACTING)) == "around"


# --- By the User-Agent -----------------------------------------------------------------------------------------------
def test_a_lost_answer_is_explained_by_the_reveal_id_in_the_user_agent() -> None:
    act = revealed()

    assert list_of(row(ClientInfo=agent(act.id), TimeGenerated=timezone.now())) == "explained"
    event = AccessEvent.objects.get()
    assert (event.matched_by, event.ledger_act, event.person) == ("user-agent", act.id, "Ada Example")


@pytest.mark.parametrize(
    ("forged", "expected"),
    [
        ({"claims": STRANGER}, "around"),
        ({"secret": "api-key"}, "unexplained"),
        ({"vault": "pay-test"}, "unexplained"),
        ({"TimeGenerated": timedelta(minutes=6)}, "unexplained"),
        ({"TimeGenerated": timedelta(minutes=-2)}, "unexplained"),
        ({"OperationName": "SecretBackup"}, "unexplained"),
        ({"ClientInfo": agent(uuid.uuid4())}, "unexplained"),
    ],
)
def test_a_forged_user_agent_does_not_explain_a_read(forged: dict[str, Any], expected: str) -> None:
    act = revealed()
    moment = timezone.now() + forged.get("TimeGenerated", timedelta(0))

    assert list_of(row(**{"ClientInfo": agent(act.id)} | forged | {"TimeGenerated": moment})) == expected


def test_a_user_agent_does_not_explain_a_second_read_of_an_act_that_a_request_id_explains() -> None:
    act = revealed(request_id=REQUEST)
    true = row(CorrelationId=REQUEST, ClientInfo=agent(act.id), TimeGenerated=timezone.now())
    forged = row(ClientInfo=agent(act.id), TimeGenerated=timezone.now())

    assert take_in(true, forged) == {REQUEST: "explained", forged["CorrelationId"]: "unexplained"}


def test_a_forged_read_is_unexplained_even_while_the_true_row_is_still_on_its_way() -> None:
    act = revealed(request_id=REQUEST)

    assert list_of(row(ClientInfo=agent(act.id), TimeGenerated=timezone.now())) == "unexplained"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_of_several_reads_that_claim_one_act_the_earliest_is_its_own_in_whatever_order_they_arrive(
    order: tuple[int, ...],
) -> None:
    act, now = revealed(), timezone.now()
    rows = [row(ClientInfo=agent(act.id), TimeGenerated=now + timedelta(seconds=n)) for n in range(3)]
    for place in order:
        take_in(rows[place])

    lists = dict(AccessEvent.objects.values_list("correlation_id", "match"))
    assert [lists[one["CorrelationId"]] for one in rows] == ["explained", "unexplained", "unexplained"]


def test_a_version_that_was_asked_for_must_be_the_one_that_was_read() -> None:
    act = ledger.begin(
        a.SECRET_REVEAL, ADA, ledger.Target("pay-prod", "db-password", "0" * 32), reason="", move=ledger.NO_MOVE
    )
    act.failed(TimeoutError())

    assert list_of(row(ClientInfo=agent(act.id), TimeGenerated=timezone.now())) == "unexplained"


def test_an_act_that_never_meant_to_read_explains_no_read() -> None:
    act = ledger.begin(a.SECRET_DELETE, ADA, ledger.Target("pay-prod", "db-password"), reason="", move=ledger.NO_MOVE)
    act.failed(TimeoutError())

    assert list_of(row(ClientInfo=agent(act.id), TimeGenerated=timezone.now())) == "unexplained"


# --- Reads that nobody sees ------------------------------------------------------------------------------------------
UNSEEN = [
    (a.SECRET_BACKUP, {"OperationName": "SecretBackup"}, ""),
    (a.SECRET_COMPARE, {}, VERSION),
    (a.SECRET_COPY, {}, VERSION),
    (a.SECRET_SET, {}, VERSION),  # rolled back: an old version is read, and written anew
]


@pytest.mark.parametrize(("action", "fields", "version"), UNSEEN)
def test_what_kvadmin_reads_for_an_act_rings_no_alarm_and_bears_the_acts_word(
    action: a.Action, fields: dict[str, Any], version: str
) -> None:
    unseen(action, version=version, request_id=REQUEST)

    assert list_of(row(CorrelationId=REQUEST, **fields)) == "explained"
    event = AccessEvent.objects.get()
    assert (event.action, event.person, event.matched_by) == (action.word, "Ada Example", "request-id")


@pytest.mark.parametrize("word", ["act", "reveal"])
@pytest.mark.parametrize(("action", "fields", "version"), UNSEEN)
def test_where_the_answer_was_lost_the_acts_id_in_the_user_agent_will_do(
    action: a.Action, fields: dict[str, Any], version: str, word: str
) -> None:
    act = unseen(action, version=version)

    assert list_of(row(ClientInfo=agent(act.id, word), TimeGenerated=timezone.now(), **fields)) == "explained"
    assert AccessEvent.objects.get().action == action.word


@pytest.mark.parametrize(
    ("action", "version", "fields"),
    [
        (a.SECRET_BACKUP, "", {}),  # a backup's id on a read of the value itself
        (a.SECRET_COMPARE, "", {"OperationName": "SecretBackup"}),
        (a.SECRET_SET, "", {}),  # a plain write reads nothing
        (a.SECRET_SET, "0" * 32, {}),  # another version than the one that was rolled back to
        (a.SECRET_RESTORE, "", {}),
        (a.SECRET_BACKUP, "", {"OperationName": "SecretBackup", "secret": "api-key"}),
        (a.SECRET_BACKUP, "", {"OperationName": "SecretBackup", "TimeGenerated": timedelta(minutes=6)}),
    ],
)
def test_an_id_copied_from_the_log_explains_no_other_read(
    action: a.Action, version: str, fields: dict[str, Any]
) -> None:
    act = unseen(action, version=version)
    moment = timezone.now() + fields.get("TimeGenerated", timedelta(0))

    forged = row(**{"ClientInfo": agent(act.id, "act")} | fields | {"TimeGenerated": moment})
    assert list_of(forged) == "unexplained"


def test_a_forged_agent_of_somebody_else_explains_no_backup() -> None:
    act = unseen(a.SECRET_BACKUP)
    forged = row(
        claims=STRANGER, OperationName="SecretBackup", ClientInfo=agent(act.id, "act"), TimeGenerated=timezone.now()
    )

    assert list_of(forged) == "around"


# --- Whose identity --------------------------------------------------------------------------------------------------
def test_another_identity_reads_around_kvadmin() -> None:
    assert list_of(row(claims=STRANGER)) == "around"


def test_kvadmins_identity_without_a_ledger_row_is_an_alarm() -> None:
    assert list_of(row()) == "unexplained"


def test_a_backup_hands_out_values_too() -> None:
    assert list_of(row(OperationName="SecretBackup")) == "unexplained"


@pytest.mark.parametrize(
    "other", [{"OperationName": "SecretList"}, {"Status": 403}, {"OperationName": "CertificateGet"}]
)
def test_what_is_no_read_is_on_no_list(other: dict[str, Any]) -> None:
    assert list_of(row(**other)) == "other"


@override_settings(KVADMIN_CLIENT_ID="")
def test_without_a_client_id_the_identity_is_learned_from_a_request_id_and_earlier_rows_are_sorted_again() -> None:
    stolen = row(TimeGenerated=timezone.now() - timedelta(days=20))
    assert list_of(stolen) == "around"
    revealed(request_id=REQUEST)

    lists = take_in(row(CorrelationId=REQUEST))
    assert lists == {stolen["CorrelationId"]: "unexplained", REQUEST: "explained"}
    assert list(OwnIdentity.objects.values_list("object_id", "correlation_id")) == [(KVADMIN.object_id, REQUEST)]


@override_settings(KVADMIN_CLIENT_ID="")
def test_an_app_id_is_never_learned_because_people_share_their_clients() -> None:
    developer = {**STRANGER, "oid": "0d5e0000-0000-4000-8000-00000000dede"}
    revealed(request_id=REQUEST)
    take_in(row(CorrelationId=REQUEST, claims=developer))

    assert list_of(row(claims=STRANGER)) == "around"


@override_settings(KVADMIN_CLIENT_ID="")
def test_a_row_without_an_app_id_is_not_kvadmins_only_because_none_is_set() -> None:
    assert list_of(row(claims={"oid": "0d5e0000-0000-4000-8000-000000000009", "idtyp": "app"})) == "around"


# --- Late, again, twice ----------------------------------------------------------------------------------------------
def test_a_ledger_row_that_comes_later_explains_the_read_at_the_next_run() -> None:
    act = ledger.begin(
        a.SECRET_REVEAL, ADA, ledger.Target("pay-prod", "db-password"), reason="INC-1", move=ledger.NO_MOVE
    )
    read = row(CorrelationId=REQUEST, TimeGenerated=timezone.now())
    assert list_of(read) == "unexplained"
    act.revealed(version=VERSION, request_id=REQUEST, region="")

    match.rematch(timezone.now() - timedelta(days=1))
    assert AccessEvent.objects.get().match == "explained"


def test_an_explanation_by_user_agent_falls_once_the_ledger_knows_another_request_id() -> None:
    act = ledger.begin(
        a.SECRET_REVEAL, ADA, ledger.Target("pay-prod", "db-password"), reason="INC-1", move=ledger.NO_MOVE
    )
    assert list_of(row(ClientInfo=agent(act.id), TimeGenerated=timezone.now())) == "explained"
    act.revealed(version=VERSION, request_id=REQUEST, region="")

    match.rematch(timezone.now() - timedelta(days=1))
    event = AccessEvent.objects.get()
    assert (event.match, event.person, event.ledger_act, event.matched_by) == ("unexplained", "", None, "")


def test_sorting_again_moves_nothing() -> None:
    revealed(request_id=REQUEST)
    take_in(row(CorrelationId=REQUEST), row(), row(claims=STRANGER))
    before = list(AccessEvent.objects.order_by("pk").values())

    assert match.rematch(timezone.now() - timedelta(days=1)) == match.Sorted()
    assert list(AccessEvent.objects.order_by("pk").values()) == before


def test_the_number_of_queries_does_not_grow_with_the_rows(django_assert_max_num_queries: Any) -> None:
    counts = []
    for many in (1, 3):
        take_in(*[challenge() for _ in range(many)], *[row(claims=STRANGER) for _ in range(many)])
        with django_assert_max_num_queries(30) as asked:
            match.rematch(timezone.now() - timedelta(days=1))
        counts.append(len(asked))

    assert counts[0] == counts[1]


# --- Noise -----------------------------------------------------------------------------------------------------------
def noise() -> dict[str, bool]:
    return dict(AccessEvent.objects.values_list("operation", "is_noise"))


def test_a_challenge_is_folded_into_the_success_that_follows_within_seconds() -> None:
    now = timezone.now()
    take_in(challenge(TimeGenerated=now), row(TimeGenerated=now + timedelta(seconds=2)))

    assert noise() == {"Authentication": True, "SecretGet": False}


@pytest.mark.parametrize(
    "answer",
    [
        {"TimeGenerated": timedelta(seconds=11)},
        {"TimeGenerated": timedelta(seconds=-1)},
        {"CallerIp": "192.0.2.99"},
        {"ClientInfo": "another agent"},
        {"vault": "pay-test"},
        {"Status": 403},
    ],
)
def test_a_challenge_that_nobody_answered_stays_in_sight(answer: dict[str, Any]) -> None:
    now = timezone.now()
    moment = now + answer.get("TimeGenerated", timedelta(seconds=2))
    take_in(challenge(TimeGenerated=now), row(**answer | {"TimeGenerated": moment}))

    assert noise()["Authentication"] is False


def test_azures_own_inventory_is_noise_and_lists_are_not() -> None:
    take_in(
        row(OperationName="VaultGet", ClientInfo="AzureResourceGraph.IngestionWorkerService.global/1.2"),
        row(OperationName="SecretList", claims=OURS),
    )

    assert noise() == {"VaultGet": True, "SecretList": False}
