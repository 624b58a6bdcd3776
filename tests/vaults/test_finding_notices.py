"""What is found is told at once to those who may read it: alarms to pagers too, notes to nobody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from audit.finding_models import Finding
from audit.findings import acknowledge, judge
from kvadmin.emulator.identities import KVADMIN
from tests import factories
from tests.audit.inventories import FakeInventory
from tests.audit.rows import event
from vaults.models import Person
from vaults.notices.findings import finding_notice

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _mail_is_open(settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"


def somebody(name: str, role: str, **scope: object) -> Person:
    person = factories.person(name, role, **scope)
    Person.objects.filter(pk=person.pk).update(email=f"{name}@contoso.example")
    return person


def sent() -> dict[str, str]:
    return {message.to[0]: message.body for message in mail.outbox}


def test_each_auditor_is_told_of_what_is_in_reach_once(run_jobs: Callable[[], None]) -> None:
    pay, hr = factories.vault("pay-prod"), factories.vault("hr-prod")
    somebody("everywhere", "auditor")
    somebody("of-pay", "auditor", vault=pay)
    somebody("of-test", "auditor", vault=factories.vault("pay-test"))
    somebody("reader", "reader")
    event(match="unexplained", vault=pay.name)
    event(match="unexplained", vault=hr.name)
    for _ in range(2):
        judge(FakeInventory())
        run_jobs()

    assert sorted(sent()) == ["everywhere@contoso.example", "of-pay@contoso.example"]
    assert ("pay-prod" in sent()["of-pay@contoso.example"], "hr-prod" in sent()["of-pay@contoso.example"]) == (
        True,
        False,
    )
    assert "Unexplained read: 2." in sent()["everywhere@contoso.example"]
    assert len(mail.outbox) == 2


def test_a_note_is_told_to_nobody(run_jobs: Callable[[], None]) -> None:
    somebody("auditor", "auditor")
    event(at=timezone.now() - timedelta(days=40), name="other")
    event()
    judge(FakeInventory())
    run_jobs()

    assert (Finding.objects.get().severity, mail.outbox) == ("note", [])


def test_what_was_acknowledged_before_the_mail_went_out_is_not_told(run_jobs: Callable[[], None]) -> None:
    auditor = somebody("auditor", "auditor")
    event(match="unexplained")
    judge(FakeInventory())
    acknowledge(factories.actor(auditor), Finding.objects.all(), "seen already")
    run_jobs()

    assert mail.outbox == []


def test_where_nobody_can_be_told_nothing_is_queued(settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    event(match="unexplained")
    judge(FakeInventory())

    assert DBTaskResult.objects.count() == 0


def test_a_long_list_is_cut_and_says_so() -> None:
    """Twenty-five alarms, and the burst that they make together."""
    for n in range(25):
        event(match="unexplained", name=f"secret-{n}")
    judge(FakeInventory())
    notice = finding_notice(Finding.objects.all())

    assert notice is not None
    assert (len(notice.items), notice.items[-1]) == (21, "and 6 more")
    assert notice.subject == "kvadmin: 26 new findings"


def test_ingesting_is_followed_by_judging(run_jobs: Callable[[], None], azure: object) -> None:
    from vaults.tasks import ingest_audit

    event(match="other", app_id=KVADMIN.app_id)
    ingest_audit.enqueue()
    run_jobs()

    assert Finding.objects.get().rule == "unexplained"
