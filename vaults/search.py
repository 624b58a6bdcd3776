"""Search across every vault: by name, tag, content type and vault, over the stored metadata. Nothing asks Azure.

A secret's `haystack` is its searchable text, each field behind a mark of its own: a control character, which no query
can hold. So one trigram index answers both "anywhere" and "at the start of this field", and `tag:team=pay` is simply
the tag's mark followed by `team=pay`. FTS5 (SQLite) or pg_trgm (PostgreSQL) holds the index: migration 0002_search.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from vaults.models import Secret

CAP = 500  # matches looked at per query: more than anybody pages through, and a bound on the work of one search
PAGE = 50
LONGEST = 200  # characters of a query
SOON = timedelta(days=30)
_START, _NAME, _VAULT, _TYPE, _TAG, _FLAG = "\n", "\x01", "\x02", "\x03", "\x04", "\x05"
_QUALIFIERS = {"name": _NAME, "vault": _VAULT, "type": _TYPE, "tag": _TAG}
_STATES = {"disabled": f"{_FLAG}disabled{_FLAG}", "managed": f"{_FLAG}managed{_FLAG}"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TOKEN = re.compile(r'(?:"[^"]*"|[^\s"])+|"')
_TRIGRAM = 3  # characters; a shorter text is not in the index


class BadQuery(ValueError):
    """The query says something that search does not know. Its text is one sentence for the person."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: texts that must all occur, and what is asked of the expiry.

    `name` is the one plain word of a query that has just one; names equal to it, and then those that begin with it,
    come first. `short` is a word of one or two letters that was looked for only at the start of names.
    """

    needles: tuple[str, ...] = ()
    name: str = ""
    short: str = ""
    expiry: str = ""

    def __bool__(self) -> bool:
        return bool(self.needles or self.expiry)


@dataclass(frozen=True, slots=True)
class Found:
    """One page of matches. `total` counts at most CAP of them, and `more` says that there are others still."""

    secrets: list[Secret]
    total: int
    more: bool
    after: str = ""  # the cursor of the next page; empty on the last one


# --- What is searched through ----------------------------------------------------------------------------------------
def haystack(
    vault: str,
    key: str,
    content_type: str,
    tags: Mapping[str, str],
    *,
    enabled: bool,
    managed: bool,
) -> str:
    """The text of one secret that search looks through; whoever writes a Secret row stores it with it."""
    text = f"{_START}{_NAME}{key}{_VAULT}{vault}{_VAULT}"
    if content_type:
        text += _TYPE + _clean(content_type)
    for tag, value in tags.items():
        text += f"{_TAG}{_clean(tag)}={_clean(value)}"
    if not enabled:
        text += _STATES["disabled"]
    return text + _STATES["managed"] if managed else text


def _clean(text: str) -> str:
    return (text if text.isprintable() else _CONTROL.sub(" ", text)).lower()


# --- What is asked ---------------------------------------------------------------------------------------------------
def parse(text: str) -> Query:
    """The query in `text`; raises BadQuery. Words are separated by spaces, and quotes hold a text with spaces together.

    `name: vault: type: tag:` look at the start of that field; `is:` takes expired, expiring, disabled or managed.
    """
    words: list[str] = []
    marked: list[str] = []
    expiry = ""
    for token in _TOKEN.findall(_clean(text)):
        field, colon, rest = token.replace('"', "").partition(":")
        if colon and rest and field in _QUALIFIERS:
            marked.append(_QUALIFIERS[field] + rest)
        elif colon and field == "is":
            expiry = _state(rest, marked) or expiry
        elif field + colon + rest:
            words.append(field + colon + rest)
    return _query(words, marked, expiry)


def _state(word: str, marked: list[str]) -> str:
    if word in _STATES:
        marked.append(_STATES[word])
        return ""
    if word in {"expired", "expiring"}:
        return word
    raise BadQuery(f"“is:{word}” is not known: use is:expired, is:expiring, is:disabled or is:managed.")


def _query(words: list[str], marked: list[str], expiry: str) -> Query:
    name = words[0] if len(words) == 1 and not marked else ""
    if not words or any(len(needle) >= _TRIGRAM for needle in words + marked):
        return Query((*words, *marked), name, "", expiry)
    # Nothing here is long enough for the index, except the first word together with what stands before every name.
    return Query((f"{_START}{_NAME}{words[0]}", *words[1:], *marked), words[0], words[0], expiry)


# --- The answer ------------------------------------------------------------------------------------------------------
def find(visible: QuerySet[Secret], query: Query, *, after: str = "", size: int = PAGE) -> Found:
    """The page of matches behind the cursor `after`, among the secrets in `visible` (policy.visible_secrets).

    Three queries, whatever the size. Raises BadQuery for a cursor that no page of ours gave out.
    """
    if not query:
        return Found([], 0, more=False)
    keys = dict(_candidates(visible.filter(vanished_at=None, vault__vanished_at=None), query))
    more = len(keys) > CAP
    ranked = sorted(_rank(query.name, key, pk) for pk, key in keys.items())[:CAP]
    start = bisect_right(ranked, _cursor(after)) if after else 0
    page = ranked[start : start + size]
    shown = Secret.objects.select_related("vault").defer("haystack", "vault__tags", "vault__health_note")
    rows = shown.in_bulk([pk for _, _, pk in page])
    last = start + size >= len(ranked)
    return Found([rows[pk] for _, _, pk in page if pk in rows], len(ranked), more, "" if last else _text(page[-1]))


def _candidates(live: QuerySet[Secret], query: Query) -> list[tuple[int, str]]:
    """(id, key) of at most CAP + 1 matches; of too many, those whose name begins with the word are among them."""
    if query.expiry:
        live = live.filter(expiry(query.expiry))
    found = list(_containing(live, query.needles)[: CAP + 1])
    if query.name and len(found) > CAP:
        exact = list(live.filter(key=query.name).order_by("pk").values_list("pk", "key")[: CAP + 1])
        named = list(_containing(live, (f"{_START}{_NAME}{query.name}",))[: CAP + 1])
        found = list(dict.fromkeys(exact + named + found))[: CAP + 1]
    return found


def _containing(live: QuerySet[Secret], needles: tuple[str, ...]) -> QuerySet[Secret, tuple[int, str]]:
    """Live secrets that hold all the texts, by id, so that a page asked for twice is cut from the same matches."""
    indexed = [needle for needle in needles if len(needle) >= _TRIGRAM]
    if connection.vendor == "sqlite" and indexed:
        # The plus sign keeps the planner from asking the text index once per secret instead of the other way round.
        index = "vaults_secret_search"
        phrases = " AND ".join('"' + needle.replace('"', '""') + '"' for needle in indexed)
        where = [f"vaults_secret.id = +{index}.rowid", f"{index} MATCH %s"]
        # S610: the SQL is constant and the person's text is a parameter; the ORM has no word for a joined MATCH.
        live = live.extra(tables=[index], where=where, params=[phrases], order_by=[f"{index}.rowid"])  # noqa: S610
        needles = tuple(needle for needle in needles if len(needle) < _TRIGRAM)
    else:
        live = live.order_by("pk")
    for needle in needles:
        live = live.filter(haystack__contains=needle)
    return live.values_list("pk", "key")


def narrow(secrets: QuerySet[Secret], query: Query) -> QuerySet[Secret]:
    """Those of a few secrets, such as one vault's, that match: without the index, and so without a bound."""
    for needle in query.needles:
        secrets = secrets.filter(haystack__contains=needle)
    return secrets.filter(expiry(query.expiry)) if query.expiry else secrets


def matching(live: QuerySet[Secret], query: Query, most: int) -> list[int]:
    """The ids of at most `most` of the secrets in `live` that match; without a query, of all of them."""
    found = _containing(live, query.needles)
    if query.expiry:
        found = found.filter(expiry(query.expiry))
    return [pk for pk, _ in found[:most]]


def in_state(secrets: QuerySet[Secret], state: str) -> QuerySet[Secret]:
    """Those in the state that a list's filter names: expired, expiring, endless, disabled or managed; "" for any."""
    if state in {"expired", "expiring"}:
        return secrets.filter(expiry(state))
    conditions = {"endless": Q(expires_on=None), "disabled": Q(enabled=False), "managed": Q(managed=True)}
    return secrets.filter(conditions.get(state, Q()))


def tagged(name: str, value: str = "") -> Q:
    """Secrets with a tag of this name, whose value begins so, whatever the case."""
    return Q(haystack__contains=f"{_TAG}{_clean(name)}={_clean(value)}")


def expiry(state: str) -> Q:
    """Secrets that have expired, or that will within SOON."""
    now = timezone.now()
    if state == "expired":
        return Q(expires_on__lte=now)
    return Q(expires_on__gt=now, expires_on__lte=now + SOON)


def _rank(name: str, key: str, pk: int) -> tuple[int, str, int]:
    if name and key == name:
        return 0, key, pk
    return 1 if name and key.startswith(name) else 2, key, pk


def _text(position: tuple[int, str, int]) -> str:
    return ".".join(map(str, position))


def _cursor(text: str) -> tuple[int, str, int]:
    match = re.fullmatch(r"([012])\.([0-9a-z-]{1,127})\.([0-9]{1,19})", text)
    if match is None:
        raise BadQuery("There is no such page of this search.")
    return int(match[1]), match[2], int(match[3])
