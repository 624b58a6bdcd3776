"""What a change of many secrets would do to each, before anybody does it; and the batch that follows from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from kvadmin import actions as a
from vaults import changes, policy
from vaults.bulk_forms import ChangeForm
from vaults.changes import Change, Planned
from vaults.models import Batch, BatchItem, Person, Secret

MOST = 5000  # secrets of one batch: a filter that finds more has to be narrowed
SKIPS = {
    "managed": "belong to a certificate",
    "unchanged": "are so already",
    "no-right": "you may not change",
    "tags": "would get tags that Azure refuses",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One secret, and what would become of it."""

    secret: Secret
    planned: Planned

    @property
    def lines(self) -> list[changes.Difference]:
        """What changes, for the page."""
        return changes.difference(self.planned.before, self.planned.after)


@dataclass(frozen=True, slots=True)
class Preview:
    """Every chosen secret, by vault and name. `too_many`: more than MOST were found, and nothing is planned.

    `hash` is of everything that the preview shows: whoever confirms it sends it along.
    """

    change: Change
    rows: list[Row] = field(default_factory=list)
    hash: str = ""
    too_many: bool = False
    gone: int = 0  # ticked ones that are not there any more, or were never to be seen

    @property
    def to_do(self) -> list[Row]:
        return [row for row in self.rows if not row.planned.code]

    @property
    def skipped(self) -> list[tuple[str, str, int]]:
        """(code, words, how many) of those that would be left alone."""
        counts = Counter(row.planned.code for row in self.rows if row.planned.code)
        return [(code, words, counts[code]) for code, words in SKIPS.items() if counts[code]]

    def shown(self, show: str) -> list[Row]:
        """All rows, or those of one code; "do" for those that would be changed."""
        if show == "do":
            return self.to_do
        return [row for row in self.rows if row.planned.code == show] if show in SKIPS else self.rows


def preview(person: Person, form: ChangeForm) -> Preview:
    """What the valid form would do, for this person. Two queries beside their roles'."""
    change = form.the_change
    found = form.narrow(policy.visible_secrets(person), MOST).select_related("vault").defer("haystack")
    secrets = list(found.order_by("vault__name", "key")[: MOST + 1])
    if len(secrets) > MOST:
        return Preview(change, too_many=True)
    rows = [Row(secret, _planned(person, change, secret)) for secret in secrets]
    facts = ((row.secret.vault.name, row.secret.key, row.secret.created_on, row.planned) for row in rows)
    gone = max(len(form.cleaned_data["pick"]) - len(rows), 0)
    return Preview(change, rows, changes.shown_hash(change, facts), gone=gone)


def _planned(person: Person, change: Change, secret: Secret) -> Planned:
    return changes.plan(change, secret, policy.may(person, a.SECRET_UPDATE, secret.vault, secret.key))


def batch_of(previewed: Preview, person: Person, reason: str) -> tuple[Batch, list[BatchItem]]:
    """The batch that does what the preview shows, not stored yet."""
    number = len(previewed.to_do)
    title = f"{previewed.change}: {number:,} {'secret' if number == 1 else 'secrets'}"
    batch = Batch(
        act=a.SECRET_UPDATE.word,
        title=title[:300],
        parameters=previewed.change.to_json(),
        reason=reason,
        shown_hash=previewed.hash,
        asked_by=person,
    )
    return batch, [_item(row) for row in previewed.rows]


def _item(row: Row) -> BatchItem:
    secret, planned = row.secret, row.planned
    state = BatchItem.State.SKIPPED if planned.code else BatchItem.State.WAITING
    return BatchItem(
        vault=secret.vault, key=secret.key, name=secret.name, state=state, code=planned.code, sentence=planned.sentence,
        before=planned.before, after=planned.after, created_on=secret.created_on,
    )  # fmt: skip
