"""The worker's part of a whole-vault backup: list, back up each secret, write parts, join them to one file.

A part that is on disk is never read again from Azure: whoever kills the worker loses at most what was in none yet.
Threads only talk to Azure; the calling thread alone writes. In memory lies one part, and what is under way.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from audit import ledger
from audit.ledger import Attempt, LedgerUnavailable
from audit.models import LedgerEntry
from kvadmin import actions as a
from kvadmin.gateway import keyvault
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.keyvault import SecretProperties
from kvadmin.gateway.paging import Patience
from kvadmin.gateway.values import SecretValue
from vaults import archive_file, backups, batches, policy
from vaults.archive_file import Facts
from vaults.backup_calls import HEALS, SKIPS, WIDE, Answer, Flight, TooManyVersions, fetch
from vaults.backup_join import join
from vaults.models import Archive, Batch, BatchItem, Person
from vaults.pace import REAL, Clock, Pace

logger = logging.getLogger(__name__)
State = BatchItem.State
AT_ONCE = 8  # secrets that are asked for at a time
TRIES = 3  # for what time may heal; throttling is not counted
REPORT_SECONDS = 1.0
SOME = 200  # items that are read from the database at a time
GIVE_UP_SECONDS = 300.0  # a vault that lets nothing through for so long
DIED = "Its worker died before the backup was in the archive; it is asked for anew."
NO_ROOM = "The archive cannot be written. Look at KVADMIN_ARCHIVE_DIR: is the disk full, and may kvadmin write there?"
LATE = "This backup has expired, and what there was of it is removed. Ask for a new one."


class Halted(Exception):
    """The backup as a whole cannot go on. Its text is one sentence for the person."""

    code = "halted"


def run(batch_id: int, turn: int, *, clock: Clock = REAL) -> Batch | None:
    """Do what is left of a backup; None when the job is not meant any more. Safe to repeat after a crash."""
    batch = batches.claim(batch_id, turn)
    if batch is None:
        return None
    try:
        note = _Run(batch, clock).work()
    except (Halted, LedgerUnavailable) as error:
        note = str(error)
    except OSError as error:
        logger.error("batch %s: %s", batch.pk, type(error).__name__)
        note = NO_ROOM
    except Exception as error:
        logger.error("batch %s: %s", batch.pk, type(error).__name__)  # its text may quote what it was given
        batches.finish(batch, note="It stopped because of an error in kvadmin; its log has the details.")
        raise
    batches.finish(batch, note=note)
    return batch


class _Run:
    """One turn of one backup."""

    def __init__(self, batch: Batch, clock: Clock) -> None:
        self.batch, self.clock = batch, clock
        self.archive = Archive.objects.select_related("vault__subscription").get(batch=batch)
        self.vault = self.archive.vault
        self.folder = backups.folder_of(self.archive)
        self.actor = batches.actor_of(batch)
        self.pace = Pace(clock=clock)
        self.waiting: deque[tuple[BatchItem, int]] = deque()
        self.flying: dict[Future[Answer], Flight] = {}
        self.part: list[tuple[BatchItem, Facts, SecretValue]] = []
        self.bytes = 0
        self.number = 0
        self.last = 0
        self.landing = False
        self.stopping = False
        self.since = clock.now()  # when Azure last let something through
        self.got_any = False
        self._report_at = 0.0

    def work(self) -> str:
        """Everything that is left; why it ended without an archive, or ""."""
        if self.archive.removed_at:
            raise Halted(LATE)
        self._judge()
        archive_file.make_folder(self.folder)
        self._list()
        self._settle_what_is_there()
        self._read_all()
        if self.batch.items.filter(state__in=[State.WAITING, State.DOING]).exists():
            return ""  # somebody has stopped it
        return join(self.archive, self.batch, self.folder, self.actor)

    def _judge(self) -> None:
        """A role is judged when it is used: at each turn, and before each part."""
        person = Person.objects.get(pk=self.batch.asked_by_id)
        decision = policy.may(person, a.SECRET_BACKUP, self.vault)
        if not decision:
            target, reason = ledger.Target(self.vault.name), self.batch.reason
            ledger.refuse(a.SECRET_BACKUP, self.actor, target, code=decision.code, note=decision.reason, reason=reason)
            raise Halted(f"{person} may not back this vault up any more: {decision.reason}")

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
        begun = list(self.batch.items.filter(state=State.DOING))
        closed = LedgerEntry.objects.filter(act__in=[item.ledger_act for item in begun]).exclude(phase="intent")
        known = set(closed.values_list("act", flat=True))
        for item in begun:
            if item.ledger_act and item.ledger_act not in known:
                self._close(item, self._resumed(item), State.WAITING, lambda act: act.failed(Halted(), note=DIED))
            else:
                self._settle(item, State.WAITING)
        batches.recount(self.batch)

    def _resumed(self, item: BatchItem) -> Attempt:
        assert item.ledger_act  # noqa: S101 - for the type checker: the caller has looked
        return ledger.resume(item.ledger_act, a.SECRET_BACKUP, self.actor, self._target(item), reason=self.batch.reason)

    # --- Reading -----------------------------------------------------------------------------------------------------
    def _read_all(self) -> None:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="backup") as pool:
            try:
                while True:
                    self._report()
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
            left = self.batch.items.filter(state=State.WAITING, pk__gt=self.last).order_by("pk")
            for item in left[:SOME]:
                self.waiting.append((item, 0))
                self.last = item.pk

    def _begin(self, pool: ThreadPoolExecutor) -> None:
        while self.waiting and len(self.flying) < AT_ONCE and not self.stopping and self.pace.pause() == 0:
            item, tries = self.waiting.popleft()
            with transaction.atomic():
                act = ledger.begin(
                    a.SECRET_BACKUP, self.actor, self._target(item), reason=self.batch.reason, move=ledger.NO_MOVE
                )
                item.ledger_act = act.id
                self._settle(item, State.DOING)
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
            self.batch.throttled += 1
            self.batch.held_until = timezone.now() + timedelta(seconds=self.pace.pause())
            self._close(item, act, State.WAITING, lambda act: act.failed(error))
            self.waiting.appendleft((item, flight.tries - 1))
        elif error.code in HEALS and flight.tries < TRIES:
            self._close(item, act, State.WAITING, lambda act: act.failed(error))
            self.waiting.append((item, flight.tries))
        elif error.code in SKIPS:
            self._skip(item, act, error)
        else:
            self._close(item, act, State.FAILED, lambda act: act.failed(error), error.code, error.lasting)
            if error.code in WIDE and not self.got_any and not self.landing:
                raise Halted(error.lasting)

    def _skip(self, item: BatchItem, act: Attempt, error: GatewayError | TooManyVersions) -> None:
        sentence = SKIPS[error.code]
        self._close(item, act, State.SKIPPED, lambda act: act.failed(error, note=sentence), error.code, sentence)

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

    def _close(
        self, item: BatchItem, act: Attempt, state: State, outcome: Callable[[Attempt], None],
        code: str = "", sentence: str = "",
    ) -> None:  # fmt: skip
        """The outcome of an item and of its act: both or neither."""
        with transaction.atomic():
            outcome(act)
            self._settle(item, state, code, sentence)

    def _settle(self, item: BatchItem, state: State, code: str = "", sentence: str = "") -> None:
        item.state, item.code, item.sentence, item.changed_at = state, code, sentence[:400], timezone.now()
        item.save(update_fields=["state", "code", "sentence", "changed_at", "ledger_act"])
        if column := batches.OVER.get(state):
            setattr(self.batch, column, getattr(self.batch, column) + 1)

    def _report(self) -> None:
        """How far it is, once a second; and whether somebody wants it to stop."""
        if self.clock.now() < self._report_at:
            return
        self._report_at = self.clock.now() + REPORT_SECONDS
        self.stopping = self.stopping or batches.stops(self.batch)
        batches.save_counts(self.batch)

    def _target(self, item: BatchItem) -> ledger.Target:
        return ledger.Target(self.vault.name, item.key)
