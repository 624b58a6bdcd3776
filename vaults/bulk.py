"""The worker's part of a change of many secrets: vault by vault, page by page, item by item.

Each page of a vault's list is looked at anew and its items are written right after, so that what is written was seen
seconds ago, and a vault is listed once whatever the number of its items. Threads only talk to Azure; the calling
thread alone writes. An item costs two commits: its intent with "doing", its outcome with "done".
"""

from __future__ import annotations

from collections import defaultdict, deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress

from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import timezone

from audit import ledger
from kvadmin import actions as a
from kvadmin.gateway import keyvault
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.keyvault import SecretProperties
from kvadmin.gateway.paging import Patience
from kvadmin.gateway.writes import Written, update_secret_properties
from vaults import batch_work, policy, rows, turns
from vaults.batch_work import REPORT_SECONDS, Halted, Work, target
from vaults.bulk_parts import AT_ONCE, Listed, Part, Ready, take_turns
from vaults.changes import WHY_NOT, Change, plan, sent
from vaults.models import Batch, BatchItem, Person, Vault
from vaults.pace import REAL, Clock, Pace
from vaults.rules import Refusal

State = BatchItem.State
FRESH_SECONDS = 30.0  # what was seen longer ago is looked at again before it is written
GIVE_UP_SECONDS = 300.0  # a vault that lets nothing through for so long
# Codes that meet every item of the vault alike: the others are not even tried.
WIDE = frozenset({"rbac", "access-policy", "policy", "firewall", "private-link", "dns", "credential", "throttled"})
NOT_TRIED = "Not tried, because Azure refused another one of this vault: "
UNSURE = " Whether Azure did it is not known: trying it again looks first."
STOPPED_NOTE = "Stopped before Azure took it."
MEANWHILE = "Somebody else changed the secret while Azure wanted a rest: it is looked at again."
DIED_NOTE = "Its worker died before Azure did it; it is done anew."
SETTLED = "Its worker died after Azure did it: Azure shows the change."
REACHED = "Azure shows the change: an earlier try had reached it."
NEWER = "Done; but a newer version was set in that moment, and it is that one which was changed."
ALLOWED = policy.Decision(allowed=True, reason="")  # the right itself is judged when the item is done


def run(batch_id: int, turn: int, *, clock: Clock = REAL) -> Batch | None:
    """Do what is left of a change; None when the job is not meant any more. Safe to repeat after a crash."""
    return batch_work.run(batch_id, turn, lambda batch: _Run(batch, clock).work())


class _Run(Work):
    """One turn of one change."""

    def __init__(self, batch: Batch, clock: Clock) -> None:
        super().__init__(batch, clock)
        self.change = Change.from_json(batch.parameters)
        self.person = batch.asked_by
        self.holder = f"{self.actor.name[:150]} (batch {batch.pk})"

    def work(self) -> None:
        turns.give_all_back(self.holder)
        try:
            self._work()
        finally:
            with suppress(DatabaseError):  # whose own sentence is told; a turn is over after a while by itself
                turns.give_all_back(self.holder)

    def _work(self) -> None:
        waiting, active = deque(self._parts()), list[Part]()
        most = settings.KVADMIN_SYNC_PARALLEL
        with ThreadPoolExecutor(most * (AT_ONCE + 1), thread_name_prefix="bulk") as pool:
            while active or (waiting and not self.stopping):
                self.report()
                while waiting and len(active) < most and not self.stopping:
                    active.append(waiting.popleft())
                for part in active:
                    self._take(part)
                    self._begin(part, pool)
                active = [part for part in active if not (part.over or (self.stopping and not part.futures))]
                self._wait(active)

    def _parts(self) -> list[Part]:
        """The vaults with something left, those with most first: they take longest."""
        open_items = self.batch.items.filter(state__in=[State.WAITING, State.DOING])
        left: dict[Vault, dict[str, BatchItem]] = defaultdict(dict)
        for item in open_items.select_related("vault__subscription"):
            left[item.vault][item.key] = item
        vaults = sorted(left, key=lambda vault: (-len(left[vault]), vault.name))
        return [Part(vault, left[vault], Pace(clock=self.clock), self.clock.now()) for vault in vaults]

    def _wait(self, active: list[Part]) -> None:
        """Until something is answered or may begin; a second at most, so that a wish to stop is heard."""
        pauses = [part.pace.pause() for part in active if part.ready and len(part.flying) < AT_ONCE]
        pause = min([REPORT_SECONDS, *pauses])
        futures = [future for part in active for future in part.futures]
        if futures:
            wait(futures, timeout=max(pause, 0.005), return_when=FIRST_COMPLETED)
        elif pause > 0 and active:
            self.clock.sleep(pause)

    def look_up(self) -> None:
        """And who they are that asked, with no roles remembered: a right is never judged by what was a second ago."""
        super().look_up()
        self.person = Person.objects.get(pk=self.batch.asked_by_id)

    # --- Beginning ---------------------------------------------------------------------------------------------------
    def _begin(self, part: Part, pool: ThreadPoolExecutor) -> None:
        if self.stopping:
            self._let_go(part)
            return
        for ready in self._begun(part, self._chosen(part)):
            part.flying[pool.submit(_write, part.vault, ready)] = ready
        if not (part.left or part.ready or part.page):
            part.again()
        if part.wants_page and part.pace.pause() == 0:
            part.pace.began()
            part.asked = timezone.now()
            part.page = pool.submit(self._fetch, part)

    def _fetch(self, part: Part) -> list[SecretProperties] | None:
        """The next page; None at the list's end. In a thread."""
        if part.pages is None:
            patience = Patience(tries=6, sleep=self.clock.sleep)
            part.pages = keyvault.list_properties_of_secrets(part.vault.uri, patience=patience)
        return next(part.pages, None)

    def _let_go(self, part: Part) -> None:
        """Nothing more is begun; what was begun, and refused for being too fast, waits again."""
        for ready in part.ready:
            self.close(ready.item, ready.act, State.WAITING, lambda act: act.failed(Halted(), note=STOPPED_NOTE))
        part.ready.clear()

    def _chosen(self, part: Part) -> list[Ready]:
        """Those whose turn it is: the pace allows it, what was seen of them is fresh, and the right still holds."""
        chosen: list[Ready] = []
        while part.ready and len(part.flying) + len(chosen) < AT_ONCE and part.pace.pause() == 0:
            ready = part.ready.popleft()
            if ready.act is None and self.clock.now() - ready.at > FRESH_SECONDS:
                part.stale[ready.item.key] = ready.item
            elif ready.act or self._may(part, ready.item):
                part.pace.began()
                chosen.append(ready)
        return chosen

    def _may(self, part: Part, item: BatchItem) -> bool:
        decision = policy.may(self.person, a.SECRET_UPDATE, part.vault, item.key)
        if not decision:
            code, note, reason = decision.code, decision.reason, self.batch.reason
            ledger.refuse(a.SECRET_UPDATE, self.actor, target(item), code=code, note=note, reason=reason)
            self.settle(item, State.SKIPPED, "no-right", decision.reason)
        return bool(decision)

    def _begun(self, part: Part, chosen: list[Ready]) -> list[Ready]:
        """Those that may be sent: with their turn taken and their intent on record, both in one commit."""
        if not chosen:
            return []
        with transaction.atomic():
            begun = self._with_turns(part, chosen)
            for ready in begun:
                if ready.act is None:
                    ready.act = self.intend(ready.item, a.SECRET_UPDATE)
        return begun

    def _with_turns(self, part: Part, chosen: list[Ready]) -> list[Ready]:
        """Those that nobody else is changing through kvadmin, or has changed since they were looked at.

        The others are looked at again, at the end of the list: by then it is done. Whoever is still at it then has the
        item fail, to be tried again.
        """
        taken = take_turns(part.vault, chosen, self.holder)
        for ready in taken.late:
            self._look_again(part, ready)
        for ready, refusal in taken.busy:
            self._busy(part, ready, refusal)
        return taken.free

    def _busy(self, part: Part, ready: Ready, refusal: Refusal) -> None:
        if ready.item.key in part.busy:
            self.close(ready.item, ready.act, State.FAILED, lambda act: act.failed(refusal), "busy", refusal.sentence)
            return
        part.busy.add(ready.item.key)
        self._look_again(part, ready)

    def _look_again(self, part: Part, ready: Ready) -> None:
        if ready.act:
            self.close(ready.item, ready.act, State.WAITING, lambda act: act.failed(Halted(), note=MEANWHILE))
        part.stale[ready.item.key] = ready.item

    # --- Taking what was answered ------------------------------------------------------------------------------------
    def _take(self, part: Part) -> None:
        if answered := [future for future in part.flying if future.done()]:
            with transaction.atomic():
                ended = [(part.flying.pop(future), future) for future in answered]
                stored = [self._written(part, ready, future) for ready, future in ended]
                rows.store_all(part.vault, [properties for properties in stored if properties])
                turns.give_back(ready.turn for ready, _ in ended)
        if part.page and part.page.done():
            listed, part.page = part.page, None
            self._listed(part, listed)

    def _listed(self, part: Part, listed: Listed) -> None:
        try:
            page = listed.result()
        except GatewayError as error:
            self._give_up(part, error)
            return
        part.since = self.clock.now()
        for seen in page or ():
            if item := part.left.pop(seen.name.lower(), None):
                self._judge(part, item, seen)
        if page is None:
            for item in part.left.values():
                act = self.resumed(item, a.SECRET_UPDATE)
                self.close(item, act, State.SKIPPED, lambda act: act.failed(Halted()), "gone", WHY_NOT["gone"])
            part.again()

    def _judge(self, part: Part, item: BatchItem, seen: SecretProperties) -> None:
        """What is to be done with an item, by what Azure shows of it at this moment."""
        now, planned = self.change.before(seen), plan(self.change, seen, ALLOWED)
        same_version = item.created_on is None or seen.created_on == item.created_on
        if item.state == State.DOING and self._was_done(part, item, seen):
            return
        if planned.code == "managed":
            self._skip(item, "managed")
        elif now == item.after and item.ledger_act:
            self.settle(item, State.DONE, "", REACHED)
        elif now == item.after:
            self._skip(item, "unchanged")
        elif not same_version or now != item.before or planned.after != item.after:
            self._skip(item, "changed")
        else:
            part.ready.append(Ready(item, seen, self.clock.now(), part.asked))

    def _skip(self, item: BatchItem, code: str) -> None:
        self.settle(item, State.SKIPPED, code, WHY_NOT[code])

    def _was_done(self, part: Part, item: BatchItem, seen: SecretProperties) -> bool:
        """Close the act of an item whose worker died, by what Azure shows; False when it has yet to be done."""
        act = self.resumed(item, a.SECRET_UPDATE)
        if self.change.before(seen) != item.after:
            self.close(item, act, State.WAITING, lambda act: act.failed(Halted(), note=DIED_NOTE))
            return False
        with transaction.atomic():
            self.close(item, act, State.DONE, lambda act: act.done(note=SETTLED), "", SETTLED)
            rows.store(part.vault, seen)
        return True

    def _written(self, part: Part, ready: Ready, future: Future[Written]) -> SecretProperties | None:
        """Put the outcome on record; what the inventory is to show now, if Azure took the change."""
        try:
            written = future.result()
        except GatewayError as error:
            self._refused(part, ready, error)
            return None
        part.pace.answered()
        part.since, properties = self.clock.now(), written.properties
        newer = NEWER if properties.created_on != ready.seen.created_on else ""
        facts = {"version": properties.version, "request_id": written.request_id, "region": written.region}
        self.close(ready.item, ready.act, State.DONE, lambda act: act.done(note=str(self.change), **facts), "", newer)
        return properties

    def _refused(self, part: Part, ready: Ready, error: GatewayError) -> None:
        if error.code == "throttled" and self.clock.now() - part.since < GIVE_UP_SECONDS:
            part.pace.refused(error.retry_after)
            self.hold(part.pace.pause())
            part.ready.appendleft(ready)
            return
        sentence = error.lasting + ("" if error.definite else UNSURE)
        self.close(ready.item, ready.act, State.FAILED, lambda act: act.failed(error), error.code, sentence)
        if error.code in WIDE:
            self._give_up(part, error)

    def _give_up(self, part: Part, error: GatewayError) -> None:
        """Nothing more of this vault is tried: each of the others would meet the same.

        What an earlier worker began stays so: what became of it has yet to be found out.
        """
        sentence = NOT_TRIED + error.lasting
        for ready in part.ready:
            self.close(ready.item, ready.act, State.FAILED, lambda act: act.failed(error), error.code, sentence)
        for item in [*part.left.values(), *part.stale.values()]:
            if item.state == State.WAITING:
                self.settle(item, State.FAILED, error.code, sentence)
        part.ready.clear()
        part.left, part.stale = {}, {}


def _write(vault: Vault, ready: Ready) -> Written:
    """The one call to Azure, in a thread."""
    act_id = str(ready.act.id) if ready.act else ""
    return update_secret_properties(vault.uri, ready.item.name, "", act_id=act_id, **sent(ready.item.after))
