"""Who can get at the values in a vault, with their names and in the words of its page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from audit.finding_models import DirectoryName, ReaderHeard
from audit.models import OwnIdentity
from vaults import denials, exposure
from vaults.denials import Denial, Kept
from vaults.models import AzureAccess, Vault

Kind = AzureAccess.Kind
_ORDER = {kind: rank for rank, kind in enumerate(("person", "group", "app", "managed-identity", "unknown"))}


@dataclass(frozen=True, slots=True)
class Holder:
    """One right of one identity. `name` is "" where nobody has told it; `own`: it is kvadmin itself."""

    row: AzureAccess
    name: str
    kind: str
    own: bool
    place: str
    application: str = ""
    denied: bool = False  # perhaps: a deny assignment may hold for them

    @property
    def means(self) -> str:
        """By what they hold it."""
        if self.row.by == AzureAccess.By.POLICY:
            return f"Access policy: {', '.join(self.row.permissions)}"
        return self.row.role_name or f"a role of the id {self.row.role_id}"


@dataclass(frozen=True, slots=True)
class Holders:
    """Those who read values, those who could give themselves the right, those whose deployments could take values, and
    those whose role Azure did not explain. Somebody may be among several of them. `denials`: what may keep them out.
    """

    readers: list[Holder]
    grantors: list[Holder]
    deployers: list[Holder]
    unexplained: list[Holder]
    denials: list[Denial]


def holders(vault: Vault, rows: Sequence[AzureAccess], kept: Sequence[Kept] = ()) -> Holders:
    """With names from the directory that administrators fill in, else from Azure's log. Three queries.

    `kept`: the deny assignments as VaultDetail has them.
    """
    known = _known(rows, kept)
    told = _told(vault, rows, known, kept)
    return Holders(
        readers=[one for one in told if one.row.reads or one.row.backs_up],
        grantors=[one for one in told if one.row.grants],
        deployers=[one for one in told if one.row.deploys],
        unexplained=[one for one in told if not one.row.role_known],
        denials=[denials.told(vault, row, known.names()) for row in kept],
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of ids: by administrators, by Azure's log, and which are kvadmin's own."""

    listed: dict[str, DirectoryName]
    heard: dict[str, ReaderHeard]
    own: set[str]

    def names(self) -> dict[str, str]:
        heard = {one: reader.who for one, reader in self.heard.items()}
        return {**heard, **{one: listed.name for one, listed in self.listed.items()}}


def _known(rows: Sequence[AzureAccess], kept: Sequence[Kept]) -> _Known:
    ids = {row.principal_id for row in rows} | {row.application_id for row in rows} | denials.ids(kept)
    listed = {one.identifier: one for one in DirectoryName.objects.filter(identifier__in=ids)}
    heard = {one.object_id: one for one in ReaderHeard.objects.filter(object_id__in=ids).order_by("-pk")}
    own = set(OwnIdentity.objects.filter(object_id__in=ids).values_list("object_id", flat=True))
    return _Known(listed, heard, own)


def _told(vault: Vault, rows: Sequence[AzureAccess], known: _Known, kept: Sequence[Kept]) -> list[Holder]:
    found = [_holder(vault, row, known, denied=denials.may_hold_for(row, kept)) for row in rows]
    return sorted(found, key=lambda one: (_ORDER.get(one.kind, 9), one.name.lower() or "\uffff", one.row.principal_id))


def _holder(vault: Vault, row: AzureAccess, known: _Known, *, denied: bool) -> Holder:
    listed, application = known.listed.get(row.principal_id), known.listed.get(row.application_id)
    heard = known.heard.get(row.principal_id)
    return Holder(
        row=row,
        name=listed.name if listed else heard.who if heard else "",
        kind=_kind(row, listed or heard),
        own=row.own or row.principal_id in known.own,
        place=exposure.scope_text(row.scope, vault),
        application=application.name if application else row.application_id,
        denied=denied,
    )


def _kind(row: AzureAccess, known: DirectoryName | ReaderHeard | None) -> str:
    """Azure calls a managed identity an application; a policy has no kind at all. Who named it may know better."""
    vague = row.principal_kind in {Kind.UNKNOWN, Kind.APP}
    return known.kind if known and vague else row.principal_kind


@dataclass(frozen=True, slots=True)
class Summary:
    """How many identities there are of each kind that read here, and how many more could give themselves the right."""

    people: int
    groups: int
    apps: int
    unknown: int
    more: int

    @property
    def readers(self) -> str:
        """In words, such as "4 people, 1 group"; "" for none."""
        counts = (
            (self.people, "person", "people"),
            (self.groups, "group", "groups"),
            (self.apps, "application", "applications"),
            (self.unknown, "identity of a kind not told", "identities of a kind not told"),
        )
        return ", ".join(f"{number} {one if number == 1 else many}" for number, one, many in counts if number)


def summary(rows: Iterable[AzureAccess]) -> Summary:
    rows = list(rows)
    kinds = {row.principal_id: row.principal_kind for row in exposure.readers(rows)}
    more = {row.principal_id for row in exposure.grantors(rows)} - set(kinds)
    count = list(kinds.values()).count
    return Summary(count(Kind.PERSON), count(Kind.GROUP), count(Kind.APP), count(Kind.UNKNOWN), len(more))
