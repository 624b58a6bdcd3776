"""A grant shows the value as often as it says, to the one who asked, and not a moment after it was taken back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from audit.models import LedgerEntry
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.state import Azure
from kvadmin.gateway.errors import GatewayError
from tests import factories
from vaults import break_glass, grants, requests, reveals
from vaults.models import Person, RevealRequest, RoleAssignment, Secret
from vaults.rules import Refusal

pytestmark = pytest.mark.django_db

who = factories.actor
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"


@pytest.fixture
def secret(azure: Azure) -> Secret:
    azure.add_subscription(SUBSCRIPTION, "Payments")
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    azure.put_secret("pay-prod", "db-password", "canary-grant")
    return factories.secret(factories.vault("pay-prod"), "db-password")


@pytest.fixture
def dev(db: None) -> Person:
    return factories.person("dev", "reader")


def granted(secret: Secret, dev: Person, approver: Person, **fields: object) -> RevealRequest:
    request = factories.ask(dev, secret, **fields)
    return requests.approve(approver, who(approver), request.pk, seen=request.asked_hash)


def reveal(dev: Person, request: RevealRequest) -> str:
    return grants.reveal(dev, who(dev), request.pk).value.expose()


def refused(verb: Callable[[], object]) -> str:
    with pytest.raises((Refusal, grants.Withheld, GatewayError)) as caught:
        verb()
    return caught.value.code


def reads(azure: Azure) -> int:
    return sum(row.operation == "SecretGet" and row.status == 200 for row in azure.log)


def test_a_one_time_grant_shows_the_value_once(secret: Secret, dev: Person, approver: Person, azure: Azure) -> None:
    factories.policy("approval")
    request = granted(secret, dev, approver)

    assert reveal(dev, request) == "canary-grant"
    assert refused(lambda: reveal(dev, request)) == "state"
    request.refresh_from_db()
    assert (request.state, reads(azure)) == ("consumed", 1)


def test_the_ledger_tells_the_whole_story_of_a_grant(secret: Secret, dev: Person, approver: Person) -> None:
    factories.policy("approval")
    request = granted(secret, dev, approver)
    reveal(dev, request)

    story = [(e.phase, e.person, e.from_state, e.to_state) for e in LedgerEntry.objects.order_by("seq")]

    assert story == [
        ("done", "dev", "", "pending"),
        ("done", "approver", "pending", "pending"),
        ("done", "kvadmin", "pending", "approved"),
        ("done", "dev", "approved", "active"),
        ("intent", "dev", "active", "active"),
        ("revealed", "dev", "active", "active"),
        ("done", "dev", "active", "consumed"),
    ]
    assert set(LedgerEntry.objects.values_list("request", flat=True)) == {request.pk}


def test_a_window_shows_it_again_until_it_ends(secret: Secret, dev: Person, approver: Person, azure: Azure) -> None:
    factories.policy("approval", use="window")
    request = granted(secret, dev, approver, use="window", minutes=10)

    assert [reveal(dev, request) for _ in range(3)] == ["canary-grant"] * 3
    RevealRequest.objects.update(ends_at=timezone.now())

    assert refused(lambda: reveal(dev, request)) == "state"
    request.refresh_from_db()
    assert (request.state, reads(azure)) == ("ended", 3)


@pytest.mark.parametrize(("moment", "usable"), [(-1, True), (0, False), (1, False)])
def test_a_window_ends_to_the_microsecond(
    moment: int, usable: bool, secret: Secret, dev: Person, approver: Person
) -> None:
    factories.policy("approval", use="window")
    request = granted(secret, dev, approver, use="window")
    reveal(dev, request)
    request.refresh_from_db()

    assert grants.consume(request, request.ends_at + timedelta(microseconds=moment)) is usable


def test_nobody_else_uses_the_grant(secret: Secret, dev: Person, approver: Person, azure: Azure) -> None:
    factories.policy("approval")
    request = granted(secret, dev, approver)

    assert refused(lambda: reveal(approver, request)) == "not-yours"
    assert reads(azure) == 0


@pytest.mark.parametrize(
    "event", ["revoked", "role ended", "voter gone", "secret disabled", "person leaves", "policy replaced"]
)
def test_nothing_is_shown_after_the_ground_is_gone(
    event: str, secret: Secret, dev: Person, approver: Person, azure: Azure
) -> None:
    factories.policy("approval")
    request = granted(secret, dev, approver)
    match event:
        case "revoked":
            requests.revoke(approver, who(approver), request.pk, comment="leaving")
        case "role ended":
            dev.role_assignments.update(ended_at=timezone.now())
        case "voter gone":
            RoleAssignment.objects.filter(person=approver).update(ended_at=timezone.now())
        case "secret disabled":
            Secret.objects.update(enabled=False)
        case "person leaves":
            Person.objects.filter(pk=dev.pk).update(is_active=False)
        case "policy replaced":
            factories.policy("approval", vault=secret.vault)

    assert refused(lambda: reveal(dev, request)) == "state"
    assert reads(azure) == 0


def test_what_azure_alone_knows_as_disabled_gives_the_use_back(
    secret: Secret, dev: Person, approver: Person, azure: Azure
) -> None:
    """It was disabled around kvadmin, since the last sweep: nobody was shown anything."""
    factories.policy("approval")
    request = granted(secret, dev, approver)
    version = azure.vault("pay-prod").secrets.get("db-password").latest
    version.enabled = False

    assert refused(lambda: reveal(dev, request)) == "disabled"
    version.enabled = True

    assert reveal(dev, request) == "canary-grant"


@pytest.mark.parametrize("kind", ["rbac", "firewall", "throttled", "dns"])
def test_a_definite_refusal_of_azure_gives_the_use_back_once(
    kind: str, secret: Secret, dev: Person, approver: Person, azure: Azure
) -> None:
    factories.policy("approval")
    request = granted(secret, dev, approver)
    azure.faults.set("pay-prod", Fault(kind))

    assert refused(lambda: reveal(dev, request)) == kind
    azure.faults.clear("pay-prod")

    assert reveal(dev, request) == "canary-grant"
    assert LedgerEntry.objects.filter(note=f"The use was given back: Azure refused ({kind}).").count() == 1


def test_the_second_refusal_spends_it_for_good(secret: Secret, dev: Person, approver: Person, azure: Azure) -> None:
    factories.policy("approval")
    request = granted(secret, dev, approver)
    azure.faults.set("pay-prod", Fault("rbac"))

    codes = [refused(lambda: reveal(dev, request)) for _ in range(3)]

    assert codes == ["rbac", "rbac", "state"]
    request.refresh_from_db()
    assert (request.state, request.given_back) == ("consumed", True)


@pytest.mark.parametrize("kind", ["truncated", "reset", "server"])
def test_an_answer_that_may_have_held_the_value_spends_the_use(
    kind: str, secret: Secret, dev: Person, approver: Person, azure: Azure
) -> None:
    factories.policy("approval")
    request = granted(secret, dev, approver)
    azure.faults.set("pay-prod", Fault(kind))

    refused(lambda: reveal(dev, request))
    azure.faults.clear("pay-prod")

    assert refused(lambda: reveal(dev, request)) == "state"


def test_what_is_taken_back_while_azure_is_asked_is_withheld(
    secret: Secret, dev: Person, approver: Person, azure: Azure
) -> None:
    factories.policy("approval")
    request = granted(secret, dev, approver)
    spent = grants.spend(dev, who(dev), request.pk, grants.Act.REVEAL)
    read = grants.keyvault.get_secret(secret.vault.uri, secret.name, "", reveal_id=str(spent.attempt.id))
    requests.revoke(approver, who(approver), request.pk, comment="wrong person")

    assert refused(lambda: grants._confirm(spent, who(dev), read)) == "withheld"
    assert LedgerEntry.objects.filter(phase="withheld", code="revoked").count() == 1


def test_the_version_that_was_asked_for_is_shown_after_a_rotation(
    secret: Secret, dev: Person, approver: Person, azure: Azure
) -> None:
    factories.policy("approval")
    first = grants.keyvault.list_properties_of_secret_versions(secret.vault.uri, secret.name).versions[0].version
    request = granted(secret, dev, approver, version=first)
    azure.put_secret("pay-prod", "db-password", "rotated")

    assert reveal(dev, request) == "canary-grant"


# --- Break-glass -----------------------------------------------------------------------------------------------------
def shatter(oncall: Person, secret: Secret, ticket: str = "INC-9") -> RevealRequest:
    return break_glass.break_glass(oncall, who(oncall), secret, reason="payments are down", ticket=ticket)


def test_break_glass_opens_at_once_and_is_reviewed_before_the_next(
    secret: Secret, oncall: Person, approver: Person, azure: Azure
) -> None:
    factories.policy("approval", break_glass=True)
    request = shatter(oncall, secret)

    assert reveal(oncall, request) == "canary-grant"
    requests.withdraw(oncall, who(oncall), request.pk)
    assert refused(lambda: reveal(oncall, request)) == "state"
    assert refused(lambda: shatter(oncall, secret)) == "review-due"

    break_glass.review(approver, who(approver), request.pk, justified=True, comment="I was on the call")
    assert shatter(oncall, secret).state == "active"


@pytest.mark.parametrize("event", ["role ended", "person leaves", "secret disabled", "policy closed"])
def test_an_emergency_is_over_when_its_ground_is_gone(
    event: str, secret: Secret, oncall: Person, approver: Person, azure: Azure
) -> None:
    factories.policy("approval", break_glass=True)
    request = shatter(oncall, secret)
    match event:
        case "role ended":
            oncall.role_assignments.update(ended_at=timezone.now())
        case "person leaves":
            Person.objects.filter(pk=oncall.pk).update(is_active=False)
        case "secret disabled":
            Secret.objects.update(enabled=False)
        case "policy closed":
            factories.policy("approval", vault=secret.vault)

    assert refused(lambda: reveal(oncall, request)) == "state"
    request.refresh_from_db()
    assert (request.state, reads(azure)) == ("review-due", 0)


def test_the_holder_never_reviews_their_own_emergency(secret: Secret, oncall: Person, approver: Person) -> None:
    factories.policy("approval", break_glass=True)
    factories.assign(oncall, "approver")
    request = shatter(oncall, secret)
    requests.withdraw(oncall, who(oncall), request.pk)

    verdict = {"justified": True, "comment": "trust me"}
    assert refused(lambda: break_glass.review(oncall, who(oncall), request.pk, **verdict)) == "oneself"


@pytest.mark.parametrize(
    ("policy", "person", "ticket", "code"),
    [
        ({"break_glass": False}, "oncall", "INC-9", "closed"),
        ({"break_glass": True}, "dev", "INC-9", "no-role"),
        ({"break_glass": True}, "oncall", "", "ticket"),
        ({"break_glass": True, "ticket_pattern": r"INC-\d+"}, "oncall", "soon", "ticket"),
    ],
)
def test_the_glass_stays_whole(
    policy, person: str, ticket: str, code: str, secret: Secret, dev: Person, oncall: Person, approver: Person
) -> None:
    factories.policy("approval", **policy)

    assert refused(lambda: shatter({"dev": dev, "oncall": oncall}[person], secret, ticket)) == code
    assert RevealRequest.objects.count() == 0
    assert LedgerEntry.objects.get().code == code


def test_without_somebody_to_review_it_nobody_breaks_the_glass(secret: Secret, oncall: Person) -> None:
    factories.policy("approval", break_glass=True)

    assert refused(lambda: shatter(oncall, secret)) == "no-reviewer"


def test_an_emergency_that_is_taken_back_still_has_to_be_reviewed(
    secret: Secret, oncall: Person, approver: Person, azure: Azure
) -> None:
    factories.policy("approval", break_glass=True)
    request = shatter(oncall, secret)

    requests.revoke(approver, who(approver), request.pk, comment="stop")

    assert refused(lambda: reveal(oncall, request)) == "state"
    request.refresh_from_db()
    assert (request.state, reads(azure)) == ("review-due", 0)


# --- At the same time ------------------------------------------------------------------------------------------------
def at_once(*verbs: Callable[[], object]) -> list[object]:
    """Run all verbs at the same moment, each in a thread with a connection of its own; what each gave or raised."""
    barrier, results = threading.Barrier(len(verbs)), [None] * len(verbs)

    def run(index: int, verb: Callable[[], object]) -> None:
        barrier.wait()
        try:
            results[index] = verb()
        except (Refusal, grants.Withheld) as error:
            results[index] = error.code
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(verbs)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return results


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_twenty_parallel_reveals_of_a_one_time_grant_give_exactly_one_value(
    secret: Secret, dev: Person, approver: Person, azure: Azure
) -> None:
    factories.policy("approval")
    request = granted(secret, dev, approver)

    results = at_once(*[lambda: reveal(dev, request)] * 20)

    assert results.count("canary-grant") == 1
    assert set(results) <= {"canary-grant", "state", "used"}
    assert reads(azure) == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_the_two_last_approvals_at_once_approve_once(
    secret: Secret, dev: Person, approver: Person, approver_2: Person
) -> None:
    factories.policy("approval", approvals_needed=2)
    request = factories.ask(dev, secret)

    at_once(*[
        lambda by=by: requests.approve(by, who(by), request.pk, seen=request.asked_hash)
        for by in (approver, approver_2)
    ])  # fmt: skip

    request.refresh_from_db()
    assert request.state == "approved"
    assert LedgerEntry.objects.filter(to_state="approved").count() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", range(5))
def test_a_no_beats_a_yes_at_the_same_moment(
    turn: int, secret: Secret, dev: Person, approver: Person, approver_2: Person
) -> None:
    factories.policy("approval")
    request = factories.ask(dev, secret)

    at_once(
        lambda: requests.approve(approver, who(approver), request.pk, seen=request.asked_hash),
        lambda: requests.deny(approver_2, who(approver_2), request.pk, comment="not now"),
    )

    request.refresh_from_db()
    assert request.state == "denied"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", range(5))
def test_after_a_revoke_has_committed_nothing_is_revealed(
    turn: int, secret: Secret, dev: Person, approver: Person, azure: Azure
) -> None:
    factories.policy("approval", use="window")
    request = granted(secret, dev, approver, use="window")
    late: list[object] = []

    def revoke() -> None:
        requests.revoke(approver, who(approver), request.pk, comment="stop")
        late.append(refused(lambda: reveal(dev, request)))

    at_once(revoke, *[lambda: reveal(dev, request)] * 4)

    assert late == ["state"]
    order = list(LedgerEntry.objects.order_by("seq").values_list("phase", "to_state"))
    assert ("revealed", "active") not in order[order.index(("done", "revoked")) :]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", ["withdraw", "edit"])
def test_the_requesters_change_and_an_approval_at_once_leave_one_truth(
    verb: str, secret: Secret, dev: Person, approver: Person
) -> None:
    factories.policy("approval")
    request = factories.ask(dev, secret)
    changes = {
        "withdraw": lambda: requests.withdraw(dev, who(dev), request.pk).state,
        "edit": lambda: (
            requests.edit(dev, who(dev), request.pk, reason="other", ticket="", minutes=5, use="once").state
        ),
    }

    results = at_once(
        changes[verb], lambda: requests.approve(approver, who(approver), request.pk, seen=request.asked_hash).state
    )

    request.refresh_from_db()
    expected = {
        "withdraw": {("withdrawn", "approved"), ("withdrawn", "state")},
        "edit": {("state", "approved"), ("pending", "stale")},
    }
    assert tuple(results) in expected[verb]
    assert request.state == ("withdrawn" if verb == "withdraw" else "approved" if results[0] == "state" else "pending")


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_asking_twice_at_once_opens_one_request(secret: Secret, dev: Person, approver: Person) -> None:
    factories.policy("approval")

    results = at_once(*[lambda: factories.ask(dev, secret).state] * 8)

    assert sorted(map(str, results)) == ["duplicate"] * 7 + ["pending"]


# --- How many in an hour ---------------------------------------------------------------------------------------------
def test_a_grant_is_held_to_the_hourly_limit_and_its_use_is_not_spent(
    secret: Secret, dev: Person, approver: Person, azure: Azure, settings
) -> None:
    factories.policy("approval", vault=secret.vault, use="window")
    settings.KVADMIN_REVEALS_PER_HOUR = 1
    request = granted(secret, dev, approver, use="window")
    assert reveal(dev, request) == "canary-grant"

    assert refused(lambda: reveal(dev, request)) == "too-many"

    assert LedgerEntry.objects.get(phase="refused").note.startswith("You have seen 1 values within the last hour")
    request.refresh_from_db()
    assert (request.state, reads(azure)) == ("active", 1)
    settings.KVADMIN_REVEALS_PER_HOUR = 2
    assert reveal(dev, request) == "canary-grant"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", range(3))
def test_a_grant_that_is_used_many_times_at_once_is_held_to_the_hourly_limit(
    turn: int, secret: Secret, dev: Person, approver: Person, azure: Azure, settings
) -> None:
    """Two direct reveals of the same person count with it: one lock does not cover the other."""
    factories.policy("approval", vault=secret.vault, use="window")
    settings.KVADMIN_REVEALS_PER_HOUR = 2
    request = granted(secret, dev, approver, use="window")

    def direct() -> str:
        try:
            return reveals.reveal(who(dev), secret, reason="INC-7").value.expose()
        except reveals.TooManyReveals as error:
            return error.code

    results = at_once(*[lambda: reveal(dev, request)] * 3, *[direct] * 3)

    assert (results.count("too-many"), reads(azure)) == (4, 2)


def test_an_approved_request_that_is_too_much_for_this_hour_does_not_begin(
    secret: Secret, dev: Person, approver: Person, settings
) -> None:
    """Its minutes would run out while its owner has to wait."""
    factories.policy("approval", vault=secret.vault)
    request = granted(secret, dev, approver)
    settings.KVADMIN_REVEALS_PER_HOUR = 0

    assert refused(lambda: reveal(dev, request)) == "too-many"
    request.refresh_from_db()
    assert request.state == "approved"


def test_breaking_the_glass_is_never_held_up_but_counts(
    secret: Secret, oncall: Person, approver: Person, settings
) -> None:
    factories.policy("approval", break_glass=True)
    settings.KVADMIN_REVEALS_PER_HOUR = 1
    request = shatter(oncall, secret)

    assert [reveal(oncall, request) for _ in range(3)] == ["canary-grant"] * 3
    assert reveals.is_too_fast(who(oncall))
