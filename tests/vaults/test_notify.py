"""Who is told of what, by which way; that no notice holds or does more than it should, and that none is in the way."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core import mail
from django.core.checks import run_checks
from django.db import transaction
from django.test import Client
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

from audit.models import LedgerEntry
from kvadmin.emulator.state import Azure
from tests import factories
from tests.processes import environment, manage, python
from vaults import break_glass, grants, requests
from vaults.models import CLOSED, Person, RevealPolicy, RevealRequest, Secret, State, Vote
from vaults.notices import digest as digests
from vaults.notices import jobs
from vaults.notices import mail as mails
from vaults.notices.channels import channels
from vaults.notices.events import Event
from vaults.notices.words import Notice, request_notice
from vaults.tasks import send_digest, settle_requests

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),  # Apprise's own import
]

Run = Callable[[], None]
who = factories.actor
CANARY = "canary-notify-5d1f"
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"


@pytest.fixture
def secret(azure: Azure) -> Secret:
    azure.add_subscription(SUBSCRIPTION, "Payments")
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    azure.put_secret("pay-prod", "db-password", CANARY)
    return factories.secret(factories.vault("pay-prod"), "db-password")


def reachable(name: str, role: str, **scope: Any) -> Person:
    """Somebody with an e-mail address."""
    person = factories.person(name, role, **scope)
    person.email = f"{name}@example.com"
    person.save()
    return person


@pytest.fixture
def dev(db: None) -> Person:
    return reachable("dev", "reader")


@pytest.fixture
def lead(db: None) -> Person:
    return reachable("lead", "approver")


@pytest.fixture
def lead_2(db: None) -> Person:
    return reachable("lead-2", "approver")


@pytest.fixture
def rule(db: None) -> RevealPolicy:
    return factories.policy("approval", break_glass=True)


@pytest.fixture
def asked(
    rule: RevealPolicy, secret: Secret, dev: Person, lead: Person, lead_2: Person, run_jobs: Run
) -> RevealRequest:
    """A request of which everybody has been told; what they got is put away."""
    request = factories.ask(dev, secret)
    run_jobs()
    mail.outbox.clear()
    return request


def approve(lead: Person, request: RevealRequest) -> None:
    requests.approve(lead, who(lead), request.pk, seen=request.asked_hash)


def told() -> list[tuple[str, str]]:
    """To whom mail went, and its subject."""
    return sorted((message.to[0], message.subject) for message in mail.outbox)


def queued() -> list[tuple[str, list[object]]]:
    return [(job.task_path.rpartition(".")[2], job.args_kwargs["args"]) for job in DBTaskResult.objects.order_by("pk")]


# --- A webhook: a real HTTP server -----------------------------------------------------------------------------------
class Hook:
    """What it got, and what it answers: the statuses in turn, then 200."""

    def __init__(self, port: int) -> None:
        self.url = f"json://127.0.0.1:{port}/hook/token-of-the-url"
        self.got: list[dict[str, Any]] = []
        self.statuses: list[int] = []


@pytest.fixture
def hook(settings: Settings) -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.got.append(json.loads(body))
            self.send_response(found.statuses.pop(0) if found.statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Hook(server.server_port)
    settings.KVADMIN_NOTIFY_URLS = [found.url]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


# --- Who is told ------------------------------------------------------------------------------------------------------
def test_whoever_may_decide_is_told_and_nobody_else(
    rule: RevealPolicy, secret: Secret, dev: Person, lead: Person, lead_2: Person, run_jobs: Run
) -> None:
    reachable("elsewhere", "approver", environment="dev")
    reachable("boss", "administrator")

    request = factories.ask(dev, secret)
    run_jobs()

    subject = f"kvadmin #{request.pk}: dev asks to see db-password in pay-prod"
    assert told() == [("lead-2@example.com", subject), ("lead@example.com", subject)]
    assert f"https://testserver/requests/{request.pk}/" in mail.outbox[0].body


def happen(event: str, request: RevealRequest, dev: Person, lead: Person) -> None:
    match event:
        case "approved":
            approve(lead, request)
        case "denied":
            requests.deny(lead, who(lead), request.pk, comment=CANARY)
        case "revoked":
            approve(lead, request)
            requests.revoke(lead, who(lead), request.pk, comment=CANARY)
        case "expired":
            RevealRequest.objects.update(due_at=timezone.now())
            settle_requests.call()
        case "void":
            Secret.objects.update(enabled=False)
            settle_requests.call()
        case "changed":
            requests.edit(dev, who(dev), request.pk, reason=CANARY, ticket=CANARY, minutes=5, use="once")


@pytest.mark.parametrize(
    ("event", "people", "words"),
    [
        ("approved", ["dev"], "Your request for db-password in pay-prod is approved"),
        ("denied", ["dev"], "Your request for db-password in pay-prod is denied"),
        ("revoked", ["dev"], "Your grant for db-password in pay-prod was taken back"),
        ("expired", ["dev"], "Your request for db-password in pay-prod has expired"),
        ("void", ["dev"], "Your request for db-password in pay-prod is void: what it stood on has changed"),
        (
            "changed",
            ["lead", "lead-2"],
            "The request of dev for db-password in pay-prod has changed, so every vote on it fell",
        ),
    ],
)
def test_whom_it_concerns_is_told_how_it_went(
    event: str, people: list[str], words: str, asked: RevealRequest, dev: Person, lead: Person, run_jobs: Run
) -> None:
    happen(event, asked, dev, lead)
    run_jobs()

    subject = f"kvadmin #{asked.pk}: {words}"
    assert told() == sorted((f"{name}@example.com", subject) for name in people)


def test_an_emergency_is_told_at_once_and_its_review_is_asked_for(
    rule: RevealPolicy, secret: Secret, lead: Person, hook: Hook, run_jobs: Run
) -> None:
    oncall = reachable("oncall", "break-glass-holder")
    request = break_glass.break_glass(oncall, who(oncall), secret, reason=CANARY, ticket="INC-9")
    run_jobs()
    requests.withdraw(oncall, who(oncall), request.pk)
    run_jobs()
    break_glass.review(lead, who(lead), request.pk, justified=True, comment="I was there")
    run_jobs()

    assert [(message.to[0], message.subject.partition(": ")[2]) for message in mail.outbox] == [
        ("lead@example.com", "oncall has broken the glass on db-password in pay-prod"),
        ("lead@example.com", "The break-glass of oncall on db-password in pay-prod is over and has to be reviewed"),
        ("oncall@example.com", "The break-glass of oncall on db-password in pay-prod is over and has to be reviewed"),
        ("oncall@example.com", "Your break-glass on db-password in pay-prod was reviewed: justified"),
    ]
    assert [notice["type"] for notice in hook.got] == ["warning", "info"]


def test_every_state_is_told_or_is_the_persons_own_doing() -> None:
    own_doing = {State.WITHDRAWN, State.CONSUMED, State.ENDED}

    assert {state for state in CLOSED if state not in Event.values} == own_doing


def test_pagers_hear_of_emergencies_only(
    rule: RevealPolicy, secret: Secret, dev: Person, lead: Person, settings: Settings, run_jobs: Run
) -> None:
    settings.KVADMIN_NOTIFY_URLS = ["pagerduty://a@b", "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"]
    pager, chat = (channel.id for channel in channels())
    request = factories.ask(dev, secret)

    jobs.tell.call("asked", request.pk)
    asked_of = [args[-1] for name, args in queued() if name == "post_event"]
    RevealRequest.objects.update(kind="break-glass", state="active")
    jobs.tell.call("break-glass", request.pk)

    assert asked_of == [chat]
    assert sorted(args[-1] for name, args in queued() if name == "post_event") == sorted([chat, chat, pager])  # type: ignore[type-var]


@pytest.mark.parametrize(
    "change",
    [{"is_active": False}, {"email": ""}, {"email": "a@example.com\nBcc: b@example.com"}, {"email": "a@b, c@d"}],
)
def test_who_cannot_be_told_is_passed_over(
    change: dict[str, object], asked: RevealRequest, lead: Person, run_jobs: Run
) -> None:
    Person.objects.filter(username="lead-2").update(**change)

    requests.edit(asked.requester, who(asked.requester), asked.pk, reason="b", ticket="", minutes=5, use="once")
    run_jobs()

    assert [to for to, _ in told()] == ["lead@example.com"]
    assert DBTaskResult.objects.exclude(status="SUCCESSFUL").count() == 0


def test_what_time_has_overtaken_is_not_sent(asked: RevealRequest, lead: Person, run_jobs: Run) -> None:
    approve(lead, asked)
    requests.withdraw(asked.requester, who(asked.requester), asked.pk)
    run_jobs()

    assert told() == []


# --- It is in nobody's way -------------------------------------------------------------------------------------------
def test_a_notice_is_queued_with_the_step_or_not_at_all(asked: RevealRequest, lead: Person) -> None:
    DBTaskResult.objects.all().delete()
    with pytest.raises(RuntimeError), transaction.atomic():
        approve(lead, asked)
        raise RuntimeError
    assert queued() == []

    approve(lead, asked)

    assert queued() == [("tell", ["approved", asked.pk])]


def test_without_mail_and_channels_nothing_is_queued(asked: RevealRequest, lead: Person, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    DBTaskResult.objects.all().delete()

    approve(lead, asked)

    assert queued() == []


def again() -> None:
    """The pause before the next try is over."""
    DBTaskResult.objects.filter(status="READY").update(run_after=timezone.now())


def test_a_channel_that_fails_is_tried_again_and_the_decision_stands(
    asked: RevealRequest, dev: Person, lead: Person, hook: Hook, run_jobs: Run
) -> None:
    hook.statuses = [500, 302]
    requests.edit(dev, who(dev), asked.pk, reason="b", ticket="", minutes=5, use="once")
    jobs.tell.call("asked", asked.pk)
    mail.outbox.clear()
    counts = []
    for _ in range(3):
        run_jobs()
        counts.append((len(hook.got), len(mail.outbox)))
        again()

    assert counts == [(1, 4), (2, 4), (3, 4)]  # nobody gets a mail twice because a channel failed
    asked.refresh_from_db()
    assert (asked.state, asked.minutes) == ("pending", 5)
    failed = DBTaskResult.objects.get(task_path="vaults.notices.jobs.post_event")
    assert (failed.status, len(failed.worker_ids)) == ("SUCCESSFUL", 3)
    assert "A channel of kind json did not take a notice." in failed.traceback


def test_a_mail_server_that_is_away_is_tried_again_and_the_decision_stands(
    asked: RevealRequest, lead: Person, settings: Settings, run_jobs: Run
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1

    approve(lead, asked)
    run_jobs()

    job = DBTaskResult.objects.get(task_path="vaults.notices.jobs.mail_event", status="READY")
    assert (job.run_after > timezone.now(), job.exception_class_path) == (True, "builtins.ConnectionRefusedError")
    asked.refresh_from_db()
    assert asked.state == "approved"


def test_a_run_that_comes_twice_settles_once(asked: RevealRequest, run_jobs: Run) -> None:
    RevealRequest.objects.update(due_at=timezone.now())

    assert (settle_requests.call(), settle_requests.call()) == (1, 0)


# --- What a notice holds ---------------------------------------------------------------------------------------------
@pytest.fixture
def story(rule: RevealPolicy, secret: Secret, dev: Person, lead: Person, hook: Hook, run_jobs: Run) -> list[str]:
    """Everything that was sent in a story in which every text that a person may type holds the value."""
    request = factories.ask(dev, secret, reason=CANARY, ticket=CANARY)
    run_jobs()
    requests.approve(lead, who(lead), request.pk, seen=request.asked_hash, comment=CANARY)
    run_jobs()
    assert grants.reveal(dev, who(dev), request.pk).value.expose() == CANARY
    again_asked = factories.ask(dev, secret, reason=CANARY)
    requests.deny(lead, who(lead), again_asked.pk, comment=CANARY)
    factories.assign(dev, "break-glass-holder")
    emergency = break_glass.break_glass(Person.objects.get(pk=dev.pk), who(dev), secret, reason=CANARY, ticket=CANARY)
    run_jobs()
    requests.revoke(lead, who(lead), emergency.pk, comment=CANARY)
    run_jobs()
    break_glass.review(lead, who(lead), emergency.pk, justified=False, comment=CANARY)
    run_jobs()
    return [str(message.message()) for message in mail.outbox] + [json.dumps(notice) for notice in hook.got]


def test_no_notice_holds_a_value_or_a_typed_text(story: list[str]) -> None:
    assert len(story) == 10
    assert [notice for notice in story if CANARY in notice] == []
    assert [job for job in queued() if CANARY in str(job)] == []


def test_the_queue_holds_ids_and_words_only(story: list[str]) -> None:
    channel = channels()[0]
    arguments = {argument for _, args in queued() for argument in args}

    assert {argument for argument in arguments if not isinstance(argument, int)} <= {*Event.values, channel.id}
    assert "token" not in repr(channel)


def links() -> set[str]:
    """Every address in every mail, in the text and in the HTML."""
    parts = [part for message in mail.outbox for part in (message.body, str(message.alternatives[0][0]))]
    return {
        found.removeprefix("https://testserver") for part in parts for found in re.findall(r"https?://[^\s\"<]+", part)
    }


def everything() -> list[object]:
    tables = (RevealRequest, Vote, LedgerEntry, DBTaskResult, RevealPolicy, Secret)
    return [list(model.objects.order_by("pk").values()) for model in tables]


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize("username", ["", "dev", "lead", "stranger"])
def test_following_a_mailed_link_changes_nothing(method: str, username: str, story: list[str]) -> None:
    factories.person("stranger", "reader", environment="dev")
    client, before = Client(), everything()
    if username:
        client.force_login(Person.objects.get(username=username))

    found = links()
    statuses = {getattr(client, method)(link).status_code for link in found}

    assert len(found) == 3
    assert statuses == {302 if not username else 404 if username == "stranger" else 200}
    assert everything() == before


def test_a_name_cannot_write_a_header_or_html(
    rule: RevealPolicy, secret: Secret, dev: Person, lead: Person, hook: Hook, run_jobs: Run
) -> None:
    dev.first_name, dev.last_name = "Eve\r\nBcc: all@example.com", "<script>alert(1)</script> <!channel> O'Hara"
    dev.save()

    factories.ask(dev, secret)
    run_jobs()

    message = mail.outbox[0].message()
    assert message.keys().count("Bcc") == 0
    assert message["Subject"].replace("\n", "").count("Eve Bcc all@example.com script alert 1") == 1
    html = str(mail.outbox[0].alternatives[0][0])
    assert "O&#x27;Hara" in html
    assert "<script" not in html
    assert "<" not in hook.got[0]["message"] + hook.got[0]["title"]


def test_what_comes_into_the_html_is_escaped(lead: Person) -> None:
    mails.send(lead, Notice("s", "<b>bold</b>", ("<i>item</i>",)))

    html = str(mail.outbox[0].alternatives[0][0])
    assert "&lt;b&gt;bold&lt;/b&gt;" in html
    assert "&lt;i&gt;item&lt;/i&gt;" in html


def test_a_mail_says_that_no_person_wrote_it(lead: Person) -> None:
    mails.send(lead, Notice("s", "t"))

    assert mail.outbox[0].extra_headers["Auto-Submitted"] == "auto-generated"


def test_without_a_base_url_there_is_no_link_and_the_number_tells(asked: RevealRequest, settings: Settings) -> None:
    settings.KVADMIN_BASE_URL = ""

    notice = request_notice(Event.ASKED, asked)

    assert (notice.link, notice.subject.partition(":")[0]) == ("", f"kvadmin #{asked.pk}")


# --- The digest ------------------------------------------------------------------------------------------------------
def expiring(vault: Any, *days: float) -> None:
    for number, day in enumerate(days):
        factories.secret(vault, f"key-{number}", expires_on=timezone.now() + timedelta(days=day))


def test_the_digest_goes_to_those_who_could_renew_and_to_the_channels(
    secret: Secret, dev: Person, hook: Hook, run_jobs: Run
) -> None:
    expiring(secret.vault, 40, 2, 1, -1, -8)
    expiring(factories.vault("id-dev", environment="dev"), 3)
    reachable("officer", "secrets-officer", environment="prod")
    member = reachable("member", "reader")
    group = Group.objects.create(name="writers")
    member.groups.add(group)
    factories.RoleAssignment.objects.create(group=group, role="secrets-officer", scope_kind="everything")

    send_digest.call()
    run_jobs()

    assert told() == [
        ("member@example.com", "kvadmin: 4 secrets expire soon"),
        ("officer@example.com", "kvadmin: 3 secrets expire soon"),
    ]
    lines = [line.partition(": ")[0] for line in hook.got[0]["message"].splitlines() if line.startswith("- ")]
    assert lines == ["- pay-prod / key-3", "- pay-prod / key-2", "- pay-prod / key-1", "- id-dev / key-0"]


def test_what_nobody_uses_or_renews_is_not_in_the_digest(secret: Secret) -> None:
    soon = timezone.now() + timedelta(days=1)
    for name, fields in {
        "off": {"enabled": False}, "gone": {"vanished_at": timezone.now()}, "certificate": {"managed": True}
    }.items():  # fmt: skip
        factories.secret(secret.vault, name, expires_on=soon, **fields)

    assert digests.digest() is None


def test_without_anything_to_say_nobody_hears_anything(secret: Secret, hook: Hook, run_jobs: Run) -> None:
    reachable("officer", "secrets-officer")

    send_digest.call()
    run_jobs()

    assert (told(), hook.got) == ([], [])


@pytest.mark.parametrize("size", [1, 3])
def test_a_digest_costs_the_same_queries_whatever_its_size(
    size: int, secret: Secret, django_assert_num_queries: Any
) -> None:
    expiring(secret.vault, *range(1, size + 1))
    officer = reachable("officer", "secrets-officer")

    with django_assert_num_queries(3):
        notice = digests.digest(officer)

    assert notice is not None
    assert len(notice.items) == size


def test_a_long_digest_names_the_first_and_counts_the_rest(secret: Secret) -> None:
    expiring(secret.vault, *[1 + number / 100 for number in range(52)])

    notice = digests.digest()

    assert notice is not None
    assert (len(notice.items), notice.items[-1]) == (51, "and 2 more")
    assert notice.link == "https://testserver/search/?q=is%3Aexpiring"


# --- Set up ----------------------------------------------------------------------------------------------------------
def found_by_checks() -> set[str]:
    return {str(message.id) for message in run_checks(tags=["kvadmin"]) if "W00" in str(message.id)}


def test_channels_without_the_package_are_warned_of_and_mail_works(
    asked: RevealRequest, lead: Person, hook: Hook, monkeypatch: pytest.MonkeyPatch, run_jobs: Run
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)  # Python's way to say that it is not there

    requests.edit(asked.requester, who(asked.requester), asked.pk, reason="b", ticket="", minutes=5, use="once")
    jobs.tell.call("asked", asked.pk)
    run_jobs()

    assert "kvadmin.W004" in found_by_checks()
    assert (len(mail.outbox), hook.got) == (4, [])


def test_notices_that_lead_nowhere_are_warned_of(settings: Settings) -> None:
    settings.KVADMIN_BASE_URL = ""

    assert "kvadmin.W005" in found_by_checks()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KVADMIN_NOTIFY_URLS", "json://ok.example file:///etc/hunter2"),
        ("KVADMIN_NOTIFY_URLS", "hunter2"),
        ("KVADMIN_BASE_URL", "javascript:hunter2"),
        ("KVADMIN_BASE_URL", "https://user:hunter2@example.com"),
        ("EMAIL_URL", "carrier-pigeon://hunter2"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_not_printed(name: str, value: str) -> None:
    start = manage("check", **{name: value})
    said = start.communicate()[0]

    assert start.returncode == 1
    assert f"{name}: " in said
    assert "hunter2" not in said


def test_the_web_process_does_not_load_apprise() -> None:
    code = "import django, sys; django.setup(); import vaults.tasks, vaults.notify; print('apprise' in sys.modules)"
    start = python("-c", code, env=environment(DJANGO_SETTINGS_MODULE="kvadmin.settings"))

    assert start.communicate()[0] == "False\n"
