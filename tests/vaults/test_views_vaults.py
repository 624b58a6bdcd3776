"""The list of vaults, one vault with its secrets, and registering a vault."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import LedgerEntry
from tests import factories
from vaults.models import Person, Secret, Vault, VaultWarning

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
SECRET = "/vaults/pay-prod/secrets/db-password/"


def text(client: Client, path: str, status: int = 200, **headers: str) -> str:
    response = client.get(path, headers=headers)
    assert response.status_code == status
    return response.content.decode()


@pytest.fixture
def bob(db: None) -> Person:
    """A reader of the environment "test" only."""
    return factories.person("bob", "reader", environment="test")


# --- The list --------------------------------------------------------------------------------------------------------
def test_each_person_sees_the_vaults_that_their_roles_reach(
    reader: Person, bob: Person, nobody: Person, client_of: ClientOf
) -> None:
    factories.vault("pay-prod")
    factories.vault("pay-test", environment="test")
    seen = {person.username: text(client_of(person), "/vaults/") for person in (reader, bob, nobody)}
    assert [word in seen["reader"] for word in ("pay-prod", "pay-test")] == [True, True]
    assert [word in seen["bob"] for word in ("pay-prod", "pay-test")] == [False, True]
    assert [word in seen["nobody"] for word in ("pay-prod", "pay-test")] == [False, False]
    assert "No vault to show" in seen["nobody"]


def test_choices_of_the_filter_do_not_tell_of_vaults_elsewhere(bob: Person, client_of: ClientOf) -> None:
    factories.vault("hidden", environment="top-secret", subscription=factories.subscription("1" * 36, "Hush"))
    factories.vault("pay-test", environment="test")
    page = text(client_of(bob), "/vaults/")
    assert (page.count("top-secret"), page.count("Hush")) == (0, 0)


@pytest.mark.parametrize("count", [1, 3])
def test_the_list_takes_as_many_queries_for_three_vaults_as_for_one(
    reader: Person, client_of: ClientOf, count: int, django_assert_num_queries: Callable[[int], object]
) -> None:
    for number in range(count):
        subscription = factories.subscription(f"{number}" * 36, f"Sub {number}")
        warned(factories.vault(f"pay-{number}", subscription=subscription), "note", "warning")
    client = client_of(reader)
    client.get("/help/")  # the first page puts the CSRF token into the session
    with django_assert_num_queries(12):  # type: ignore[attr-defined]
        page = text(client, "/vaults/")
    assert (page.count('<th scope="row">'), page.count("#warnings-title")) == (count, count)


def warned(vault: Vault, *levels: str) -> Vault:
    """A vault that the rules have looked at, and for which so many ring."""
    factories.detail(vault)
    for number, level in enumerate(levels):
        code, now = f"rule-{number}", timezone.now()
        VaultWarning.objects.create(vault=vault, code=code, level=level, sentence="It rings.", since=now)
    return vault


def test_each_vault_says_how_many_warnings_it_has_and_leads_to_them(
    reader: Person, bob: Person, nobody: Person, client_of: ClientOf
) -> None:
    warned(factories.vault("pay-prod"), "note", "serious", "warning")
    warned(factories.vault("pay-test", environment="test"))
    factories.vault("unseen", resource_id="")
    cells = {person.username: named_in(text(client_of(person), "/vaults/")) for person in (reader, bob, nobody)}

    assert cells["reader"] == [
        "pay-prod 3 warnings of pay-prod, the most serious: serious", "pay-test", "unseen Warnings not known",
    ]  # fmt: skip
    assert (cells["bob"], cells["nobody"]) == (["pay-test"], [])
    client = client_of(reader)
    assert 'href="/vaults/pay-prod/#warnings-title"' in text(client, "/vaults/")
    assert text(client, "/vaults/?health=gone").count("#warnings-title") == 0


def named_in(page: str) -> list[str]:
    """What stands beside each vault's name."""
    cells = re.findall(r'<th scope="row">(.*?)</th>', page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", "", cell).split()) for cell in cells]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=PAY", ["pay-prod", "pay-test"]),
        ("environment=test", ["pay-test"]),
        ("health=not-ok", ["hr-prod"]),
        ("health=firewall", ["hr-prod"]),
        ("log=blind", ["pay-prod"]),
        ("subscription=" + "2" * 36, ["hr-prod"]),
        ("sort=health", ["hr-prod", "pay-prod", "pay-test"]),
        ("sort=secrets", ["pay-test", "hr-prod", "pay-prod"]),
        ("q=nothing-like-it", []),
        ("health=gone", ["old-dev", "old-test"]),
        ("health=gone&environment=test", ["old-test"]),
    ],
)
def test_the_list_can_be_filtered_and_sorted_by_address(
    reader: Person, client_of: ClientOf, query: str, names: list[str]
) -> None:
    factories.vault("pay-prod", health="ok", log_state="no-setting")
    factories.vault("pay-test", environment="test", health="ok", secret_count=5)
    other = factories.subscription("2" * 36, "People")
    for name in ("dev", "test"):
        factories.vault(f"old-{name}", environment=name, health="firewall", vanished_at=timezone.now())
    factories.vault("hr-prod", environment="hr", health="firewall", subscription=other)
    page = client_of(reader).get(f"/vaults/?{query}").context["page"]
    assert [vault.name for vault in page] == names


def test_vaults_that_azure_no_longer_shows_are_listed_for_those_who_may_see_them(
    reader: Person, bob: Person, nobody: Person, client_of: ClientOf
) -> None:
    factories.vault("old-prod", health="ok", vanished_at=timezone.now())
    factories.vault("old-test", health="ok", environment="test", vanished_at=timezone.now())
    link = '<a href="/vaults/?health=gone">'
    pages = [text(client_of(person), "/vaults/") for person in (reader, bob, nobody)]
    listed = [text(client_of(person), "/vaults/?health=gone") for person in (reader, bob, nobody)]
    assert [page.partition(link)[2].partition("<")[0] for page in pages] == [
        "2 vaults no longer shown by Azure", "1 vault no longer shown by Azure", "",
    ]  # fmt: skip
    assert [[name in page for name in ("old-prod", "old-test")] for page in listed] == [
        [True, True], [False, True], [False, False],
    ]  # fmt: skip
    assert listed[1].count("</svg>No longer shown</span>") == 1
    assert "</svg>Healthy</span>" not in listed[1]


def test_what_failed_and_as_of_when_stands_above_the_list(reader: Person, client_of: ClientOf) -> None:
    moment = timezone.now().replace(year=2026, month=5, day=4, hour=14, minute=2)
    factories.vault("pay-prod", health="ok", listed_at=moment)
    factories.vault("hr-prod", health="firewall", health_since=moment)
    page = text(client_of(reader), "/vaults/")
    assert "1 of 2 vaults, as of <time" in page
    assert '1 failed: firewall (<a href="/vaults/hr-prod/">hr-prod</a>)' in page


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        ("1000000000", "This list has no page 1000000000: it ends with page 1."),
        ("0", "This list has no page 0: it ends with page 1."),
        ("-1", "This list has no page -1: it ends with page 1."),
        ("x", "The page of a list is a number, and the link has none."),
        ("9" * 5000, f"This list has no page {'9' * 20}: it ends with page 1."),
    ],
)
def test_a_page_that_is_not_there_is_told_as_one(
    reader: Person, client_of: ClientOf, number: str, sentence: str
) -> None:
    assert sentence in text(client_of(reader), f"/vaults/?page={number}", 404)


def test_a_filter_of_500_characters_is_refused_in_its_field_and_not_lost(reader: Person, client_of: ClientOf) -> None:
    factories.vault("pay-prod")
    page = text(client_of(reader), "/vaults/?q=" + "a" * 500, 422)
    assert "A search may have 200 characters; this one has 500." in page
    assert "a" * 500 in page


def test_an_unknown_choice_is_refused_in_its_field(reader: Person, client_of: ClientOf) -> None:
    assert "Select a valid choice. x is not one of" in text(client_of(reader), "/vaults/?health=x", 422)


def test_a_null_character_is_refused_in_its_field(reader: Person, client_of: ClientOf) -> None:
    assert "Null characters are not allowed." in text(client_of(reader), "/vaults/?q=a%00", 422)


def test_an_htmx_request_gets_the_table_alone(reader: Person, client_of: ClientOf) -> None:
    assert text(client_of(reader), "/vaults/", **{"HX-Request": "true"}).startswith('<section class="card" id="vau')


def test_a_count_covers_only_the_secrets_that_a_prefix_reaches(client_of: ClientOf) -> None:
    vault = factories.vault("pay-prod", secret_count=3, listed_at=timezone.now())
    for name in ("db-a", "db-b", "app-a"):
        factories.secret(vault, name)
    page = client_of(factories.person("db", "reader", vault=vault, prefix="db-")).get("/vaults/").context["page"]
    assert [item.shown_count for item in page] == [2]


# --- One vault -------------------------------------------------------------------------------------------------------
def test_each_person_sees_the_vault_or_the_same_404_as_for_nothing(
    reader: Person, bob: Person, nobody: Person, client_of: ClientOf
) -> None:
    factories.secret(factories.vault("pay-prod"), "db-password")
    assert "db-password" in text(client_of(reader), "/vaults/pay-prod/")
    for person in (bob, nobody):
        hidden = text(client_of(person), "/vaults/pay-prod/", 404)
        assert (hidden.count("db-password"), hidden.count("There is nothing here that you may see.")) == (0, 1)


def test_a_prefix_role_sees_its_secrets_and_counts_no_other(client_of: ClientOf) -> None:
    vault = factories.vault("pay-prod")
    for name in ("db-a", "app-a", "app-b"):
        factories.secret(vault, name)
    page = text(client_of(factories.person("db", "reader", vault=vault, prefix="db-")), "/vaults/pay-prod/")
    assert (page.count(">db-a<"), page.count("app-"), page.count("<span>1 secret</span>")) == (1, 0, 1)


@pytest.mark.parametrize("name", ["register", "new", "000", "-abc", "secrets", "a" * 127])
def test_every_legal_vault_name_has_its_page(reader: Person, client_of: ClientOf, name: str) -> None:
    factories.vault(name)
    assert f"<h1>{name} " in text(client_of(reader), f"/vaults/{name}/")


def test_a_wrong_vault_name_is_one_sentence(reader: Person, client_of: ClientOf) -> None:
    assert "There is nothing here that you may see." in text(client_of(reader), "/vaults/no-such/", 404)
    assert "Names in Key Vault have 1 to 127 letters" in text(client_of(reader), "/vaults/no_such/", 404)


def test_an_address_without_its_last_slash_is_led_on(reader: Person, client_of: ClientOf) -> None:
    factories.vault("pay-prod")
    assert client_of(reader).get("/vaults/pay-prod").headers["Location"] == "/vaults/pay-prod/"


def test_a_vault_that_vanished_opens_with_a_notice_and_as_of_when(reader: Person, client_of: ClientOf) -> None:
    now = timezone.now()
    factories.secret(factories.vault("pay-prod", vanished_at=now, listed_at=now - timedelta(days=1)), "db-password")
    page = text(client_of(reader), "/vaults/pay-prod/")
    assert "This vault is gone, or kvadmin may no longer see it" in page
    assert "db-password" in page


def test_a_failing_vault_says_since_when_and_what_to_do(reader: Person, client_of: ClientOf) -> None:
    note = "The vault's firewall does not let kvadmin in. Allow 203.0.113.7."
    factories.vault("pay-prod", health="firewall", health_since=timezone.now(), health_note=note)
    page = text(client_of(reader), "/vaults/pay-prod/")
    assert "This vault could not be listed since <time" in page
    assert "Allow 203.0.113.7." in page


@pytest.mark.parametrize("count", [1, 3])
def test_a_vault_takes_as_many_queries_for_three_secrets_as_for_one(
    reader: Person, client_of: ClientOf, count: int, django_assert_num_queries: Callable[[int], object]
) -> None:
    vault = factories.vault("pay-prod")
    for number in range(count):
        factories.secret(vault, f"key-{number}", tags={"n": str(number)})
    client = client_of(reader)
    client.get("/help/")  # the first page puts the CSRF token into the session
    with django_assert_num_queries(8):  # type: ignore[attr-defined]
        page = text(client, "/vaults/pay-prod/")
    assert page.count('<th scope="row">') == count


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=PASS", ["a-password"]),
        ("q=tag:team=blue", ["b-token"]),
        ("state=expired", ["a-password"]),
        ("state=expiring", ["c-key"]),
        ("state=endless", ["b-token", "d-cert"]),
        ("state=disabled", ["b-token"]),
        ("state=managed", ["d-cert"]),
        ("state=gone", ["z-old"]),
        ("sort=expires", ["a-password", "c-key", "b-token", "d-cert"]),
        ("sort=updated", ["d-cert", "a-password", "b-token", "c-key"]),
    ],
)
def test_secrets_can_be_filtered_and_sorted_by_address(
    reader: Person, client_of: ClientOf, query: str, names: list[str]
) -> None:
    vault, now = factories.vault("pay-prod"), timezone.now()
    factories.secret(vault, "a-password", expires_on=now - timedelta(days=1))
    factories.secret(vault, "b-token", tags={"team": "blue"}, enabled=False)
    factories.secret(vault, "c-key", expires_on=now + timedelta(days=1))
    factories.secret(vault, "d-cert", managed=True, updated_on=now)
    factories.secret(vault, "z-old", vanished_at=now)
    rows = client_of(reader).get(f"/vaults/pay-prod/?{query}").context["slice"].rows
    expected = sorted(names) if "updated" not in query and "expires" not in query else names
    if query == "sort=updated":  # those without a time follow, newest row first
        expected = ["d-cert", "c-key", "b-token", "a-password"]
    assert [secret.name for secret in rows] == expected


@pytest.mark.parametrize("sort", ["name", "expires", "updated"])
def test_pages_of_secrets_lead_forth_and_back(reader: Person, client_of: ClientOf, sort: str) -> None:
    vault, now = factories.vault("pay-prod"), timezone.now()
    rows = [
        Secret(vault=vault, key=f"key-{n:03}", name=f"key-{n:03}", expires_on=now + timedelta(days=n // 7))
        for n in range(120)
    ]
    Secret.objects.bulk_create(rows)
    client, seen, at = client_of(reader), [], ""
    for _ in range(3):
        page = client.get("/vaults/pay-prod/", {"sort": sort, "at": at}).context["slice"]
        seen.append([secret.key for secret in page.rows])
        at = page.next
    back = client.get("/vaults/pay-prod/", {"sort": sort, "at": page.previous}).context["slice"]
    assert (len({key for keys in seen for key in keys}), page.next) == (120, "")
    assert [secret.key for secret in back.rows] == seen[1]


@pytest.mark.parametrize(
    "at", ["x", "bnVsbA", "W10", "WyJhIiwiMSIsMV0x", "1000000000", "WyJhIiwgIjEwMDAwMDAwMDAiLCAtMV0"]
)
def test_a_cursor_of_somebody_elses_making_is_one_sentence(reader: Person, client_of: ClientOf, at: str) -> None:
    factories.secret(factories.vault("pay-prod"))
    assert "This list has no such page." in text(client_of(reader), f"/vaults/pay-prod/?at={at}", 404)


@pytest.mark.parametrize(
    ("sort", "place"),
    [
        ("name", "\ud800"),
        ("name", "a\x00b"),
        ("expires", "0001-01-01T00:00:00+14:00"),
        ("expires", "9999-12-31T23:00:00-14:00"),
        ("updated", "2026-12-01T00:00:00"),
    ],
)
def test_a_cursor_that_no_database_takes_is_one_sentence(
    reader: Person, client_of: ClientOf, sort: str, place: str
) -> None:
    factories.secret(factories.vault("pay-prod"))
    at = base64.urlsafe_b64encode(json.dumps(["a", place, 1]).encode()).decode()
    assert "This list has no such page." in text(client_of(reader), f"/vaults/pay-prod/?sort={sort}&at={at}", 404)


def test_a_tag_called_items_is_a_tag_like_any_other(reader: Person, client_of: ClientOf) -> None:
    """In a template `tags.items` is the tag of that name, if there is one, and not the dictionary's method."""
    factories.secret(factories.vault("pay-prod", tags={"items": "vault-tag"}), tags={"items": "secret-tag"})
    client = client_of(reader)
    pages = [text(client, path) for path in ("/vaults/pay-prod/", SECRET, "/search/?q=password")]
    assert [page.count("items=secret-tag") for page in pages] == [1, 1, 1]
    assert pages[0].count("items=vault-tag") == 1


# --- Registering -----------------------------------------------------------------------------------------------------
def test_an_administrator_registers_a_vault_and_it_is_on_record(admin: Person, client_of: ClientOf) -> None:
    response = client_of(admin).post(
        "/register-vault/", {"uri": "https://Hidden.vault.azure.net", "environment": "Lab"}
    )
    vault, entry = Vault.objects.get(), LedgerEntry.objects.get()
    assert response.headers["Location"] == "/sync/"
    assert (vault.name, vault.uri, vault.environment) == ("hidden", "https://hidden.vault.azure.net/", "lab")
    assert (vault.registered, entry.action, entry.vault) == (True, "vault:sync", "hidden")


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("", "Give the vault&#x27;s address."),
        ("https://evil.example/", "This vault&#x27;s address lies outside vault.azure.net"),
        ("https://evil.example/?.vault.azure.net", "This is not the address of a vault"),
        ("http://x.vault.azure.net/", "This is not the address of a vault"),
        ("https://user@x.vault.azure.net/", "This is not the address of a vault"),
        ("https://169.254.169.254/", "lies outside vault.azure.net"),
        ("pay-prod", "This is not the address of a vault"),
        ("https://" + "a" * 400, "No vault&#x27;s address is that long."),
    ],
)
def test_an_address_that_is_no_vaults_is_refused_in_its_field(
    admin: Person, client_of: ClientOf, uri: str, sentence: str
) -> None:
    response = client_of(admin).post("/register-vault/", {"uri": uri, "environment": "lab"})
    assert (response.status_code, Vault.objects.count()) == (422, 0)
    assert sentence in response.content.decode()
    assert 'value="lab"' in response.content.decode()


def test_a_vault_that_is_known_is_not_registered_twice(admin: Person, client_of: ClientOf) -> None:
    factories.vault("pay-prod")
    response = client_of(admin).post("/register-vault/", {"uri": "https://pay-prod.vault.azure.net/"})
    assert "kvadmin knows this vault already." in response.content.decode()
    assert Vault.objects.get().registered is False


def test_a_vault_that_vanished_may_be_registered(admin: Person, client_of: ClientOf) -> None:
    factories.vault("pay-prod", vanished_at=timezone.now())
    client_of(admin).post("/register-vault/", {"uri": "https://pay-prod.vault.azure.net/"})
    vault = Vault.objects.get()
    assert (vault.registered, vault.vanished_at, vault.environment) == (True, None, "prod")


@pytest.mark.parametrize("who", ["reader", "nobody"])
def test_nobody_else_registers_a_vault(request: pytest.FixtureRequest, client_of: ClientOf, who: str) -> None:
    client = client_of(request.getfixturevalue(who))
    assert client.get("/register-vault/").status_code == 403
    assert client.post("/register-vault/", {"uri": "https://x.vault.azure.net/"}).status_code == 403
    assert Vault.objects.count() == 0
