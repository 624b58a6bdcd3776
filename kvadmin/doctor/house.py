"""What kvadmin needs at home: settings, database, cache, worker, mail and notices, and the sign-in with Entra."""

from __future__ import annotations

import os
from collections import Counter
from datetime import timedelta
from smtplib import SMTPException

import requests
from django.conf import settings
from django.core.cache import cache
from django.core.checks import ERROR, run_checks
from django.core.mail import EmailMessage, get_connection
from django.db import connection
from django.db.models.functions import Now
from django.utils.crypto import get_random_string

from audit import triggers
from kvadmin import checks, migrating
from kvadmin.doctor.results import Lines, Seen, by_error, look, off, ok, wrong
from kvadmin.entra.adapter import SocialAdapter
from kvadmin.gateway import entra
from kvadmin.gateway.errors import GatewayError, Unreachable
from kvadmin.jobs import recovery
from kvadmin.jobs.models import Schedule, WorkerBeat
from vaults.notices import mail as notices_by_mail
from vaults.notices.channels import channels

LATE = timedelta(minutes=10)
MAIL_TEXT = "kvadmin's doctor sent this, because somebody asked for it. Mail from kvadmin arrives here."


def system_checks(seen: Seen) -> Lines:
    """What `manage.py check` says."""
    found = run_checks(tags=[checks.TAG])
    for message in found:
        line = f"{message.id}: {message.msg} {message.hint}"
        yield wrong(line) if message.level >= ERROR else look(line)
    if not found:
        yield ok("The settings contradict nothing that kvadmin knows of.")


def database(seen: Seen) -> Lines:
    """It answers, it is as new as the code, and it refuses to change the ledger."""
    if migrating.behind():
        yield wrong("The database is older than the code.", "python manage.py migrate")
        return
    yield ok(f"The database ({connection.vendor}) answers and is as new as the code.")
    if triggers.missing(connection):
        yield wrong(
            "The database would let somebody change or delete rows of the ledger: its triggers are missing. Find out "
            "who took them away, and verify the ledger.",
            "python manage.py verify_ledger\npython manage.py migrate",
        )
    else:
        yield ok("The database refuses to change or delete rows of the ledger.")


def shared_cache(seen: Seen) -> Lines:
    """It keeps what it is given, and other processes see it."""
    key, word = f"doctor-{get_random_string(12)}", get_random_string(12)
    try:
        cache.set(key, word, 60)
        kept = cache.get(key) == word
        cache.delete(key)
    except Exception as error:  # noqa: BLE001 - each backend raises its own kinds, and their texts may quote the URL
        yield wrong(f"The cache does not answer ({type(error).__name__}). Look at CACHE_URL.")
        return
    if not kept:
        yield wrong("The cache forgets at once what it is given. Look at CACHE_URL.")
    elif not settings.CACHES["default"]["BACKEND"].endswith("LocMemCache"):
        yield ok("The cache keeps what it is given, outside of this process.")
    elif connection.vendor == "sqlite" and os.environ.get("WEB_CONCURRENCY", "1") == "1":
        yield ok("Each process has a cache of its own, which does for one web process.")
    else:
        yield look("Each process has a cache of its own. Several web processes need CACHE_URL: kvadmin.W002.")


def worker(seen: Seen) -> Lines:
    """One was heard of lately, and what is due has been queued."""
    alive = WorkerBeat.objects.filter(seen_at__gte=Now() - recovery.SILENCE).count()
    if not alive:
        yield wrong(
            "No worker was heard of within a minute, so nothing is swept, taken in or sent.", "python manage.py worker"
        )
        return
    late = Schedule.objects.filter(paused=False, next_at__lt=Now() - LATE).values_list("name", flat=True)
    yield ok(f"Workers that live: {alive}.")
    if late:
        yield look(f"Overdue by more than ten minutes: {', '.join(sorted(late))}. Look at the worker's log.")


def mail(seen: Seen) -> Lines:
    """The mail server takes the connection and the sign-in; a mail is sent only where one was asked for."""
    if not notices_by_mail.is_open():
        yield off("No mail is sent: EMAIL_URL is not set.")
        return
    try:
        _knock(seen.mail_to)
    except (OSError, SMTPException, ValueError) as error:  # its text may quote the server's
        yield wrong(
            f"The mail server {settings.EMAIL_HOST}:{settings.EMAIL_PORT} does not take kvadmin's mail "
            f"({type(error).__name__}). Look at EMAIL_URL and KVADMIN_MAIL_FROM."
        )
        return
    sent = f"A mail was sent to {seen.mail_to}." if seen.mail_to else "None was sent; --mail ADDRESS sends one."
    yield ok(f"The mail server {settings.EMAIL_HOST}:{settings.EMAIL_PORT} takes kvadmin's connection. {sent}")


def _knock(address: str) -> None:
    with get_connection() as server:
        if address:
            EmailMessage("kvadmin: a test", MAIL_TEXT, to=[address], connection=server).send()


def notices(seen: Seen) -> Lines:
    """Which kinds of channels there are. None is tried: it would be a message to people, or a page to a pager."""
    kinds = Counter(channel.kind for channel in channels())
    if kinds:
        listed = ", ".join(f"{kind} ({number})" for kind, number in sorted(kinds.items()))
        yield ok(f"Channels for notices: {listed}. Nothing was posted.")
    elif settings.KVADMIN_NOTIFY_URLS:
        yield wrong("KVADMIN_NOTIFY_URLS is set, and the package that sends is missing.", "pip install apprise")
    else:
        yield off("No chat, webhook or pager hears of anything: KVADMIN_NOTIFY_URLS is not set.")


def sign_in(seen: Seen) -> Lines:
    """Entra's own description can be read, and is the tenant's."""
    if not settings.KVADMIN_OIDC_CLIENT_ID:
        yield off("People sign in with local accounts only: KVADMIN_OIDC_CLIENT_ID is not set.")
        return
    address = f"{settings.KVADMIN_OIDC_ISSUER}/.well-known/openid-configuration"
    try:
        with SocialAdapter().get_requests_session() as session:
            issuer = session.get(address).json().get("issuer")
    except (requests.RequestException, ValueError, AttributeError) as error:
        yield wrong(f"{address} cannot be read ({type(error).__name__}), so nobody can sign in with Microsoft.")
        return
    if issuer == settings.KVADMIN_OIDC_ISSUER:
        yield ok(f"Microsoft's sign-in is within reach and is the tenant's: {issuer}.")
    else:
        command = "az account show --query tenantId"
        yield wrong("Another tenant answers than KVADMIN_OIDC_TENANT_ID names by its id.", command)


def app_registration(seen: Seen) -> Lines:
    """Entra accepts what the app registration proves itself with. Where another provider stands in, it is not tried."""
    if not settings.KVADMIN_OIDC_CLIENT_ID:
        yield off("There is no app registration to try.")
    elif not settings.KVADMIN_OIDC_ISSUER.startswith(settings.AUTHORITIES[settings.KVADMIN_CLOUD]):
        yield look("KVADMIN_OIDC_ISSUER is not Entra, so the app registration's secret was not tried.")
    else:
        yield from _app()


def _app() -> Lines:
    kind, app = settings.KVADMIN_OIDC_CREDENTIAL, settings.KVADMIN_OIDC_CLIENT_ID
    listed = "federated-credential list" if kind == "managed-identity" else "credential list"
    try:
        entra.prove_app()
    except Unreachable as error:
        yield by_error(error)
    except GatewayError as error:
        code = f" ({error.inner})" if error.inner else ""
        said = f"Entra does not accept the app registration with its {kind}{code}. {error.advice}"
        yield wrong(said, f"az ad app {listed} --id {app}")
    else:
        yield ok(f"Entra accepts the app registration {app} with its {kind}.")
