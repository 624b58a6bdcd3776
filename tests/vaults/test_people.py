"""Administrators see who can sign in and what each holds."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from tests import factories
from vaults.models import Person, RoleAssignment

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("count", [1, 3])
def test_the_list_costs_the_same_queries_whatever_its_size(
    count: int, client: Client, django_assert_num_queries
) -> None:
    for number in range(count):
        factories.assign(factories.person(f"bob-{number}", "reader"), "auditor")
    client.force_login(factories.person("admin", "administrator"))

    client.get("/people/")  # the session keeps its CSRF token from here on

    with django_assert_num_queries(5):
        page = client.get("/people/").content.decode()

    assert page.count('<td data-label="Roles of their own" class="num">2</td>') == count


def test_a_person_is_shown_with_own_roles_group_roles_and_past_ones(client: Client) -> None:
    bob = factories.person("bob", "secrets-user", environment="prod")
    bob.groups.add(Group.objects.create(name="payments"))
    RoleAssignment.objects.create(group=bob.groups.get(), role="approver", scope_kind="everything")
    client.force_login(factories.person("admin", "administrator"))
    client.post(f"/roles/{bob.role_assignments.get().pk}/end/")

    page = client.get(f"/people/{bob.pk}/").content.decode()

    held, past = page.split("<h2>Roles in force</h2>")[1].split("<h2>Ended</h2>")
    assert "Approver" in held
    assert "group payments" in held
    assert "Secrets User" not in held
    assert "environment prod" in past


@pytest.mark.parametrize("role", ["", "reader", "auditor"])
def test_others_learn_no_names(role: str, client: Client) -> None:
    bob = factories.person("bob", "reader")
    client.force_login(factories.person("eve", role))

    for path in ("/people/", f"/people/{bob.pk}/", "/people/999999/"):
        answer = client.get(path)
        assert answer.status_code == 403
        assert "bob" not in answer.content.decode()


def test_it_is_said_who_vouches_for_a_person(client: Client) -> None:
    entra = Person.objects.create(username="ada", tenant_id="t", object_id="aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa")
    local = factories.person("bob")
    client.force_login(factories.person("admin", "administrator"))

    pages = [client.get(f"/people/{one.pk}/").content.decode() for one in (entra, local)]

    told = [page.split("<dt>Signs in with</dt><dd>")[1].split("</dd>")[0] for page in pages]
    assert told == [f'Microsoft Entra, as <span class="mono">{entra.object_id}</span>', "a password of kvadmin"]
