"""The sweep: which vaults there are, and each one's secrets without their values.

Threads only talk to Azure; the calling thread alone writes, which is what SQLite likes best. In memory lie a few pages
per vault that is being listed, and of those there are KVADMIN_SYNC_PARALLEL at a time.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import Q
from django.utils import timezone
from structlog.contextvars import bind_contextvars, get_contextvars

from kvadmin.gateway import deleted, keyvault
from kvadmin.gateway.deleted import DeletedProperties
from kvadmin.gateway.diagnostics import Diagnostics, Workspaces, diagnostics
from kvadmin.gateway.errors import GatewayError, error_for
from kvadmin.gateway.keyvault import SecretProperties
from kvadmin.gateway.paging import SWEEP, Patience
from vaults import described, discovery, health, limbo, warned
from vaults.models import SyncRun, Vault
from vaults.rows import VaultRows

logger = logging.getLogger(__name__)
State = SyncRun.State
SILENT = timedelta(minutes=15)  # a running sweep that reports nothing for so long has lost its worker
PAGES = 20  # of 25 secrets: what one thread fetches before its batch is written
VAULT_SECONDS = 600.0  # a vault that takes longer is cut off, so that it cannot hold the sweep up for ever
REPORT_SECONDS = 1.0
BUSY = "Another sweep is already running."
NOT_STORED = "kvadmin could not store what Azure listed for this vault."
LOOK = "kvadmin's log names the kind of error."
LOST = (OperationalError, InterfaceError)  # the database is away: no vault's fault
COUNTERS = ("vaults_done", "vaults_failed", "secrets_seen", "secrets_written", "secrets_vanished")
NOTHING_YET = dict.fromkeys(COUNTERS, 0)  # a sweep that is carried on begins anew


def sync_inventory(run: SyncRun | None = None, *, patience: Patience = SWEEP) -> SyncRun:
    """Bring the stored inventory up to date; reads no value. Safe to repeat, and what fails is told per vault.

    `run` is a queued sweep, or one whose worker died: the queue hands a job to one worker at a time. While another
    sweep runs, the answer is a skipped one.
    """
    run = run or SyncRun.objects.create()
    if not _claim(run):
        return _finish(run, State.SKIPPED, BUSY)
    try:
        _sweep(run, patience)
    except BaseException:
        _finish(run, State.FAILED, "The sweep stopped because of an error in kvadmin; its log has the details.")
        raise
    return _finish(run, State.DONE, run.note)


def running() -> SyncRun | None:
    """The sweep that waits or runs, if there is one that has not lost its worker."""
    recent = Q(state=State.RUNNING, progressed_at__gte=timezone.now() - SILENT)
    waiting = Q(state=State.QUEUED, queued_at__gte=timezone.now() - SILENT)
    return SyncRun.objects.filter(recent | waiting).order_by("-state", "id").first()


def _claim(run: SyncRun) -> bool:
    """Make this run the running one, from its beginning; the database allows only one."""
    _give_up_silent()
    now = timezone.now()
    mine = SyncRun.objects.filter(pk=run.pk, state__in=[State.QUEUED, State.RUNNING])
    try:
        with transaction.atomic():
            claimed = mine.update(state=State.RUNNING, started_at=now, progressed_at=now, **NOTHING_YET)
    except IntegrityError:
        return False
    run.refresh_from_db()
    return bool(claimed)


def _give_up_silent() -> None:
    now = timezone.now()
    silent = SyncRun.objects.filter(state=State.RUNNING, progressed_at__lt=now - SILENT)
    silent.update(state=State.FAILED, finished_at=now, note="Its worker stopped in the middle.")


def _finish(run: SyncRun, state: SyncRun.State, note: str) -> SyncRun:
    run.state, run.finished_at, run.note = state, timezone.now(), note[:300]
    run.save()
    return run


def _sweep(run: SyncRun, patience: Patience) -> None:
    vaults, problems = discovery.discover(patience=patience)
    run.note, run.vaults_total = " ".join(problems)[:300], len(vaults)
    reports = _Reports(run)
    reports.now()
    same_job = partial(bind_contextvars, **get_contextvars())  # what the threads log names the job, too
    with ThreadPoolExecutor(settings.KVADMIN_SYNC_PARALLEL, "sweep", same_job) as pool:
        _list_all(vaults, pool, reports, patience)
        described.look_at_due(vaults, pool, run.started_at or timezone.now(), patience)
    warned.renew()


# --- Listing: one batch per thread and vault at a time ---------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Batch:
    """Some pages of one vault. The last one says why it is: the list ended, or an error; and where logs go.

    `deleted`: the deleted secrets, which the last one of a whole list brings, or why there are none.
    """

    secrets: list[SecretProperties]
    last: bool
    error: GatewayError | None = None
    diagnostics: Diagnostics | None = None
    deleted: list[DeletedProperties] | GatewayError | None = None


@dataclass
class _Listing:
    """One vault while it is listed. Threads call `fetch`, never two at a time; the sweep's own thread calls `take`.

    `over`: nothing more of it is fetched or written.
    """

    vault: Vault
    patience: Patience
    workspaces: Workspaces
    pages: Iterator[list[SecretProperties]] = field(default_factory=lambda: iter(()))
    deadline: float = 0.0
    began: datetime | None = None
    rows: VaultRows | None = None
    over: bool = False

    def fetch(self) -> _Batch:
        """The next pages. An error in the middle leaves what came before it."""
        secrets: list[SecretProperties] = []
        try:
            if not self.deadline:
                self._begin()
            ended = self._fill(secrets)
        except GatewayError as error:
            return _Batch(secrets, last=True, error=error, diagnostics=self._diagnostics())
        except Exception as error:  # noqa: BLE001 - a fault of our own in one vault must not end the whole sweep
            logger.error("sweep of %s: %s", self.vault.name, type(error).__name__)
            return _Batch(secrets, last=True, error=error_for("bad-answer"))
        if not ended:
            return _Batch(secrets, last=False)
        return _Batch(secrets, last=True, diagnostics=self._diagnostics(), deleted=self._deleted())

    def _begin(self) -> None:
        self.began, self.deadline = timezone.now(), time.monotonic() + VAULT_SECONDS
        self.pages = keyvault.list_properties_of_secrets(self.vault.uri, patience=self.patience)

    def _fill(self, secrets: list[SecretProperties]) -> bool:
        """Adds up to PAGES pages; whether the list ended."""
        count = 0
        for page in islice(self.pages, PAGES):
            secrets += page
            count += 1
            if time.monotonic() > self.deadline:
                raise error_for("timeout", sentence="Listing took too long and was cut off in the middle.")
        return count < PAGES

    def _deleted(self) -> list[DeletedProperties] | GatewayError:
        """The deleted secrets. They are few: what is purged or recovered is none any more. Their error stays theirs."""
        found: list[DeletedProperties] = []
        try:
            for page in deleted.list_deleted_secrets(self.vault.uri, patience=self.patience):
                found += page
                if time.monotonic() > self.deadline:
                    raise error_for("timeout", sentence="Listing the deleted secrets took too long and was cut off.")
        except GatewayError as error:
            return error
        return found

    def _diagnostics(self) -> Diagnostics | None:
        """Where the access log goes; None when nobody can say now, and then what was known stays."""
        if not self.vault.resource_id:
            return None
        try:
            return diagnostics(self.vault.resource_id, known=self.workspaces, patience=self.patience)
        except GatewayError:
            return None

    def take(self, batch: _Batch, run: SyncRun) -> None:
        """Write the batch; after the last one also what it says about the vault."""
        if self.over:
            return
        try:
            with transaction.atomic():
                self._write(batch, run)
        except LOST:
            raise
        except Exception as error:  # noqa: BLE001 - what cannot be stored of one vault must not end the whole sweep
            logger.error("sweep of %s: %s", self.vault.name, type(error).__name__)  # its text may quote the rows
            self.over = True
            run.vaults_failed += 1
            health.failed(self.vault, error_for("bad-answer", sentence=NOT_STORED, advice=LOOK), timezone.now())

    def _write(self, batch: _Batch, run: SyncRun) -> None:
        self.rows = self.rows or VaultRows(self.vault, self.began)
        run.secrets_seen += len(batch.secrets)
        run.secrets_written += self.rows.write(batch.secrets)
        if batch.last:
            self._end(self.rows, batch, run)
            self.over = True

    def _end(self, rows: VaultRows, batch: _Batch, run: SyncRun) -> None:
        now, vanished = timezone.now(), 0
        if batch.error is None:
            vanished = rows.vanish()
            health.listed(self.vault, rows.count(), now)
        else:
            health.failed(self.vault, batch.error, now)
        if batch.diagnostics is not None:
            health.logged(self.vault, batch.diagnostics)
        if batch.deleted is not None:
            limbo.listed(self.vault, batch.deleted, self.began or now)
        run.secrets_vanished += vanished
        run.vaults_done += batch.error is None
        run.vaults_failed += batch.error is not None


def _list_all(vaults: list[Vault], pool: ThreadPoolExecutor, reports: _Reports, patience: Patience) -> None:
    workspaces: Workspaces = {}
    waiting = deque(_Listing(vault, patience, workspaces) for vault in vaults)
    active: dict[Future[_Batch], _Listing] = {}
    while waiting or active:
        while waiting and len(active) < settings.KVADMIN_SYNC_PARALLEL:
            listing = waiting.popleft()
            active[pool.submit(listing.fetch)] = listing
        done, _ = wait(active, timeout=REPORT_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            listing, batch = active.pop(future), future.result()
            if not batch.last and not listing.over:
                active[pool.submit(listing.fetch)] = listing  # fetches on while this batch is written
            listing.take(batch, reports.run)
        reports.maybe()


class _Reports:
    """Progress, written at most once a second."""

    def __init__(self, run: SyncRun) -> None:
        self.run = run
        self.due = 0.0

    def maybe(self) -> None:
        if time.monotonic() >= self.due:
            self.now()

    def now(self) -> None:
        self.run.progressed_at, self.due = timezone.now(), time.monotonic() + REPORT_SECONDS
        self.run.save()
