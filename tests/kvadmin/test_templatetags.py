"""Icons, badges, times and numbers read the same on every page."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from django.conf import settings
from django.template import engines
from lucide import _load_icon

from audit import leavers
from audit.finding_models import DirectoryName, Severity
from audit.models import AccessEvent, LedgerEntry
from kvadmin import badges
from kvadmin.templatetags import kv
from vaults import restores
from vaults.models import Health, LogState, RevealPolicy, Secret, State, SyncRun

NOW = datetime(2026, 12, 1, 0, 48, 7, tzinfo=UTC)
TEMPLATES = Path(settings.BASE_DIR) / "templates"


@pytest.fixture(autouse=True)
def _a_fixed_moment():
    with time_machine.travel(NOW, tick=False):
        yield


def render(source: str, **context: object) -> str:
    return engines["django"].from_string(source).render(context)


# --- Times -----------------------------------------------------------------------------------------------------------


def test_a_moment_is_shown_in_utc_with_the_offset_named() -> None:
    paris = datetime.fromisoformat("2026-12-01T01:48:07+01:00")

    assert kv.when(paris) == '<time datetime="2026-12-01T00:48:07Z">2026-12-01 00:48Z</time>'
    assert kv.when_exact(paris) == '<time datetime="2026-12-01T00:48:07Z">2026-12-01 00:48:07Z</time>'
    assert kv.day(paris) == '<time datetime="2026-12-01T00:48:07Z">2026-12-01</time>'


@pytest.mark.parametrize("show", [kv.when, kv.when_exact, kv.day])
def test_no_moment_is_a_dash_or_the_word_given(show) -> None:
    assert show(None) == "\u2013"
    assert show(None, "never") == "never"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (-59, "just now"),
        (-60, "1 minute ago"),
        (-7_199, "1 hour ago"),
        (-86_400 * 3, "3 days ago"),
        (-86_400 * 61, "2 months ago"),
        (-86_400 * 800, "2 years ago"),
        (30, "in less than a minute"),
        (86_400 * 12, "in 12 days"),
    ],
)
def test_a_distance_is_told_in_its_largest_whole_unit(seconds: int, words: str) -> None:
    assert f">{words}</time>" in kv.ago(NOW + timedelta(seconds=seconds))


def test_what_never_happened_is_never_ago() -> None:
    assert kv.ago(None) == "never"


@pytest.mark.parametrize(("hours", "days"), [(-1, -1), (0, 0), (23, 0), (24, 1), (24 * 30, 30)])
def test_days_until_are_whole_and_negative_once_passed(hours: int, days: int) -> None:
    assert kv.days_until(NOW + timedelta(hours=hours)) == days


# --- Numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (0, "vault", "0 vaults"),
        (1, "vault", "1 vault"),
        (1234, "vault", "1,234 vaults"),
        (2, "entry,entries", "2 entries"),
    ],
)
def test_a_number_is_counted_with_its_noun(number: int, noun: str, words: str) -> None:
    assert kv.count(number, noun) == words


def test_thousands_are_separated_and_nothing_is_a_dash() -> None:
    assert (kv.thousands(1_234_567), kv.thousands(None)) == ("1,234,567", "\u2013")


# --- Badges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "choices"),
    [
        ("health", Health),
        ("log", LogState),
        ("sync", SyncRun.State),
        ("policy", RevealPolicy.Mode),
        ("phase", LedgerEntry.Phase),
        ("request", State),
        ("outcome", AccessEvent.Outcome),
        ("who", AccessEvent.Kind),
        ("match", AccessEvent.Match),
        ("severity", Severity),
        ("directory", DirectoryName.Kind),
    ],
)
def test_every_state_of_a_model_has_its_look_and_the_models_own_label(kind: str, choices) -> None:
    assert badges.words(kind) == set(choices.values)
    assert {word: badges.find(kind, word).label for word in choices.values} == dict(choices.choices)


@pytest.mark.parametrize(("kind", "states"), [("leaver", leavers.STATES), ("restore", restores.STATES)])
def test_every_state_of_a_list_has_its_look(kind: str, states: tuple[str, ...]) -> None:
    assert badges.words(kind) == set(states)


def test_states_are_counted_in_the_tables_order_and_none_is_left_out() -> None:
    counted = [(word, look.label, n) for word, look, n in badges.tally("equality", ["unknown", "equal", "unknown"])]
    assert counted == [("equal", "Equal", 1), ("different", "Different", 0), ("unknown", "Not known", 2)]


def test_every_badge_has_an_icon_that_exists() -> None:
    for kind in badges.KINDS:
        for word in badges.words(kind):
            assert _load_icon(badges.find(kind, word).icon) is not None


def test_every_icon_that_a_template_names_exists() -> None:
    """One that does not breaks its page, and what is seldom shown breaks unseen."""
    badge = r"""{% badge \S+ (?:"[^"]*"|'[^']*'|\S+) ["']([\w-]+)"""
    named = re.compile(rf"""{{% icon "([^"]+)"|icon_name(?:=|\|default:)"([^"]+)"|{badge}""")
    used = {"".join(found) for path in TEMPLATES.rglob("*.html") for found in named.findall(path.read_text("utf-8"))}
    assert len(used) > 90
    for name in used:
        assert _load_icon(name) is not None


def test_a_badge_is_an_icon_and_a_word() -> None:
    shown = render('{{ word|badge:"health" }}', word="firewall")

    assert shown.startswith('<span class="badge bad"><svg ')
    assert shown.endswith("</svg>Firewall</span>")
    assert 'aria-hidden="true"' in shown


def test_an_unknown_word_is_shown_as_it_is_and_escaped() -> None:
    assert render('{{ word|badge:"health" }}', word="<b>").endswith("</svg>&lt;b&gt;</span>")


def test_a_free_badge_is_escaped_too() -> None:
    shown = render('{% badge "warn" label %}', label="<i>2 failed")

    assert shown.startswith('<span class="badge warn">')
    assert shown.endswith("</svg>&lt;i&gt;2 failed</span>")


@pytest.mark.parametrize(
    ("days", "tone", "label"),
    [
        (None, "muted", "No expiry"),
        (-3, "bad", "Expired"),
        (0, "bad", "In less than a day"),  # of today or of tomorrow
        (1, "warn", "In 1 day"),
        (30, "warn", "In 30 days"),
        (31, "ok", "In 31 days"),
    ],
)
def test_an_expiry_is_told_in_words(days: int | None, tone: str, label: str) -> None:
    look = badges.expiry(days)

    assert (look.tone, look.label) == (tone, label)


def test_an_ordinary_secret_has_no_badge() -> None:
    assert kv.secret_badges(Secret(name="a", expires_on=NOW + timedelta(days=1))) == ""


def test_a_secret_shows_all_that_is_special_about_it() -> None:
    odd = Secret(
        name="a",
        enabled=False,
        managed=True,
        vanished_at=NOW,
        expires_on=NOW,
        not_before=NOW + timedelta(days=1),
    )

    labels = [look.label for look in badges.of_secret(odd, NOW)]

    assert labels == ["Gone from Azure", "Disabled", "Expired", "Not yet valid", "Certificate"]
    assert all(label in kv.secret_badges(odd) for label in labels)


def test_an_icon_is_silent_and_has_the_size_asked_for() -> None:
    shown = render('{% icon "vault" 20 %}')

    assert shown.startswith("<svg ")
    assert 'width="20" height="20"' in shown
    assert 'aria-hidden="true"' in shown
    assert "style=" not in shown


# --- Tags ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tags", [{}, {"team": "blue"}, {"items": "x", "keys": "y", "team": "blue"}])
def test_tags_are_listed_whatever_they_are_called(tags: dict[str, str]) -> None:
    source = "{% for tag, value in tags|pairs %}{{ tag }}={{ value }};{% endfor %}"

    assert render(source, tags=tags) == "".join(f"{tag}={value};" for tag, value in tags.items())
