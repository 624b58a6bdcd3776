"""The worker's part of a whole-vault backup: list, back up each secret, write parts, join them to one file.

A part that is on disk is never read again from Azure: whoever kills the worker loses at most what was in none yet.
Threads only talk to Azure; the calling thread alone writes. In memory lies one part, and what is under way.
"""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from django.db import transaction
from django.utils import timezone

from audit.ledger import Attempt
from audit.models import LedgerEntry
from kvadmin import actions as a
from kvadmin.gateway import keyvault
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.keyvault import SecretProperties
from kvadmin.gateway.paging import Patience
from kvadmin.gateway.values import SecretValue
from vaults import archive_file, backups, batch_work, batches
from vaults.archive_file import Facts
from vaults.backup_calls import HEALS, SKIPS, WIDE, Answer, Flight, TooManyVersions, fetch
from vaults.backup_join import join
from vaults.batch_work import REPORT_SECONDS, Halted, Work
from vaults.models import Archive, Batch, BatchItem
from vaults.pace import REAL, Clock, Pace

logger = logging.getLogger(__name__)
State = BatchItem.State
AT_ONCE = 8  # secrets that are asked for at a time
TRIES = 3  # for what time may heal; throttling is not counted
SOME = 200  # items that are read from the database at a time
GIVE_UP_SECONDS = 300.0  # a vault that lets nothing through for so long
DIED = "Its worker died before the backup was in the archive; it is asked for anew."
NO_ROOM = "The archive cannot be written. Look at KVADMIN_ARCHIVE_DIR: is the disk full, and may kvadmin write there?"
LATE = "This backup has expired, and what there was of it is removed. Ask for a new one."


def run(batch_id: int, turn: int, *, clock: Clock = REAL) -> Batch | None:
    """Do what is left of a backup; None when the job is not meant any more. Safe to repeat after a crash."""
    return batch_work.run(batch_id, turn, lambda batch: _work(batch, clock))


def _work(batch: Batch, clock: Clock) -> None:
    try:
        _Run(batch, clock).work()
    except OSError as error:
        logger.error("batch %s: %s", batch.pk, type(error).__name__)
        raise Halted(NO_ROOM) from None


class _Run(Work):
    """One turn of one backup."""

    def __init__(self, batch: Batch, clock: Clock) -> None:
        super().__init__(batch, clock)
        self.archive = Archive.objects.select_related("vault__subscription").get(batch=batch)
        self.vault = self.archive.vault
        self.folder = backups.folder_of(self.archive)
        self.pace = Pace(clock=clock)
        self.waiting: deque[tuple[BatchItem, int]] = deque()
        self.flying: dict[Future[Answer], Flight] = {}
        self.part: list[tuple[BatchItem, Facts, SecretValue]] = []
        self.bytes = 0
        self.number = 0
        self.last = 0
        self.landing = False
        self.since = clock.now()  # when Azure last let something through
        self.got_any = False

    def work(self) -> None:
        """Everything that is left. Raises Halted when it ends without an archive; OSError, LedgerUnavailable."""
        if self.archive.removed_at:
            raise Halted(LATE)
        self._judge()
        archive_file.make_folder(self.folder)
        self._list()
        self._settle_what_is_there()
        self._read_all()
        if not self.batch.items.filter(state__in=[State.WAITING, State.DOING]).exists():  # else somebody has stopped it
            join(self.archive, self.batch, self.folder, self.actor)

    def _judge(self) -> None:
        self.judge(a.SECRET_BACKUP, self.vault, "back this vault up")

    # --- What there is -----------------------------------------------------------------------------------------------
    def _list(self) -> None:
        """One item for each secret that Azure lists; once, and then it stays so."""
        if self.batch.parameters.get("listed"):
            return
        self.batch.items.all().delete()
        try:
            pages = keyvault.list_properties_of_secrets(self.vault.uri, patience=Patience(sleep=self.clock.sleep))
            for page in pages:
                BatchItem.objects.bulk_create([self._item(secret) for secret in page], ignore_conflicts=True)
        except GatewayError as error:
            raise Halted(f"The vault could not be listed: {error.lasting}") from None
        self.batch.parameters = {"listed": timezone.now().isoformat()}
        self.batch.save(update_fields=["parameters"])
        batches.recount(self.batch)
        batches.save_counts(self.batch)

    def _item(self, secret: SecretProperties) -> BatchItem:
        item = BatchItem(batch=self.batch, vault=self.vault, key=secret.name.lower(), name=secret.name)
        if secret.managed:
            item.state, item.code, item.sentence = State.SKIPPED, "managed", SKIPS["managed"]
        return item

    def _settle_what_is_there(self) -> None:
        """What an earlier turn has left: parts on disk are done, whatever the rows say; the rest is asked for anew."""
        parts = archive_file.parts_in(self.folder)
        self.number = max((int(part.name[:6]) for part in parts), default=0)
        for part in parts:
            items = self.batch.items.filter(key__in=part.keys).exclude(state=State.DONE)
            items.update(state=State.DONE, code="", sentence="", after={"part": part.name})
        begun = list(self.batch.items.filter(state=State.DOING).select_related("vault"))
        closed = LedgerEntry.objects.filter(act__in=[item.ledger_act for item in begun]).exclude(phase="intent")
        known = set(closed.values_list("act", flat=True))
        for item in begun:
            if item.ledger_act and item.ledger_act not in known:
                act = self.resumed(item, a.SECRET_BACKUP)
                self.close(item, act, State.WAITING, lambda act: act.failed(Halted(), note=DIED))
            else:
                self.settle(item, State.WAITING)
        batches.recount(self.batch)

    # --- Reading -----------------------------------------------------------------------------------------------------
    def _read_all(self) -> None:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="backup") as pool:
            try:
                while True:
                    self.report()
                    self._fill()
                    self._begin(pool)
                    if not self.flying and (self.stopping or not self.waiting):
                        break
                    self._wait()
                    self._take()
                self._write_part()
            finally:
                self._land()

    def _fill(self) -> None:
        """The next items; each is looked at once, and then waits here if it has to."""
        if len(self.waiting) < AT_ONCE:
            left = self.batch.items.filter(state=State.WAITING, pk__gt=self.last).select_related("vault")
            for item in left.order_by("pk")[:SOME]:
                self.waiting.append((item, 0))
                self.last = item.pk

    def _begin(self, pool: ThreadPoolExecutor) -> None:
        while self.waiting and len(self.flying) < AT_ONCE and not self.stopping and self.pace.pause() == 0:
            item, tries = self.waiting.popleft()
            with transaction.atomic():
                act = self.intend(item, a.SECRET_BACKUP)
            self.pace.began()
            self.pace.began()  # a list of versions, and the backup
            self.flying[pool.submit(fetch, self.vault.uri, item.name, str(act.id))] = Flight(item, act, tries + 1)

    def _wait(self) -> None:
        """Until something is answered or may begin; a second at most, so that a wish to stop is heard."""
        pause = self.pace.pause() if self.waiting and len(self.flying) < AT_ONCE else REPORT_SECONDS
        pause = min(REPORT_SECONDS, max(pause, 0.005))
        if self.flying:
            wait(self.flying, timeout=pause, return_when=FIRST_COMPLETED)
        else:
            self.clock.sleep(pause)

    def _take(self) -> None:
        for future in [future for future in self.flying if future.done()]:
            self._answered(self.flying.pop(future), future)
            if len(self.part) >= archive_file.PART_SECRETS or self.bytes >= archive_file.PART_BYTES:
                self._write_part()

    def _land(self) -> None:
        """Whatever ends a turn: what was under way is put on record as it came out."""
        self.landing = True
        wait(self.flying)
        for future, flight in self.flying.items():
            self._answered(flight, future)
        self.flying.clear()

    def _answered(self, flight: Flight, future: Future[Answer]) -> None:
        item, act = flight.item, flight.act
        try:
            versions, backup = future.result()
        except TooManyVersions as error:
            self._skip(item, act, error)
        except GatewayError as error:
            self._refused(flight, error)
        else:
            self.pace.answered()
            self.since, self.got_any = self.clock.now(), True
            note = f"for archive {self.archive.pk}: {len(versions)} versions"
            act.read(request_id=backup.request_id, region=backup.region, note=note)
            self.part.append((item, archive_file.described(item.name, versions), backup.blob))
            self.bytes += len(backup.blob.expose())

    def _refused(self, flight: Flight, error: GatewayError) -> None:
        item, act = flight.item, flight.act
        if error.code == "throttled" and self.clock.now() - self.since < GIVE_UP_SECONDS:
            self.pace.refused(error.retry_after)
            self.hold(self.pace.pause())
            self.close(item, act, State.WAITING, lambda act: act.failed(error))
            self.waiting.appendleft((item, flight.tries - 1))
        elif error.code in HEALS and flight.tries < TRIES:
            self.close(item, act, State.WAITING, lambda act: act.failed(error))
            self.waiting.append((item, flight.tries))
        elif error.code in SKIPS:
            self._skip(item, act, error)
        else:
            self.close(item, act, State.FAILED, lambda act: act.failed(error), error.code, error.lasting)
            if error.code in WIDE and not self.got_any and not self.landing:
                raise Halted(error.lasting)

    def _skip(self, item: BatchItem, act: Attempt, error: GatewayError | TooManyVersions) -> None:
        sentence = SKIPS[error.code]
        self.close(item, act, State.SKIPPED, lambda act: act.failed(error, note=sentence), error.code, sentence)

    # --- Writing down ------------------------------------------------------------------------------------------------
    def _write_part(self) -> None:
        """What was read goes to disk, and then its rows say so."""
        if not self.part:
            return
        self._judge()
        self.number += 1
        rows = [(facts, blob) for _, facts, blob in self.part]
        written = archive_file.write_part(self.folder, self.number, rows, self.archive.recipients)
        for item, facts, _ in self.part:
            item.state, item.code, item.sentence, item.changed_at = State.DONE, "", "", timezone.now()
            item.after = {"part": written.name, "versions": len(facts["versions"])}
        fields = ["state", "code", "sentence", "changed_at", "after"]
        BatchItem.objects.bulk_update([item for item, *_ in self.part], fields, batch_size=100)
        self.batch.done += len(self.part)
        self.part, self.bytes = [], 0
