"""Reminders of an expiry: to owners by tag and to whoever asked, once for each stage, and for nobody else's eyes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from django.utils import timezone

from tests import factories
from vaults.models import ExpiryWatch, Person, ReminderSent, Secret, Vault
from vaults.notices import reminders

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _mail(settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"


@pytest.fixture
def pay(db: None) -> Vault:
    return factories.vault("pay-prod")


@pytest.fixture
def eve(db: None) -> Person:
    person = factories.person("eve", "reader")
    Person.objects.filter(pk=person.pk).update(email="eve@example.com")
    return Person.objects.get(pk=person.pk)


def owned(vault: Vault, days: float, owner: str = "eve@example.com", name: str = "db-password") -> Secret:
    return factories.secret(vault, name, tags={"Owner": owner}, expires_on=timezone.now() + timedelta(days=days))


def lines() -> list[str]:
    return [line for message in mail.outbox for line in message.body.splitlines() if " / " in line]


def test_an_owner_is_reminded_once_for_each_stage(pay: Vault, eve: Person) -> None:
    secret = owned(pay, 29)
    assert [reminders.mail_reminders.call(eve.pk) for _ in range(2)] == [1, 0]
    ReminderSent.objects.filter(stage=30).update(stage=14)  # as if it had been told a stage later
    assert reminders.mail_reminders.call(eve.pk) == 1
    assert ReminderSent.objects.filter(key=secret.key, expires_on=secret.expires_on).count() == 2


def test_another_date_is_another_expiry(pay: Vault, eve: Person) -> None:
    owned(pay, 5)
    reminders.mail_reminders.call(eve.pk)
    Secret.objects.update(expires_on=timezone.now() + timedelta(days=6))
    assert reminders.mail_reminders.call(eve.pk) == 1


@pytest.mark.parametrize(
    ("days", "stage"), [(30, 30), (14.5, 30), (14, 14), (7.1, 14), (7, 7), (1.2, 7), (1, 1), (0.1, 1), (0, 0), (-3, 0)]
)
def test_a_stage_is_the_latest_that_was_reached(days: float, stage: int) -> None:
    now = datetime(2027, 1, 1, tzinfo=UTC)
    assert reminders.stage_of(now + timedelta(days=days), now) == stage


@pytest.mark.parametrize("owner", ["eve", "EVE@example.com", "eve@example.com"])
def test_an_owner_is_known_by_address_or_name_in_any_case(pay: Vault, eve: Person, owner: str) -> None:
    owned(pay, 5, owner)
    reminders.mail_reminders.call(eve.pk)
    assert [
        f"pay-prod / db-password: expires {Secret.objects.get().expires_on:%Y-%m-%d %H:%MZ}" in line for line in lines()
    ] == [True]


@pytest.mark.parametrize("owner", ["eve2", "eve@example.com.evil", "ann", ""])
def test_somebody_elses_secret_is_not_theirs(pay: Vault, eve: Person, owner: str) -> None:
    owned(pay, 5, owner)
    assert (reminders.mail_reminders.call(eve.pk), mail.outbox) == (0, [])


def test_a_tag_opens_no_door_to_a_secret_that_one_may_not_see(pay: Vault, eve: Person) -> None:
    owned(factories.vault("hidden", environment="hush"), 5)
    eve.role_assignments.all().delete()
    factories.assign(eve, "reader", environment="prod")
    owned(pay, 5, name="mine")
    reminders.mail_reminders.call(eve.pk)
    assert ["hidden" in line for line in lines()] == [False]


def test_whoever_asked_is_reminded_until_they_ask_no_longer(pay: Vault, eve: Person) -> None:
    owned(pay, 5, "ann")
    watch = ExpiryWatch.objects.create(person=eve, vault=pay, key="db-password")
    factories.secret(factories.vault("other"), "db-password", expires_on=timezone.now() + timedelta(days=5))
    assert reminders.mail_reminders.call(eve.pk) == 1
    watch.delete()
    Secret.objects.update(expires_on=timezone.now() + timedelta(days=1))
    assert reminders.mail_reminders.call(eve.pk) == 0


@pytest.mark.parametrize(
    "fields", [{"enabled": False}, {"managed": True}, {"vanished_at": timezone.now()}, {"expires_on": None}]
)
def test_what_needs_nobody_is_left_out(pay: Vault, eve: Person, fields: dict[str, object]) -> None:
    owned(pay, 5)
    Secret.objects.update(**fields)
    assert reminders.mail_reminders.call(eve.pk) == 0


def test_those_who_may_be_meant_are_queued_by_the_daily_job(
    pay: Vault, eve: Person, nobody: Person, run_jobs: Callable[[], None]
) -> None:
    owned(pay, 5)
    assert reminders.queue_reminders() == 1
    run_jobs()
    assert [message.to for message in mail.outbox] == [["eve@example.com"]]
    assert reminders.queue_reminders() == 1
    run_jobs()
    assert len(mail.outbox) == 1


def test_without_mail_nobody_is_queued(pay: Vault, eve: Person, settings) -> None:
    settings.EMAIL_BACKEND = reminders.mail.NOWHERE
    owned(pay, 5)
    assert reminders.queue_reminders() == 0
