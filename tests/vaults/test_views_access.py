"""The page that says who can get at a vault's values, what of it stands on the vault's page, and who may see it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.utils import timezone

from audit.finding_models import DirectoryName, ReaderHeard
from audit.models import LedgerEntry, OwnIdentity
from kvadmin.emulator.faults import ARM, Fault
from kvadmin.emulator.identities import Identity
from kvadmin.emulator.state import Azure
from tests import factories
from vaults.models import AzureAccess, Person, Vault, VaultDetail

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
SUBSCRIPTION = "11111111-0000-4000-8000-000000000001"
ANN, BOT = "0a11c0de-0000-4000-8000-00000000a001", "0a11c0de-0000-4000-8000-00000000b0b0"
TEAM = "0a11c0de-0000-4000-8000-00000000a0f0"
PAGE = "/vaults/pay-prod/access/"


def text(client: Client, path: str = PAGE, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    return unescape(response.content.decode())


@pytest.fixture
def vault(db: None) -> Vault:
    made = factories.vault("pay-prod", rbac=True, purge_protection=True)
    factories.detail(made, default_action="deny")
    return made


@pytest.fixture
def bob(db: None) -> Person:
    """A reader of the environment "test" only."""
    return factories.person("bob", "reader", environment="test")


# --- Who may see it --------------------------------------------------------------------------------------------------
def test_who_can_read_is_shown_to_those_who_see_the_whole_vault(
    vault: Vault, reader: Person, bob: Person, nobody: Person, client_of: ClientOf
) -> None:
    factories.azure_access(vault, ANN)
    assert text(client_of(reader)).count(ANN) == 1
    for person in (bob, nobody):
        assert text(client_of(person), status=404).count(ANN) == 0


def test_a_prefix_is_not_enough_to_learn_who_can_read_and_the_refusal_is_on_record(
    vault: Vault, client_of: ClientOf
) -> None:
    factories.azure_access(vault, ANN)
    client = client_of(factories.person("db", "reader", vault=vault, prefix="db-"))
    hidden, page = text(client, status=403), text(client, "/vaults/pay-prod/")

    assert (hidden.count(ANN), page.count("1 application"), page.count(PAGE)) == (0, 0, 0)
    assert "This names people: roles that see the whole vault show it." in page
    assert LedgerEntry.objects.get().action == "secret:list"


@pytest.mark.parametrize("role", ["auditor", "secrets-officer", "approver"])
def test_roles_that_audit_or_keep_the_vault_see_it_too(vault: Vault, client_of: ClientOf, role: str) -> None:
    factories.azure_access(vault, ANN)
    assert text(client_of(factories.person("x", role, vault=vault))).count(ANN) == 1


# --- What it says ----------------------------------------------------------------------------------------------------
def test_each_right_says_who_by_what_where_and_since_when(vault: Vault, reader: Person, client_of: ClientOf) -> None:
    since = timezone.now().replace(year=2026, month=3, day=4, hour=5, minute=6)
    factories.azure_access(vault, ANN, principal_kind="person", since=since, scope="/subscriptions/s", custom=True)
    DirectoryName.objects.create(identifier=ANN, name="Ann Lee", kind="person", set_by="x", set_at=since)
    page = text(client_of(reader))

    assert [word in page for word in ("Ann Lee", "Key Vault Secrets User", "(custom role)", "2026-03-04 05:06Z")] == [
        True, True, True, True,
    ]  # fmt: skip
    assert "subscription Payments" in page


def test_a_name_that_azures_log_knows_is_shown_where_nobody_filled_one_in(
    vault: Vault, reader: Person, client_of: ClientOf
) -> None:
    factories.azure_access(vault, ANN)
    ReaderHeard.objects.create(who="ann@example.org", object_id=ANN, kind="person")
    page = text(client_of(reader))

    assert (page.count("ann@example.org"), page.count("Kind not told"), page.count("</svg>Person<")) == (1, 0, 1)


def test_an_identity_that_nobody_knows_is_shown_by_its_id_and_not_left_out(
    vault: Vault, reader: Person, client_of: ClientOf
) -> None:
    factories.azure_access(vault, BOT, role_known=False, reads=False, role_name="", role_id="c0de")
    page = text(client_of(reader))

    assert (page.count(BOT), page.count("Kind not told"), page.count("a role of the id c0de")) == (1, 1, 1)
    assert "Whether these read values is not known." in page


def test_groups_conditions_and_kvadmin_itself_are_marked(vault: Vault, reader: Person, client_of: ClientOf) -> None:
    factories.azure_access(vault, TEAM, principal_kind="group", condition="@Resource <db>")
    factories.azure_access(vault, BOT, principal_kind="app")
    OwnIdentity.objects.create(object_id=BOT, correlation_id="x")
    page = text(client_of(reader))

    assert "Holds for all its members, whom Azure does not list here." in page
    assert (page.count("@Resource <db>"), page.count("This is kvadmin itself.")) == (1, 1)


def test_those_who_could_let_themselves_in_stand_apart(vault: Vault, reader: Person, client_of: ClientOf) -> None:
    factories.azure_access(vault, ANN, reads=False, grants=True, role_name="User Access Administrator")
    context = client_of(reader).get(PAGE).context
    found = context["holders"]

    assert [len(found.readers), len(found.grantors), len(found.deployers)] == [0, 1, 0]


def denial(**fields: object) -> dict[str, object]:
    facts = {"id": "/d", "name": "stack-7", "scope": "/subscriptions/s", "only_there": False, "powers": ["reads"]}
    everybody = {"id": "00000000-0000-0000-0000-000000000000", "kind": "SystemDefined"}
    return {**facts, "principals": [everybody], "excluded": [{"id": BOT, "kind": "ServicePrincipal"}], **fields}


def test_deny_assignments_stand_beside_those_whom_they_may_keep_out(
    vault: Vault, reader: Person, bob: Person, nobody: Person, client_of: ClientOf
) -> None:
    factories.azure_access(vault, ANN)
    factories.azure_access(vault, BOT)
    DirectoryName.objects.create(identifier=BOT, name="The pipeline", kind="app", set_at=timezone.now())
    VaultDetail.objects.update(denials=[denial()])
    page = text(client_of(reader))

    assert "Everybody" in page.partition("Kept out in spite of a right")[2]
    assert [page.count(word) for word in ("stack-7", "The pipeline", "may keep them out")] == [1, 2, 1]
    assert "No deny assignment is in the way" not in page
    assert [text(client_of(person), status=404).count("stack-7") for person in (bob, nobody)] == [0, 0]


@pytest.mark.parametrize(("denials", "said"), [(None, "has not been able to read them"), ([], "No deny assignment is")])
def test_no_deny_assignment_and_none_known_are_two_things(
    vault: Vault, reader: Person, client_of: ClientOf, denials: list[object] | None, said: str
) -> None:
    VaultDetail.objects.update(denials=denials)
    page = text(client_of(reader))

    assert [word in page for word in ("has not been able to read them", "No deny assignment is")] == [
        word == said for word in ("has not been able to read them", "No deny assignment is")
    ]


@pytest.mark.parametrize("count", [1, 3])
def test_three_deny_assignments_take_as_many_queries_as_one(
    vault: Vault,
    reader: Person,
    client_of: ClientOf,
    count: int,
    django_assert_num_queries: Callable[[int], object],
) -> None:
    factories.azure_access(vault, ANN)
    VaultDetail.objects.update(denials=[denial(id=str(number)) for number in range(count)])
    client = client_of(reader)
    client.get("/help/")  # the first page puts the CSRF token into the session
    with django_assert_num_queries(11):  # type: ignore[attr-defined]
        page = text(client)
    assert page.count("stack-7") == count


def test_access_policies_are_told_with_their_permissions_and_without_a_date(
    reader: Person, client_of: ClientOf
) -> None:
    vault = factories.vault("pay-prod", rbac=False)
    factories.detail(vault)
    factories.azure_access(vault, ANN, by="policy", permissions=["all"], role_name="", scope="", application_id=BOT)
    page = text(client_of(reader))

    assert [word in page for word in ("Access policy: all", "Azure keeps no date")] == [True, True]
    assert f'Only by the application <span class="mono">{BOT}</span>' in page


def test_policies_that_do_not_count_are_said_to_be_there(vault: Vault, reader: Person, client_of: ClientOf) -> None:
    VaultDetail.objects.update(policies=[{"object_id": ANN, "application_id": "", "secrets": ["get"]}])
    assert "its 1 access policy count for nothing" in text(client_of(reader))


def test_what_azure_does_not_tell_is_said(vault: Vault, reader: Person, client_of: ClientOf) -> None:
    assert "eligible roles are not listed until they are active" in text(client_of(reader))


def test_a_missing_right_is_one_sentence_with_the_command_that_gives_the_least(
    vault: Vault, reader: Person, client_of: ClientOf, settings: pytest.FixtureRequest
) -> None:
    settings.KVADMIN_CLIENT_ID = "c1"  # type: ignore[attr-defined]
    VaultDetail.objects.update(access_state="denied", access_at=None, access_note="Azure refused this.")
    pages = [text(client_of(reader)), text(client_of(reader), "/vaults/pay-prod/")]

    command = f"az role assignment create --assignee c1 --role 'Key Vault Reader' --scope {vault.resource_id}"
    assert [page.count(f">{command}<") for page in pages] == [1, 1]
    assert "Who can read here is not known" in pages[0]
    assert [page.count("Can read values") for page in pages] == [0, 0]


def test_an_older_list_says_that_it_is_one(vault: Vault, reader: Person, client_of: ClientOf) -> None:
    factories.azure_access(vault, ANN)
    VaultDetail.objects.update(access_state="failed", access_note="Azure did not answer.")
    page = text(client_of(reader))

    assert ("This list may be out of date" in page, page.count(ANN)) == (True, 1)


@pytest.mark.parametrize("found", [True, False])
def test_a_vault_that_nobody_looked_at_says_so_and_not_nobody(reader: Person, client_of: ClientOf, found: bool) -> None:
    vault = factories.vault("pay-prod", **({} if found else {"resource_id": ""}))
    page = text(client_of(reader))

    assert vault.name in page
    assert (page.count("Not looked at yet"), page.count("Azure Resource Manager does not show this vault")) == (
        (1, 0) if found else (0, 1)
    )


@pytest.mark.parametrize("count", [1, 3])
def test_three_rights_take_as_many_queries_as_one(
    vault: Vault,
    reader: Person,
    client_of: ClientOf,
    count: int,
    django_assert_num_queries: Callable[[int], object],
) -> None:
    for number in range(count):
        factories.azure_access(vault, f"{number}" * 36)
    client = client_of(reader)
    client.get("/help/")  # the first page puts the CSRF token into the session
    with django_assert_num_queries(11):  # type: ignore[attr-defined]
        page = text(client)
    assert page.count('<th scope="row">') == count


# --- Asking again ----------------------------------------------------------------------------------------------------
@pytest.fixture
def cloud(azure: Azure) -> Azure:
    azure.add_subscription(SUBSCRIPTION, "Payments", kvadmin_roles=("Key Vault Reader",))
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    return azure


@pytest.fixture
def stale(cloud: Azure) -> Vault:
    resource_id = cloud.vault("pay-prod").resource_id.lower()
    made = factories.vault("pay-prod", rbac=True, resource_id=resource_id)
    factories.detail(made, looked_at=timezone.now() - timedelta(hours=1))
    return made


def test_azure_can_be_asked_at_once(cloud: Azure, stale: Vault, reader: Person, client_of: ClientOf) -> None:
    cloud.grant(Identity("person", ANN, "app"), "Key Vault Secrets User", cloud.vault("pay-prod").resource_id)
    response = client_of(reader).post(PAGE)

    assert (response.status_code, response.headers["Location"]) == (302, PAGE)
    assert list(AzureAccess.objects.values_list("principal_id", flat=True)) == [ANN]


def test_asking_twice_within_half_a_minute_asks_once(
    cloud: Azure, stale: Vault, reader: Person, client_of: ClientOf
) -> None:
    client = client_of(reader)
    client.post(PAGE)
    cloud.faults.set(ARM, Fault("server"))
    page = client.post(PAGE, follow=True)

    assert "Azure could not be asked." not in page.content.decode()


def test_azure_that_cannot_be_asked_is_one_sentence(
    cloud: Azure, stale: Vault, reader: Person, client_of: ClientOf
) -> None:
    cloud.faults.set(ARM, Fault("server"))
    page = client_of(reader).post(PAGE, follow=True).content.decode()

    assert page.count("Azure could not be asked. ") == 1


def test_who_may_not_see_it_may_not_have_azure_asked(
    cloud: Azure, stale: Vault, bob: Person, nobody: Person, client_of: ClientOf
) -> None:
    before = VaultDetail.objects.get().looked_at
    assert [client_of(person).post(PAGE).status_code for person in (bob, nobody)] == [404, 404]
    assert VaultDetail.objects.get().looked_at == before


# --- The vault's own page --------------------------------------------------------------------------------------------
def test_the_vaults_page_counts_who_can_read_and_who_could(vault: Vault, reader: Person, client_of: ClientOf) -> None:
    factories.azure_access(vault, ANN, principal_kind="person")
    factories.azure_access(vault, ANN, principal_kind="person", scope="/subscriptions/s")
    factories.azure_access(vault, BOT, principal_kind="app", backs_up=True, reads=False)
    factories.azure_access(vault, TEAM, principal_kind="group", reads=False, grants=True)
    found = client_of(reader).get("/vaults/pay-prod/").context["access"]

    assert (found.people, found.groups, found.apps, found.unknown, found.more) == (1, 0, 1, 0, 1)


def test_the_vaults_page_tells_its_network_and_its_logs(vault: Vault, reader: Person, client_of: ClientOf) -> None:
    setting = {"name": "audit", "categories": ["AuditEvent"], "workspace": "/x/workspaces/law", "retention_days": 90}
    VaultDetail.objects.update(
        ip_rules=["203.0.113.0/24"], private_endpoints=[{"name": "pe-1", "status": "Pending"}], settings=[setting]
    )
    page = text(client_of(reader), "/vaults/pay-prod/")

    words = ("203.0.113.0/24", "(pending)", "AuditEvent", ">law<", "90 days")
    assert [word for word in words if word not in page] == []


def test_a_warning_comes_with_its_command_and_names_identities_only_to_those_who_may_know(
    vault: Vault, reader: Person, client_of: ClientOf
) -> None:
    factories.azure_access(vault, ANN, scope="/subscriptions/s", assignment_id="/subscriptions/s/ra")
    some = factories.person("db", "reader", vault=vault, prefix="db-")
    full, part = (text(client_of(person), "/vaults/pay-prod/") for person in (reader, some))

    sentence = "One identity reads here by a role on a whole subscription or more."
    assert [page.count(sentence) for page in (full, part)] == [1, 1]
    assert [ANN in page for page in (full, part)] == [True, False]


def test_a_vault_that_is_gone_is_not_judged(vault: Vault, reader: Person, client_of: ClientOf) -> None:
    Vault.objects.update(vanished_at=timezone.now(), purge_protection=False)
    assert "Purge protection is off" not in text(client_of(reader), "/vaults/pay-prod/")
