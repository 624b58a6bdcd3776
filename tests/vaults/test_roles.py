"""Roles are assigned and ended by administrators, within their own reach, never to themselves, and on record."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from audit.models import LedgerEntry
from tests import factories
from vaults.models import Person, RoleAssignment, Vault

pytestmark = pytest.mark.django_db


@pytest.fixture
def pay_prod() -> Vault:
    return factories.vault("pay-prod")


@pytest.fixture
def admin() -> Person:
    return factories.person("admin", "administrator")


def assign(client: Client, **fields: str):
    data = {"holder": "bob", "role": "reader", "scope_kind": "everything", **fields}
    return client.post("/roles/assign/", data)


def in_force() -> list[tuple[str, str, str]]:
    found = RoleAssignment.objects.in_force().exclude(person__username__contains="admin")
    return [(a.holder, a.role, a.scope_text) for a in found]


def test_an_administrator_assigns_a_role_and_the_ledger_says_so(client: Client, admin: Person, pay_prod: Vault) -> None:
    factories.person("bob")
    client.force_login(admin)

    assign(client, role="secrets-user", scope_kind="prefix", vault="Pay-Prod", prefix="DB-")

    assert in_force() == [("bob", "secrets-user", "db-* in pay-prod")]
    entry = LedgerEntry.objects.get()
    assert (entry.action, entry.person, entry.vault, entry.note) == (
        "role:assign",
        "admin",
        "pay-prod",
        "Secrets User on db-* in pay-prod, to bob",
    )


def test_an_administrator_of_one_environment_assigns_only_there(client: Client, pay_prod: Vault) -> None:
    factories.vault("pay-dev", environment="dev")
    factories.person("bob")
    client.force_login(factories.person("dev-admin", "administrator", environment="dev"))

    inside = assign(client, scope_kind="vault", vault="pay-dev")
    outside = assign(client, scope_kind="vault", vault="pay-prod")
    everything = assign(client)

    assert [inside.status_code, outside.status_code, everything.status_code] == [302, 422, 403]
    assert "No vault of this name is known." in outside.content.decode()
    assert in_force() == [("bob", "reader", "vault pay-dev")]
    assert LedgerEntry.objects.filter(phase="refused", code="beyond-reach").count() == 1


def test_an_administrator_of_one_environment_learns_of_no_vault_elsewhere(client: Client, pay_prod: Vault) -> None:
    factories.vault("pay-dev", environment="dev", subscription=factories.subscription("1" * 36, "Development"))
    bob = factories.person("bob", "reader", vault=pay_prod)
    factories.assign(bob, "auditor", vault=pay_prod, prefix="db-")
    factories.assign(bob, "secrets-user", environment="prod")
    factories.assign(bob, "approver", environment="dev")
    factories.policy("direct", vault=pay_prod)
    client.force_login(factories.person("dev-admin", "administrator", environment="dev"))

    for path in ("/roles/", "/roles/assign/", "/people/", f"/people/{bob.pk}/", "/policies/"):
        page = client.get(path).content.decode()
        assert [word for word in ("pay-prod", "prod", "Payments") if word in page] == [], path
    assert "environment dev" in client.get(f"/people/{bob.pk}/").content.decode()
    assert '<td data-label="Roles of their own" class="num">1</td>' in client.get("/people/").content.decode()


def test_what_lies_beyond_ones_reach_cannot_be_ended_and_is_not_told_from_nothing(client: Client) -> None:
    theirs = factories.person("bob", "reader", vault=factories.vault("pay-prod")).role_assignments.get()
    rule = factories.policy("direct", environment="prod")
    client.force_login(factories.person("dev-admin", "administrator", environment="dev"))

    paths = [f"/roles/{theirs.pk}/end/", "/roles/999999/end/", f"/policies/{rule.pk}/end/", "/policies/999999/end/"]

    assert [client.post(path).status_code for path in paths] == [404] * 4
    assert in_force() == [("bob", "reader", "vault pay-prod")]


@pytest.mark.parametrize(
    ("scope", "rows"),
    [
        ({"scope_kind": "everything"}, {"everything", "env", "sub", "vault", "prefix", "longer"}),
        ({"environment": "prod"}, {"env", "vault", "prefix", "longer"}),
        ({"subscription": True}, {"sub", "vault", "prefix", "longer"}),
        ({"vault": True}, {"vault", "prefix", "longer"}),
        ({"vault": True, "prefix": "db-a"}, {"longer"}),
        ({"environment": "dev"}, set()),
    ],
)
def test_the_filter_of_a_scope_agrees_with_what_the_scope_contains(
    scope: dict[str, object], rows: set[str], pay_prod: Vault
) -> None:
    known: dict[str, object] = {"vault": pay_prod, "subscription": pay_prod.subscription}
    admin = factories.person(
        "admin", "administrator", **{k: known.get(k, v) if v is True else v for k, v in scope.items()}
    )
    places = {
        "everything": {},
        "env": {"environment": "prod"},
        "sub": {"subscription": pay_prod.subscription},
        "vault": {"vault": pay_prod},
        "prefix": {"vault": pay_prod, "prefix": "db-"},
        "longer": {"vault": pay_prod, "prefix": "db-app-"},
    }
    made = {factories.assign(factories.person(name), "reader", **place).pk: name for name, place in places.items()}
    reach = admin.role_assignments.get()

    held = RoleAssignment.objects.filter(pk__in=made)

    assert {made[row.pk] for row in held.filter(reach.contained())} == rows
    assert {made[row.pk] for row in held if reach.contains(row)} == rows


def test_only_what_one_may_end_has_a_button_for_it(client: Client, admin: Person) -> None:
    bob = factories.person("bob", "reader")
    dev = factories.assign(bob, "approver", environment="dev")
    by_group = RoleAssignment.objects.create(
        group=Group.objects.create(name="platform"), role="auditor", scope_kind="environment", environment="dev"
    )
    bob.groups.add(by_group.group)
    people = {"dev": factories.person("dev-admin", "administrator", environment="dev"), "all": admin}

    def endable(who: str, path: str) -> set[int]:
        client.force_login(people[who])
        page = client.get(path).content.decode()
        assert "Reader" in page
        return {role.pk for role in RoleAssignment.objects.all() if f'action="/roles/{role.pk}/end/"' in page}

    reader = bob.role_assignments.get(role="reader")
    assert endable("dev", "/roles/") == {dev.pk, by_group.pk, people["dev"].role_assignments.get().pk}
    assert endable("dev", f"/people/{bob.pk}/") == {dev.pk}
    assert endable("all", "/roles/") == {role.pk for role in RoleAssignment.objects.all()}
    assert endable("all", f"/people/{bob.pk}/") == {dev.pk, reader.pk}


def test_an_ended_role_has_no_button(client: Client, admin: Person) -> None:
    theirs = factories.person("bob", "reader").role_assignments.get()
    RoleAssignment.objects.filter(pk=theirs.pk).update(ended_at=timezone.now(), ended_by=admin)
    client.force_login(admin)

    page = client.get("/roles/?ended=1").content.decode()

    assert (">bob</a>" in page, "/end/" in page) == (True, False)


def test_somebody_without_the_right_sees_no_names_and_changes_nothing(client: Client, pay_prod: Vault) -> None:
    factories.person("bob", "reader")
    client.force_login(factories.person("eve", "secrets-officer"))

    answers = [client.get("/roles/"), client.get("/roles/assign/"), assign(client)]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert not any("bob" in answer.content.decode() for answer in answers)
    assert RoleAssignment.objects.count() == 2


def test_nobody_gives_a_role_to_themselves_alone_or_by_group(client: Client, admin: Person) -> None:
    team = Group.objects.create(name="platform")
    admin.groups.add(team)
    client.force_login(admin)

    answers = [assign(client, holder="admin"), assign(client, holder="ADMIN"), assign(client, holder="group:platform")]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert "ask another administrator" in answers[0].content.decode()
    assert RoleAssignment.objects.count() == 1
    assert LedgerEntry.objects.filter(phase="refused", code="oneself").count() == 3


def test_nobody_gives_a_role_to_their_second_account_alone_or_by_group(client: Client, admin: Person) -> None:
    team, second = Group.objects.create(name="platform"), factories.person("second")
    Person.objects.filter(pk=admin.pk).update(email="ada@example.org")
    Person.objects.filter(pk=second.pk).update(email="Ada@Example.org")
    second.groups.add(team)
    client.force_login(admin)

    assert [assign(client, holder=whom).status_code for whom in ("second", "group:platform")] == [403, 403]
    assert RoleAssignment.objects.count() == 1


def test_people_without_an_address_are_different_people(client: Client, admin: Person) -> None:
    factories.person("bob")
    client.force_login(admin)

    assert assign(client, holder="bob").status_code == 302


def test_the_last_administrator_of_everything_stays(client: Client, admin: Person) -> None:
    """Whoever cannot sign in, or administers a part only, is no other one."""
    gone = factories.person("gone-admin", "administrator")
    Person.objects.filter(pk=gone.pk).update(is_active=False)
    factories.person("dev-admin", "administrator", environment="dev")
    client.force_login(admin)

    answer = client.post(f"/roles/{admin.role_assignments.get().pk}/end/")

    assert answer.status_code == 403
    assert "Give that role to somebody else first" in answer.content.decode()
    assert admin.role_assignments.get().ended_at is None
    assert LedgerEntry.objects.filter(phase="refused", code="last-administrator").count() == 1


def test_with_another_one_in_a_group_an_administrator_may_go(client: Client, admin: Person) -> None:
    team = Group.objects.create(name="platform")
    RoleAssignment.objects.create(group=team, role="administrator", scope_kind="everything")
    client.force_login(admin)
    path = f"/roles/{admin.role_assignments.get().pk}/end/"

    assert client.post(path).status_code == 403  # nobody is in the group yet
    factories.person("bob").groups.add(team)
    assert client.post(path).status_code == 302


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"holder": "nobody-here"}, "Nobody of this name can sign in, and no group is called so."),
        ({"scope_kind": "vault", "vault": "no-such-vault"}, "No vault of this name is known."),
        ({"scope_kind": "vault"}, "Name the vault."),
        ({"scope_kind": "environment"}, "Choose the environment."),
        ({"scope_kind": "subscription"}, "Choose the subscription."),
        ({"scope_kind": "prefix", "vault": "pay-prod"}, "Give the beginning of the names."),
        ({"ends_at": "2001-01-01T00:00"}, "This moment has passed already."),
        ({"ends_at": "soon"}, "Enter a valid date/time."),
        ({"role": "owner"}, "Select a valid choice."),
        ({"holder": "group:platform", "role": "break-glass-holder"}, "Break-glass is for named people"),
    ],
)
def test_bad_input_gets_one_sentence_and_keeps_what_was_typed(
    fields: dict[str, str], sentence: str, client: Client, admin: Person, pay_prod: Vault
) -> None:
    Group.objects.create(name="platform")
    factories.person("bob")
    client.force_login(admin)

    answer = assign(client, **fields)

    page = answer.content.decode()
    assert answer.status_code == 422
    assert sentence in page
    assert f'value="{fields.get("holder", "bob")}"' in page
    assert in_force() == []


def test_fields_of_another_scope_are_ignored_not_stored(client: Client, admin: Person, pay_prod: Vault) -> None:
    factories.person("bob")
    client.force_login(admin)

    assign(client, scope_kind="environment", environment="prod", vault="pay-prod", prefix="db-")

    assert in_force() == [("bob", "reader", "environment prod")]


def test_ending_a_role_takes_it_away_at_once_and_only_once(client: Client, admin: Person) -> None:
    bob = factories.person("bob", "reader")
    theirs = bob.role_assignments.get()
    client.force_login(admin)

    client.post(f"/roles/{theirs.pk}/end/")
    again = client.post(f"/roles/{theirs.pk}/end/", follow=True)

    assert in_force() == []
    assert "had ended already" in again.content.decode()
    assert LedgerEntry.objects.filter(note="Ended: Reader on everything, of bob").count() == 1


@pytest.mark.parametrize("path", ["/roles/{}/end/"])
def test_looking_at_an_act_changes_nothing(path: str, client: Client, admin: Person) -> None:
    bob = factories.person("bob", "reader")
    client.force_login(admin)

    answer = client.get(path.format(bob.role_assignments.get().pk))

    assert answer.status_code == 405
    assert in_force() == [("bob", "reader", "everything")]


@pytest.mark.parametrize("count", [1, 3])
def test_the_list_costs_the_same_queries_whatever_its_size(
    count: int, client: Client, admin: Person, django_assert_num_queries
) -> None:
    for number in range(count):
        factories.person(f"bob-{number}", "secrets-user", vault=factories.vault(f"pay-{number}"))
    client.force_login(admin)

    client.get("/roles/")  # the session keeps its CSRF token from here on

    with django_assert_num_queries(5):
        page = client.get("/roles/").content.decode()

    assert page.count('<td data-label="Scope">vault pay-') == count


def test_the_list_filters_by_name_and_role_and_shows_the_ended(client: Client, admin: Person) -> None:
    factories.person("bob", "reader")
    gone = factories.person("gone", "reader").role_assignments.get()
    RoleAssignment.objects.filter(pk=gone.pk).update(ends_at=timezone.now() - timedelta(days=1))
    client.force_login(admin)

    def shown(query: str) -> list[str]:
        page = client.get(f"/roles/{query}", headers={"HX-Request": "true"}).content.decode()
        return [name for name in ("bob", "gone", "admin") if f">{name}</a>" in page]

    assert shown("") == ["bob", "admin"]
    assert shown("?q=bo") == ["bob"]
    assert shown("?role=administrator") == ["admin"]
    assert shown("?ended=1") == ["gone"]


@pytest.mark.parametrize("path", ["/roles/", "/people/"])
@pytest.mark.parametrize(
    ("query", "status", "sentence"),
    [
        ("q=" + "x" * 500, 422, "A filter may have 200 characters; this one has 500."),
        ("q=%00", 422, "Null characters are not allowed."),
        ("page=1000000000", 404, "This list has no page 1000000000: it ends with page 1."),
        ("page=two", 404, "The page of a list is a number, and the link has none."),
    ],
)
def test_a_filter_or_a_page_that_cannot_be_is_one_sentence(
    path: str, query: str, status: int, sentence: str, client: Client, admin: Person
) -> None:
    client.force_login(admin)

    answer = client.get(f"{path}?{query}")

    assert (answer.status_code, sentence in answer.content.decode()) == (status, True)
    assert f">{admin}</a>" not in answer.content.decode()


def test_a_hostile_name_is_text(client: Client, admin: Person) -> None:
    evil = factories.person("evil", "reader")
    evil.first_name = "<script>alert(1)</script>"
    evil.save()
    client.force_login(admin)

    for path in ("/roles/", "/people/", f"/people/{evil.pk}/"):
        page = client.get(path).content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
