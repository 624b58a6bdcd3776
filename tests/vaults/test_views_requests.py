"""The lists of requests and the page of one: what each person sees, may do, and is told when they may not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from html import escape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import LedgerEntry
from tests import factories
from vaults import break_glass, requests
from vaults.models import Person, RevealRequest, Secret

pytestmark = pytest.mark.django_db

ClientOf = Callable[[Person], Client]
HOSTILE = ["<script>alert(1)</script>", "'\"><img src=x onerror=alert(1)>", "</textarea><svg/onload=alert(1)>"]
who = factories.actor


@pytest.fixture
def secret() -> Secret:
    return factories.secret(factories.vault("pay-prod"), "db-password")


@pytest.fixture
def dev(db: None) -> Person:
    return factories.person("dev", "reader", environment="prod")


@pytest.fixture
def asked(secret: Secret, dev: Person, approver: Person, approver_2: Person) -> RevealRequest:
    factories.policy("approval", use="window", break_glass=True)
    return factories.ask(dev, secret, reason="INC-7: the nightly job")


def text(client: Client, path: str, status: int = 200, **headers: str) -> str:
    answer = client.get(path, headers=headers)
    assert answer.status_code == status
    return answer.content.decode()


def link(request: RevealRequest) -> str:
    return f'href="/requests/{request.pk}/"'


def act(client: Client, request: RevealRequest, verb: str, **fields: str):
    return client.post(f"/requests/{request.pk}/{verb}/", fields)


def approve(by: Person, request: RevealRequest) -> RevealRequest:
    return requests.approve(by, who(by), request.pk, seen=RevealRequest.objects.get(pk=request.pk).asked_hash)


def state(request: RevealRequest) -> str:
    return RevealRequest.objects.get(pk=request.pk).state


# --- Who sees what ---------------------------------------------------------------------------------------------------
def test_an_approver_finds_it_in_the_inbox_the_requester_among_their_own(
    asked: RevealRequest, dev: Person, approver: Person, client_of: ClientOf
) -> None:
    inbox, mine = text(client_of(approver), "/requests/"), text(client_of(dev), "/requests/")

    assert link(asked) in inbox
    assert "INC-7: the nightly job" in inbox
    assert link(asked) in mine
    assert "Approve those picked" not in mine


def test_an_approver_elsewhere_and_somebody_without_a_role_see_none_of_it(
    asked: RevealRequest, nobody: Person, admin: Person, client_of: ClientOf
) -> None:
    elsewhere = factories.person("elsewhere", "approver", vault=factories.vault("hr-test", environment="dev"))

    for person in (elsewhere, nobody, admin):
        client = client_of(person)
        pages = [text(client, f"/requests/?show={show}") for show in ("inbox", "mine", "all")]
        pages.append(text(client, f"/requests/{asked.pk}/", 404))
        assert [word for page in pages for word in ("db-password", "nightly") if word in page] == []


def test_whoever_sees_the_secret_reads_the_request_and_can_do_nothing_to_it(
    asked: RevealRequest, auditor: Person, client_of: ClientOf
) -> None:
    client = client_of(auditor)

    page = text(client, f"/requests/{asked.pk}/")
    assert link(asked) in text(client, "/requests/?show=all")
    assert link(asked) not in text(client, "/requests/?show=inbox")
    assert "INC-7: the nightly job" in page
    assert "formaction" not in page
    assert "these 30 days" not in page


def test_a_prefix_role_reaches_its_requests_and_no_other(
    asked: RevealRequest, dev: Person, secret: Secret, client_of: ClientOf
) -> None:
    other = factories.ask(dev, factories.secret(secret.vault, "app-key"))
    client = client_of(factories.person("db", "approver", vault=secret.vault, prefix="db-"))

    inbox = text(client, "/requests/")

    assert (link(asked) in inbox, link(other) in inbox) == (True, False)


def test_ones_own_request_and_one_already_approved_wait_no_more(
    secret: Secret, approver: Person, approver_2: Person, client_of: ClientOf
) -> None:
    factories.policy("approval", approvals_needed=2)
    third = factories.person("third", "approver")
    own = factories.ask(approver, secret)
    approve(approver_2, own)

    seen = [link(own) in text(client_of(person), "/requests/?show=inbox") for person in (approver, approver_2, third)]

    assert seen == [False, False, True]


def test_a_second_account_with_the_same_address_is_not_asked(
    asked: RevealRequest, dev: Person, client_of: ClientOf
) -> None:
    other_self = factories.person("dev-2", "approver")
    Person.objects.filter(pk=dev.pk).update(email="dev@example.com")
    Person.objects.filter(pk=other_self.pk).update(email="DEV@example.com")

    assert link(asked) not in text(client_of(Person.objects.get(pk=other_self.pk)), "/requests/?show=inbox")


# --- Lists -----------------------------------------------------------------------------------------------------------
def test_what_time_has_ended_is_shown_as_ended_though_nobody_has_settled_it(
    asked: RevealRequest, approver: Person, client_of: ClientOf
) -> None:
    RevealRequest.objects.update(due_at=timezone.now() - timedelta(minutes=5))
    client = client_of(approver)

    assert link(asked) not in text(client, "/requests/")
    assert link(asked) in text(client, "/requests/?show=all&state=expired")
    assert link(asked) not in text(client, "/requests/?show=all&state=pending")
    page = text(client, f"/requests/{asked.pk}/")
    assert "Nobody decided in time." in page
    assert "formaction" not in page
    assert state(asked) == "pending"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=password", True),
        ("q=PAY-PROD", True),
        ("q=dev", True),
        ("q=nightly", True),
        ("q=elsewhere", False),
        ("state=pending", True),
        ("state=denied", False),
        ("q=%23999999", False),
    ],
)
def test_the_address_filters_the_list(
    query: str, found: bool, asked: RevealRequest, approver: Person, client_of: ClientOf
) -> None:
    assert (link(asked) in text(client_of(approver), f"/requests/?show=all&{query}")) == found


def test_a_number_finds_its_request(asked: RevealRequest, approver: Person, client_of: ClientOf) -> None:
    assert link(asked) in text(client_of(approver), f"/requests/?show=all&q=%23{asked.pk}")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("show=none", 404),
        ("show=all&state=nonsense", 422),
        ("show=all&before=x", 422),
        ("show=all&before=" + "9" * 30, 422),
        ("show=all&q=" + "x" * 201, 422),
        ("show=all&q=%00", 422),
        ("show=all&q=%23" + "9" * 30, 200),
    ],
)
def test_a_nonsensical_address_gets_a_status_and_no_request(
    query: str, status: int, asked: RevealRequest, approver: Person, client_of: ClientOf
) -> None:
    assert link(asked) not in text(client_of(approver), f"/requests/?{query}", status)


def test_htmx_gets_the_list_alone(asked: RevealRequest, approver: Person, client_of: ClientOf) -> None:
    assert text(client_of(approver), "/requests/", **{"HX-Request": "true"}).startswith('<div class="stack"')


def test_pages_lead_on_and_back(secret: Secret, approver: Person, client_of: ClientOf, many: list[int]) -> None:
    client = client_of(approver)

    first = client.get("/requests/?show=all").context["slice"]
    second = client.get(f"/requests/?show=all&before={first.older}").context["slice"]
    back = client.get(f"/requests/?show=all&after={second.newer}").context["slice"]

    assert [row.request.pk for row in first.rows] == many[:50]
    assert [row.request.pk for row in second.rows] == many[50:]
    assert [row.request.pk for row in back.rows] == many[:50]
    assert (first.newer, second.older) == (0, 0)


@pytest.fixture
def many(secret: Secret, approver: Person) -> list[int]:
    """The numbers of 60 requests by as many people, the newest first."""
    policy = factories.policy("approval")
    now = timezone.now()
    rows = [
        RevealRequest(
            requester=Person.objects.create(username=f"dev-{number}"), secret=secret, policy=policy, use="once",
            minutes=5, reason=f"reason {number}", asked_hash="x", asked_at=now, due_at=now + timedelta(days=1),
        )
        for number in range(60)
    ]  # fmt: skip
    RevealRequest.objects.bulk_create(rows)
    return list(RevealRequest.objects.order_by("-pk").values_list("pk", flat=True))


PATHS = ["/requests/", "/requests/?show=mine", "/requests/?show=all&q=job&state=pending", "/"]


@pytest.mark.parametrize("path", PATHS)
def test_the_queries_do_not_grow_with_the_list(
    path: str, secret: Secret, approver: Person, client_of: ClientOf
) -> None:
    factories.policy("approval")
    client = client_of(approver)
    asked = [_ask_as(approver, secret, 0)]
    client.get(path)
    counts = []
    for number in (1, 3):
        asked += [_ask_as(approver, secret, item) for item in range(len(asked), number)]
        with CaptureQueriesContext(
            connection,
        ) as queries:
            client.get(path)
        counts.append(len(queries))

    assert counts[0] == counts[1]


def _ask_as(approver: Person, secret: Secret, number: int) -> RevealRequest:
    """One by somebody else; and one by the approver, whom another could decide."""
    Person.objects.filter(username="other").first() or factories.person("other", "approver")
    here = factories.secret(secret.vault, f"job-{number}")
    factories.ask(approver, here)
    return factories.ask(factories.person(f"dev-{number}", "reader"), here)


# --- The badge -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("waiting", "badge"), [(0, ""), (1, "1"), (3, "3"), (9, "9"), (10, "9+"), (12, "9+")])
def test_the_badge_counts_what_waits_for_me_and_stops_at_nine(
    waiting: int, badge: str, secret: Secret, approver: Person, client_of: ClientOf
) -> None:
    factories.policy("approval")
    for number in range(waiting):
        factories.ask(factories.person(f"dev-{number}", "reader"), secret)

    page = text(client_of(approver), "/help/")

    assert page.count("waiting for you</span>") == 2 * bool(badge)  # at the page's name, and at a phone's menu
    assert f'<span class="badge info end">{badge}<' in page or not badge


def test_the_badge_costs_one_query_and_only_those_who_decide(
    asked: RevealRequest, dev: Person, approver: Person, client_of: ClientOf, django_assert_num_queries
) -> None:
    for person, queries in ((dev, 3), (approver, 4)):  # the session, the person, the roles; and what waits
        client = client_of(person)
        client.get("/help/")
        with django_assert_num_queries(queries):
            client.get("/help/")


# --- One request -----------------------------------------------------------------------------------------------------
OFFERED = ("approve", "deny", "shorten", "edit", "withdraw", "revoke", "review")


def offered(page: str, request: RevealRequest) -> set[str]:
    return {verb for verb in OFFERED if f'action="/requests/{request.pk}/{verb}/"' in page}


def test_each_person_is_offered_exactly_what_they_may_do_now(
    asked: RevealRequest, dev: Person, approver: Person, reader: Person, client_of: ClientOf
) -> None:
    path = f"/requests/{asked.pk}/"
    people = (dev, approver, reader)

    before = [offered(text(client_of(person), path), asked) for person in people]
    approve(approver, asked)
    after = [offered(text(client_of(person), path), asked) for person in people]

    assert before == [{"edit", "withdraw"}, {"approve", "deny", "shorten"}, set()]
    assert after == [{"withdraw"}, {"deny", "revoke"}, set()]


def test_the_page_tells_the_question_its_policy_and_its_story(
    secret: Secret, dev: Person, approver: Person, approver_2: Person, client_of: ClientOf
) -> None:
    factories.policy("approval", approvals_needed=2)
    asked = factories.ask(dev, secret, reason="the reason", ticket="INC-7")
    approve(approver, asked)

    page = text(client_of(dev), f"/requests/{asked.pk}/")

    assert "Values are shown after 2 approvals." in page
    assert "1 of 2" in page
    assert "Could still decide: approver-2." in page
    assert ("the reason" in page, "INC-7" in page) == (True, True)
    assert page.index("secret:request") < page.index("request:approve")


def test_whoever_decides_sees_what_else_the_person_asked_and_was_shown(
    asked: RevealRequest, dev: Person, secret: Secret, client_of: ClientOf
) -> None:
    hidden = factories.secret(factories.vault("hr-prod"), "salary-key")
    factories.assign(factories.person("boss"), "approver")
    factories.ask(dev, hidden, reason="elsewhere")
    for item in (secret, hidden):
        LedgerEntry.objects.bulk_create([shown(dev, item)])
    lead = factories.person("lead", "approver", vault=secret.vault)

    page = text(client_of(lead), f"/requests/{asked.pk}/")

    assert "dev, these 30 days" in page
    assert "salary-key" not in page
    assert "And 1 value more." in page


def shown(person: Person, secret: Secret) -> LedgerEntry:
    last = LedgerEntry.objects.order_by("-seq").first()
    return LedgerEntry(
        seq=(last.seq if last else 0) + 1, act="00000000-0000-0000-0000-000000000001", at=timezone.now(),
        phase="revealed", action="secret:reveal", person_id=str(person.pk), person=str(person),
        vault=secret.vault.name, secret=secret.key, previous_hash="x", hash="x",
    )  # fmt: skip


def test_a_secret_that_was_changed_since_is_said_to_be(
    asked: RevealRequest, secret: Secret, approver: Person, client_of: ClientOf
) -> None:
    client, path = client_of(approver), f"/requests/{asked.pk}/"
    assert "Changed since this was asked" not in text(client, path)

    Secret.objects.update(updated_on=timezone.now() + timedelta(seconds=1))

    assert "Changed since this was asked" in text(client, path)


@pytest.mark.parametrize("viewer", ["dev", "approver"])
def test_the_page_costs_the_same_queries_however_long_the_story(
    viewer: str, asked: RevealRequest, dev: Person, approver: Person, approver_2: Person, client_of: ClientOf
) -> None:
    client, path = client_of({"dev": dev, "approver": approver}[viewer]), f"/requests/{asked.pk}/"
    client.get(path)
    counts = []
    for _ in range(3):
        requests.edit(dev, who(dev), asked.pk, reason="again", ticket="", minutes=9, use="once")
        RevealRequest.objects.update(policy=asked.policy)
        with CaptureQueriesContext(connection) as queries:
            client.get(path)
        counts.append(len(queries))

    assert len(set(counts)) == 1


# --- Verbs -----------------------------------------------------------------------------------------------------------
def test_approving_binds_to_what_was_seen(asked: RevealRequest, approver: Person, client_of: ClientOf) -> None:
    client = client_of(approver)
    assert f'name="seen" value="{asked.asked_hash}"' in text(client, f"/requests/{asked.pk}/")

    answer = act(client, asked, "approve", seen=asked.asked_hash, comment="fine")

    assert (answer.status_code, answer["Location"], state(asked)) == (302, f"/requests/{asked.pk}/", "approved")


REFUSED = {
    "stale": (
        "approve",
        {"seen": "0" * 64, "comment": "yes, <go>"},
        409,
        "The request has changed since you opened it.",
    ),
    "no word": ("deny", {"comment": " "}, 422, "Say why, in a few words: the person reads it."),
    "too long": ("deny", {"comment": "x" * 501}, 422, "At most 500 characters; this has 501."),
    "not shorter": ("shorten", {"minutes": "30"}, 422, "an approver may only shorten."),
    "no number": ("shorten", {"minutes": "few"}, 422, "Enter a whole number."),
    "not mine": ("withdraw", {}, 403, "Only the person who asked may do this."),
    "not mine either": (
        "edit",
        {"reason": "because <I> say", "minutes": "5", "use": "once"},
        403,
        "Only the person who asked may do this.",
    ),
    "not given": ("revoke", {"comment": "take it back"}, 409, "the request is waiting for a decision."),
    "no emergency": ("review", {"verdict": "misuse", "comment": "why not"}, 409, "This is not possible now"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_a_sentence_on_the_page_and_changes_nothing(
    case: str, asked: RevealRequest, approver: Person, client_of: ClientOf
) -> None:
    verb, fields, status, sentence = REFUSED[case]

    answer = act(client_of(approver), asked, verb, **fields)

    page = answer.content.decode()
    assert answer.status_code == status
    assert sentence in page
    assert [escape(fields.get(name, "")) in page for name in ("comment", "minutes")] == [True, True]
    assert (state(asked), asked.votes.count()) == ("pending", 0)


@pytest.mark.parametrize("verb", OFFERED)
def test_whoever_may_not_decide_is_refused_on_record_and_strangers_hear_of_nothing(
    verb: str, asked: RevealRequest, reader: Person, nobody: Person, client_of: ClientOf
) -> None:
    fields = {"seen": asked.asked_hash, "comment": "let me", "minutes": "5", "reason": "let me", "verdict": "misuse"}

    statuses = [act(client_of(person), asked, verb, **fields).status_code for person in (reader, nobody)]

    assert statuses == [409 if verb in {"revoke", "review"} else 403, 404]
    assert LedgerEntry.objects.filter(phase="refused", request=asked.pk).count() == 1
    assert state(asked) == "pending"


def test_nobody_decides_their_own(secret: Secret, approver: Person, approver_2: Person, client_of: ClientOf) -> None:
    factories.policy("approval")
    own = factories.ask(approver, secret)

    answer = act(client_of(approver), own, "approve", seen=own.asked_hash)

    assert answer.status_code == 403
    assert "Nobody decides their own request." in answer.content.decode()
    assert state(own) == "pending"


@pytest.mark.parametrize("verb", OFFERED)
@pytest.mark.parametrize("method", ["get", "head"])
def test_a_link_does_nothing(
    verb: str, method: str, asked: RevealRequest, dev: Person, approver: Person, client_of: ClientOf
) -> None:
    before = RevealRequest.objects.values().get()

    for person in (dev, approver):
        answer = getattr(client_of(person), method)(f"/requests/{asked.pk}/{verb}/", {"seen": asked.asked_hash})
        assert answer.status_code == 405

    assert RevealRequest.objects.values().get() == before
    assert LedgerEntry.objects.filter(request=asked.pk).count() == 1


def test_a_form_without_its_token_does_nothing(asked: RevealRequest, approver: Person) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(approver)

    assert act(strict, asked, "approve", seen=asked.asked_hash).status_code == 403
    assert state(asked) == "pending"


def test_the_requester_changes_and_withdraws(asked: RevealRequest, dev: Person, client_of: ClientOf) -> None:
    client = client_of(dev)

    act(client, asked, "edit", reason="another reason", ticket="INC-8", minutes="7", use="once")
    changed = RevealRequest.objects.get()
    act(client, asked, "withdraw")

    assert (changed.reason, changed.ticket, changed.minutes) == ("another reason", "INC-8", 7)
    assert state(asked) == "withdrawn"
    assert f"?again={asked.pk}" in text(client, f"/requests/{asked.pk}/")


def test_taking_back_ends_it_at_once(asked: RevealRequest, approver: Person, client_of: ClientOf) -> None:
    approve(approver, asked)

    act(client_of(approver), asked, "revoke", comment="the incident is over")

    page = text(client_of(asked.requester), f"/requests/{asked.pk}/")
    assert state(asked) == "revoked"
    assert "the incident is over" in page
    assert "Go and show the value" not in page


@pytest.mark.parametrize("words", HOSTILE)
def test_a_hostile_comment_stays_words(
    words: str, asked: RevealRequest, approver: Person, dev: Person, client_of: ClientOf
) -> None:
    refused = act(client_of(approver), asked, "approve", seen="stale", comment=words).content.decode()
    act(client_of(approver), asked, "deny", comment=words)

    page = text(client_of(dev), f"/requests/{asked.pk}/")

    assert [words in refused, escape(words) in refused] == [False, True]
    assert [words in page, escape(words) in page] == [False, True]


# --- Several at once -------------------------------------------------------------------------------------------------
def test_each_of_several_is_looked_at_again_and_told_apart(
    asked: RevealRequest, secret: Secret, dev: Person, approver: Person, approver_2: Person, client_of: ClientOf
) -> None:
    good = factories.ask(dev, factories.secret(secret.vault, "api-key"))
    fields = {
        "pick": [str(asked.pk), str(good.pk), "999999"],
        f"seen-{asked.pk}": "stale",
        "comment": "for the release",
    }

    answer = client_of(approver).post("/requests/approve/", {**fields, f"seen-{good.pk}": good.asked_hash})

    page = answer.content.decode()
    assert answer.status_code == 207
    assert (state(asked), state(good)) == ("pending", "approved")
    assert "The request has changed since you opened it. Read it again, then decide." in page
    assert "There is no such request, or none that you may see." in page
    assert good.votes.get().comment == "for the release"


def test_when_all_went_well_the_answer_says_so(asked: RevealRequest, approver: Person, client_of: ClientOf) -> None:
    answer = client_of(approver).post("/requests/approve/", {"pick": asked.pk, f"seen-{asked.pk}": asked.asked_hash})

    assert answer.status_code == 200
    assert "The request is approved now." in answer.content.decode()


@pytest.mark.parametrize("pick", [[], ["x"], ["-1"], ["9" * 40]])
def test_picking_nothing_approves_nothing(
    pick: list[str], asked: RevealRequest, approver: Person, client_of: ClientOf
) -> None:
    answer = client_of(approver).post("/requests/approve/", {"pick": pick, "comment": "kept"})

    assert answer.status_code in {409, 422}
    assert 'value="kept"' in answer.content.decode()
    assert state(asked) == "pending"


def test_nobody_approves_several_without_the_role(
    asked: RevealRequest, reader: Person, dev: Person, client_of: ClientOf
) -> None:
    for person in (reader, dev):
        answer = client_of(person).post("/requests/approve/", {"pick": asked.pk, f"seen-{asked.pk}": asked.asked_hash})
        assert answer.status_code == 409

    assert (state(asked), client_of(dev).get("/requests/approve/").status_code) == ("pending", 405)


# --- Home ------------------------------------------------------------------------------------------------------------
def test_home_says_what_waits_for_me_and_what_i_wait_for(
    asked: RevealRequest, secret: Secret, approver: Person, oncall: Person, reader: Person, client_of: ClientOf
) -> None:
    glass = break_glass.break_glass(oncall, who(oncall), secret, reason="payments are down", ticket="INC-9")
    requests.withdraw(oncall, who(oncall), glass.pk)

    pages = [text(client_of(person), "/") for person in (approver, asked.requester, reader)]

    titles = ("Requests waiting for you", "Emergencies</h2>", "Your open requests")
    assert [[title in page for title in titles] for page in pages] == [
        [True, True, False],
        [False, False, True],
        [False, False, False],
    ]
