"""Delete, recover and purge, with Azure's real delays: nothing is called done before Azure has shown it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from audit.ingest import ingest_audit
from audit.models import AccessEvent, LedgerEntry
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.state import Azure
from tests import factories
from tests.vaults.writing import PAGE, SUBSCRIPTION, build, put, reads
from vaults import limbo, policy, requests
from vaults.models import DeletedSecret, Person, RevealRequest, Secret, Turn, Vault
from vaults.sync import sync_inventory

pytestmark = pytest.mark.django_db
DELETE = f"{PAGE}delete/"
LIST = "/vaults/pay-prod/deleted/"
WORKSPACE = "11111111-2222-4333-8444-555555555555"
RECOVER, PURGE = f"{LIST}db-password/recover/", f"{LIST}db-password/purge/"
WHY = {"reason": "INC-7: no longer used"}
SURE = WHY | {"name": "db-password"}
ClientOf = Callable[[Person], Client]


@pytest.fixture
def secret(azure: Azure) -> Secret:
    return build(azure)


@pytest.fixture
def ada(client: Client, officer: Person) -> Client:
    """Officer and purge operator."""
    factories.assign(officer, "purge-operator")
    client.force_login(officer)
    return client


@pytest.fixture
def gone(ada: Client, azure: Azure, secret: Secret, run_jobs: Callable[[], None]) -> DeletedSecret:
    """db-password, deleted through kvadmin, and Azure is done with it."""
    ada.post(DELETE, WHY)
    run_jobs()
    azure.log.clear()
    return DeletedSecret.objects.get()


def state() -> str:
    return DeletedSecret.objects.get().state


def later(azure: Azure, run_jobs: Callable[[], None], **span: int) -> None:
    """Time passes at Azure, and the worker's next look is due."""
    azure.clock.advance(timedelta(**span))
    DBTaskResult.objects.update(run_after=timezone.now())
    run_jobs()


def operations(azure: Azure) -> list[str]:
    return [row.operation for row in azure.log if row.status < 300]


# --- Delete ----------------------------------------------------------------------------------------------------------
def test_a_deletion_is_under_way_until_azure_shows_it(
    ada: Client, azure: Azure, secret: Secret, run_jobs: Callable[[], None]
) -> None:
    azure.delete_delay = timedelta(seconds=20)

    answer = ada.post(DELETE, WHY, follow=True)
    run_jobs()

    assert state() == "deleting"
    assert "Being deleted" in answer.content.decode()
    assert "can be recovered as soon as that is done" in answer.content.decode()
    assert RECOVER not in answer.content.decode()
    later(azure, run_jobs, seconds=30)
    assert state() == "deleted"
    assert RECOVER in ada.get(LIST).content.decode()


def test_the_inventory_forgets_it_at_once_and_the_page_says_where_it_is(
    ada: Client, azure: Azure, secret: Secret
) -> None:
    azure.delete_delay = timedelta(seconds=20)
    ada.post(DELETE, WHY)

    page = ada.get(PAGE).content.decode()

    assert Secret.objects.get().vanished_at is not None
    assert "<strong>Being deleted</strong>" in page
    assert DELETE not in page
    assert "db-password" not in ada.get("/vaults/pay-prod/").content.decode().split('id="secrets-table"')[1]


@pytest.mark.parametrize("mode", ["direct", "approval", "forbidden"])
def test_of_what_is_being_deleted_neither_value_nor_versions_are_spoken_of(
    mode: str, ada: Client, azure: Azure, secret: Secret, secrets_user: Person, client_of: ClientOf
) -> None:
    factories.policy(mode)
    Secret.objects.update(expires_on=timezone.now() - timedelta(days=1))
    azure.delete_delay = timedelta(seconds=20)
    before = client_of(secrets_user).get(PAGE).content.decode()
    ada.post(DELETE, WHY)

    pages = [client.get(PAGE).content.decode() for client in (ada, client_of(secrets_user))]
    words = (
        "<strong>Being deleted</strong>",
        'id="reveal"',
        "You may not see",
        "still readable",
        'id="versions"',
        "Gone from",
    )
    assert [[word in page for word in words] for page in pages] == [[True, *[False] * 5]] * 2
    assert [word in before for word in (words[1], words[3], words[4])] == [True, True, True]


def test_a_deletion_is_on_record_with_when_azure_purges_it(ada: Client, azure: Azure, secret: Secret) -> None:
    ada.post(DELETE, WHY)

    intent, done = LedgerEntry.objects.order_by("seq")
    day = f"{azure.clock.now() + timedelta(days=90):%Y-%m-%d}"
    assert (intent.phase, done.phase, done.action, done.reason) == ("intent", "done", "secret:delete", WHY["reason"])
    assert done.note == f"Azure is deleting it. Purged by Azure on {day}."
    assert reads(azure) == []


def test_a_deletion_never_purges(ada: Client, azure: Azure, secret: Secret, run_jobs: Callable[[], None]) -> None:
    """Deleting and destroying are two acts, with two roles."""
    ada.post(DELETE, WHY)
    run_jobs()

    assert {"SecretDelete", "SecretPurge"} & set(operations(azure)) == {"SecretDelete"}
    assert "recover" in ada.get(LIST).content.decode()


def test_a_reason_is_asked_for(ada: Client, azure: Azure, secret: Secret) -> None:
    answer = ada.post(DELETE, {"reason": " "})

    assert answer.status_code == 422
    assert "Say why, in a few words" in answer.content.decode()
    assert operations(azure) == []


def test_a_certificate_s_secret_is_not_deleted_by_itself(ada: Client, azure: Azure, secret: Secret) -> None:
    Secret.objects.update(managed=True)

    assert "It is deleted with the certificate" in ada.get(DELETE).content.decode()
    assert ada.post(DELETE, WHY).status_code == 409
    assert operations(azure) == []


def test_a_deletion_that_azure_refuses_leaves_everything_as_it_was(ada: Client, azure: Azure, secret: Secret) -> None:
    azure.faults.set("pay-prod", Fault("rbac"))

    answer = ada.post(DELETE, WHY)

    assert answer.status_code == 502
    assert "Key Vault Secrets Officer" in answer.content.decode()
    assert (DeletedSecret.objects.count(), Secret.objects.get().vanished_at) == (0, None)


def test_a_write_that_comes_while_it_is_deleted_is_refused_by_azure_s_word(
    ada: Client, azure: Azure, gone: DeletedSecret
) -> None:
    """Delete and set at once: whichever comes second is told what the first one did."""
    again = ada.post(DELETE, WHY)

    assert again.status_code in {409, 502, 404}
    assert "Gone from Azure already" in again.content.decode()


# --- Recover ---------------------------------------------------------------------------------------------------------
def test_all_versions_come_back_and_the_secret_is_live_only_when_azure_shows_it(
    ada: Client, azure: Azure, secret: Secret, run_jobs: Callable[[], None]
) -> None:
    put(azure, "newer")
    ada.post(DELETE, WHY)
    run_jobs()
    azure.recover_delay = timedelta(seconds=20)

    page = ada.post(RECOVER, WHY, follow=True).content.decode()

    assert "Being recovered" in page
    later(azure, run_jobs, seconds=30)
    assert DeletedSecret.objects.count() == 0
    assert Secret.objects.get().vanished_at is None
    assert len(azure.vault("pay-prod").secrets.get("db-password").versions) == 2
    assert reads(azure) == []


def test_of_two_who_recover_the_second_is_told(ada: Client, azure: Azure, gone: DeletedSecret) -> None:
    first, second = ada.post(RECOVER, WHY), ada.post(RECOVER, WHY)

    assert (first.status_code, second.status_code) == (302, 409)
    assert "the secret is being recovered" in second.content.decode()
    assert operations(azure).count("SecretRecover") == 1


def test_somebody_recovered_it_around_kvadmin(
    ada: Client, azure: Azure, gone: DeletedSecret, run_jobs: Callable[[], None]
) -> None:
    azure.vault("pay-prod").secrets.recover("db-password", azure.clock.now())

    answer = ada.post(RECOVER, WHY)

    assert answer.status_code == 409
    assert "The secret is not deleted, so there is nothing to recover." in answer.content.decode()
    sync_inventory()
    assert DeletedSecret.objects.count() == 0


def test_a_recovery_while_azure_is_still_deleting_is_told_beforehand(ada: Client, azure: Azure, secret: Secret) -> None:
    azure.delete_delay = timedelta(minutes=1)
    ada.post(DELETE, WHY)

    page = ada.get(RECOVER)

    assert "This is not possible now: the secret is being deleted." in page.content.decode()
    assert ada.post(RECOVER, WHY).status_code == 409
    assert "SecretRecover" not in operations(azure)


# --- Purge -----------------------------------------------------------------------------------------------------------
def test_a_purge_wants_the_name_typed(ada: Client, azure: Azure, gone: DeletedSecret) -> None:
    wrong = ada.post(PURGE, WHY | {"name": "DB-password"})

    assert wrong.status_code == 422
    assert "That is not its name." in wrong.content.decode()
    assert operations(azure) == []


def test_what_is_purged_is_gone_when_azure_no_longer_shows_it(
    ada: Client, azure: Azure, gone: DeletedSecret, run_jobs: Callable[[], None]
) -> None:
    page = ada.post(PURGE, SURE, follow=True).content.decode()
    assert "Being purged" in page
    assert "Its name stays taken for a while after that." in page

    run_jobs()

    assert DeletedSecret.objects.count() == 0
    done = LedgerEntry.objects.filter(action="secret:purge").first()
    assert done is not None
    assert (done.phase, done.reason) == ("done", WHY["reason"])


PROTECTED = "The vault has purge protection: nobody can purge it"


def test_purge_protection_is_told_before_anybody_types_a_word(ada: Client, azure: Azure, gone: DeletedSecret) -> None:
    DeletedSecret.objects.update(recovery_level="Recoverable")

    page, posted = ada.get(PURGE), ada.post(PURGE, SURE)

    assert PROTECTED in page.content.decode()
    assert 'type="button" disabled' in page.content.decode()
    assert 'name="name"' not in page.content.decode()
    assert (posted.status_code, operations(azure)) == (409, [])


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"recovery_level": "CustomizedRecoverable"}, PROTECTED),
        ({"recovery_level": "Recoverable+ProtectedSubscription"}, PROTECTED),
        ({"state": "deleting"}, "Not now: the secret is being deleted, and Azure is not done yet."),
        ({"managed": True}, "It belongs to a certificate, and is purged with it."),
    ],
)
def test_each_reason_against_a_purge_has_its_own_words(
    ada: Client, gone: DeletedSecret, facts: dict[str, Any], why: str
) -> None:
    DeletedSecret.objects.update(**facts)

    assert why in ada.get(PURGE).content.decode()
    assert why in ada.get(LIST).content.decode()


@pytest.mark.parametrize("level", ["Recoverable+Purgeable", "CustomizedRecoverable+Purgeable", "Purgeable"])
def test_a_level_that_allows_it_allows_it(ada: Client, gone: DeletedSecret, level: str) -> None:
    DeletedSecret.objects.update(recovery_level=level)

    assert 'name="name"' in ada.get(PURGE).content.decode()


def test_a_right_that_kvadmin_lacks_is_named(ada: Client, azure: Azure, gone: DeletedSecret) -> None:
    azure.faults.set("pay-prod", Fault("rbac", operations=frozenset({"SecretPurge"})))

    answer = ada.post(PURGE, SURE)

    assert answer.status_code == 502
    assert "Key Vault Purge Operator" in answer.content.decode()
    assert state() == "deleted"


def test_a_purge_asks_for_as_fresh_a_sign_in_as_the_policy_says(ada: Client, azure: Azure, gone: DeletedSecret) -> None:
    factories.policy("direct", sign_in_minutes=5)
    session = ada.session
    session["signed_in_at"] = 0.0
    session.save()

    answer = ada.post(PURGE, SURE)

    assert answer["Location"].startswith("/sign-in/again/?next=%2Fvaults%2Fpay-prod%2Fdeleted%2Fdb-password%2Fpurge%2F")
    assert 'value="INC-7: no longer used"' in ada.get(PURGE).content.decode()
    assert LedgerEntry.objects.filter(code="stale-sign-in").count() == 1


# --- A purge that needs an approval ----------------------------------------------------------------------------------
@pytest.fixture
def ruled(gone: DeletedSecret, approver: Person) -> None:
    factories.policy("forbidden", purge_approval=True)


def asked(ada: Client) -> RevealRequest:
    ada.post(PURGE, WHY)
    return RevealRequest.objects.get()


def approve(request: RevealRequest, by: Person) -> None:
    requests.approve(by, factories.actor(by), request.pk, seen=request.asked_hash)


def test_without_an_approval_the_page_asks_for_one_and_purges_nothing(ada: Client, azure: Azure, ruled: None) -> None:
    page = ada.get(PURGE).content.decode()
    answer = ada.post(PURGE, SURE)

    request = RevealRequest.objects.get()
    assert "Ask for the approval of a purge" in page
    assert answer["Location"] == f"/requests/{request.pk}/"
    assert (request.act, request.state, operations(azure)) == ("purge", "pending", [])


def test_with_an_approval_it_is_purged_once(ada: Client, azure: Azure, ruled: None, approver: Person) -> None:
    request = asked(ada)
    assert "waits for its decision" in ada.get(PURGE).content.decode()
    approve(request, approver)

    answer = ada.post(PURGE, {"name": "db-password"})

    request.refresh_from_db()
    assert (answer.status_code, request.state, operations(azure).count("SecretPurge")) == (302, "consumed", 1)
    done = LedgerEntry.objects.get(action="secret:purge", phase="done", request=request.pk, to_state="active")
    assert done.reason == WHY["reason"]


def test_nobody_approves_their_own_purge(ada: Client, officer: Person, ruled: None) -> None:
    factories.assign(officer, "approver")
    request = asked(ada)

    answer = ada.post(f"/requests/{request.pk}/approve/", {"seen": request.asked_hash})

    assert answer.status_code == 403


def test_the_approver_s_page_says_that_it_is_a_purge(
    ada: Client, ruled: None, approver: Person, client_of: ClientOf
) -> None:
    request = asked(ada)
    client = client_of(approver)

    page = client.get(f"/requests/{request.pk}/").content.decode()
    assert "Purge the deleted secret" in page
    assert 'href="/vaults/pay-prod/deleted/?q=db-password"' in page
    assert "Gone from Azure" not in page  # it is there, among the deleted ones
    assert "</svg>Purge<" in client.get("/requests/").content.decode()


def test_approvers_are_told_by_mail_that_it_is_a_purge(
    ada: Client, ruled: None, approver: Person, run_jobs: Callable[[], None]
) -> None:
    Person.objects.filter(pk=approver.pk).update(email="lead@example.com")
    request = asked(ada)

    run_jobs()

    subjects = [message.subject for message in mail.outbox]
    assert subjects == [f"kvadmin #{request.pk}: officer asks to purge db-password in pay-prod"]


def test_a_grant_to_purge_shows_no_value_and_one_to_see_it_purges_nothing(
    ada: Client, azure: Azure, officer: Person, secret: Secret, approver: Person, run_jobs: Callable[[], None]
) -> None:
    factories.policy("approval", purge_approval=True)
    see = factories.ask(officer, secret)
    approve(see, approver)
    ada.post(DELETE, WHY)
    run_jobs()

    ada.post(PURGE, SURE)

    assert operations(azure).count("SecretPurge") == 0
    purge = RevealRequest.objects.get(act="purge")
    approve(purge, approver)
    reveal = ada.post(f"{PAGE}reveal/", headers={"HX-Request": "true"})
    assert "value" not in reveal.json()


def test_a_recovery_takes_the_ground_from_a_purge_that_was_approved(
    ada: Client, azure: Azure, ruled: None, approver: Person
) -> None:
    request = asked(ada)
    approve(request, approver)

    ada.post(RECOVER, WHY)

    request.refresh_from_db()
    assert (request.state, request.comment) == ("void", "The secret is not among the deleted ones any more.")


def test_an_approval_is_for_this_deletion_and_not_for_the_next(
    ada: Client, azure: Azure, ruled: None, approver: Person
) -> None:
    request = asked(ada)
    approve(request, approver)
    DeletedSecret.objects.update(deleted_on=timezone.now() + timedelta(seconds=1))

    ada.post(PURGE, {"name": "db-password"})

    request.refresh_from_db()
    assert (request.state, operations(azure)) == ("void", [])


def test_a_purge_that_azure_definitely_refuses_gives_the_use_back(
    ada: Client, azure: Azure, ruled: None, approver: Person
) -> None:
    request = asked(ada)
    approve(request, approver)
    azure.faults.set("pay-prod", Fault("rbac", operations=frozenset({"SecretPurge"}), times=1))

    answers = [ada.post(PURGE, {"name": "db-password"}).status_code for _ in range(2)]

    assert answers == [502, 302]
    assert operations(azure).count("SecretPurge") == 1


def test_a_ticket_that_the_policy_wants_is_asked_at_its_field(
    ada: Client, gone: DeletedSecret, approver: Person
) -> None:
    factories.policy("forbidden", purge_approval=True, ticket_pattern=r"INC-\d+")

    answer = ada.post(PURGE, WHY | {"ticket": "none"})

    assert answer.status_code == 422
    assert r"The ticket must look like INC-\d+." in answer.content.decode()


def test_without_an_approver_asking_leads_nowhere_and_says_so(ada: Client, gone: DeletedSecret) -> None:
    factories.policy("forbidden", purge_approval=True)

    answer = ada.post(PURGE, WHY)

    assert answer.status_code == 409
    assert RevealRequest.objects.count() == 0


# --- What the sweep finds --------------------------------------------------------------------------------------------
def test_a_sweep_finds_what_was_deleted_around_kvadmin(azure: Azure, secret: Secret) -> None:
    put(azure, "x", "other")
    azure.vault("pay-prod").secrets.delete("other", azure.clock.now(), timedelta(0), timedelta(days=90))

    sync_inventory()

    found = DeletedSecret.objects.get()
    assert (found.name, found.state, found.tags, found.asked_by) == (
        "other", "deleted", {"team": "blue", "owner": "ada"}, "",
    )  # fmt: skip
    assert Vault.objects.get().deleted_listed_at is not None
    assert reads(azure) == []


def test_a_sweep_notes_what_was_purged_or_recovered_around_kvadmin(azure: Azure, gone: DeletedSecret) -> None:
    azure.vault("pay-prod").secrets.purge("db-password", azure.clock.now())

    sync_inventory()

    assert DeletedSecret.objects.count() == 0


def test_a_list_of_deleted_ones_that_fails_never_fails_the_vault(ada: Client, azure: Azure, secret: Secret) -> None:
    azure.faults.set("pay-prod", Fault("access-policy", operations=frozenset({"SecretListDeleted"})))

    sync_inventory()

    vault = Vault.objects.get()
    assert (vault.health, vault.deleted_listed_at is not None) == ("ok", True)
    assert "access policies do not allow it" in vault.deleted_note
    assert "The deleted secrets could not be listed at the last sweep" in ada.get(LIST).content.decode()
    assert "could not be listed" in ada.get("/deleted/").content.decode()


def test_a_sweep_that_began_before_an_act_does_not_undo_what_is_known_of_it(
    ada: Client, azure: Azure, gone: DeletedSecret
) -> None:
    began = timezone.now()
    ada.post(RECOVER, WHY)

    limbo.listed(gone.vault, [], began)

    assert state() == "recovering"


def test_a_sweep_that_sees_the_end_before_the_act_is_noted_is_right(gone: DeletedSecret) -> None:
    """Azure was faster with the purge than kvadmin with its own row, and a sweep came in between."""
    limbo.listed(gone.vault, [], timezone.now())

    limbo.goes(gone, DeletedSecret.State.PURGING, "officer")

    assert not DeletedSecret.objects.exists()


def test_a_recovery_that_never_came_true_is_deleted_again_after_an_hour(
    ada: Client, azure: Azure, gone: DeletedSecret
) -> None:
    DeletedSecret.objects.update(state="recovering", since=timezone.now() - timedelta(hours=2))

    sync_inventory()

    assert state() == "deleted"


def test_a_vault_out_of_reach_is_asked_again_later_and_nothing_is_said_meanwhile(
    ada: Client, azure: Azure, secret: Secret, run_jobs: Callable[[], None]
) -> None:
    ada.post(DELETE, WHY)
    azure.faults.set("pay-prod", Fault("firewall"))
    run_jobs()
    assert state() == "deleting"

    azure.faults.clear()
    later(azure, run_jobs, seconds=5)

    assert state() == "deleted"


# --- Who may, and what lists cost ------------------------------------------------------------------------------------
ACTS = [(DELETE, "secret:delete", "purge-operator"), (RECOVER, "secret:recover", "purge-operator")]
ACTS.append((PURGE, "secret:purge", "secrets-officer"))


@pytest.mark.parametrize(("path", "action", "role"), ACTS)
def test_the_role_for_one_act_is_not_the_role_for_another(
    path: str, action: str, role: str, azure: Azure, gone: DeletedSecret, client_of: ClientOf
) -> None:
    client = client_of(factories.person("eve", role))
    before = LedgerEntry.objects.count()

    answers: list[HttpResponse] = [client.get(path), client.post(path, SURE)]

    assert [answer.status_code for answer in answers] == [403, 403]
    rows = LedgerEntry.objects.order_by("seq")[before:]
    assert {(row.phase, row.action, row.person) for row in rows} == {("refused", action, "eve")}
    assert operations(azure) == []


@pytest.mark.parametrize("path", [DELETE, RECOVER, PURGE, LIST])
def test_somebody_with_a_role_elsewhere_does_not_learn_of_it(
    path: str, gone: DeletedSecret, client_of: ClientOf
) -> None:
    bob = factories.person("bob", "secrets-officer", vault=factories.vault("hr-test"))
    factories.assign(bob, "purge-operator", vault=Vault.objects.get(name="hr-test"))
    client = client_of(bob)

    assert client.get(path).status_code == 404
    assert "db-password" not in client.get("/deleted/").content.decode()


def test_a_prefix_role_sees_its_own_deleted_secrets_only(gone: DeletedSecret, client_of: ClientOf) -> None:
    DeletedSecret.objects.create(vault=gone.vault, key="app-key", name="app-key", since=timezone.now())
    client = client_of(factories.person("db", "reader", vault=gone.vault, prefix="db-"))

    page = client.get(LIST).content.decode()

    assert "db-password" in page
    assert "app-key" not in page


@pytest.mark.parametrize("path", [LIST, "/deleted/"])
@pytest.mark.parametrize("items", [1, 3])
def test_a_list_costs_the_same_whatever_its_length(
    path: str, items: int, ada: Client, gone: DeletedSecret, django_assert_num_queries: Any
) -> None:
    for number in range(items - 1):
        DeletedSecret.objects.create(vault=gone.vault, key=f"k{number}", name=f"k{number}", since=timezone.now())
    ada.get(path)

    with django_assert_num_queries(6):
        ada.get(path)


def test_the_list_is_filtered_by_a_part_of_the_name(ada: Client, gone: DeletedSecret) -> None:
    DeletedSecret.objects.create(vault=gone.vault, key="app-key", name="App-Key", since=timezone.now())

    page = ada.get("/deleted/", {"q": "APP"}).content.decode()

    assert "App-Key" in page
    assert ">db-password<" not in page
    assert "No deleted secret matches" in ada.get("/deleted/", {"q": "zzz"}).content.decode()
    assert ada.get("/deleted/", {"q": "x" * 200}).status_code == 422


@pytest.mark.parametrize(
    "fields",
    [{"deleted_listed_at": None}, {"health": "firewall"}, {"deleted_note": "Azure refused this."}],
    ids=["never listed", "fails", "refused"],
)
def test_the_list_of_all_vaults_names_those_that_it_does_not_know(
    fields: dict[str, Any], gone: DeletedSecret, client_of: ClientOf
) -> None:
    known = {"deleted_listed_at": timezone.now(), "health": "ok"}
    Vault.objects.update(**known)
    for name in ("hr-test", "hr-prod"):
        Vault.objects.filter(pk=factories.vault(name).pk).update(**known | (fields if name == "hr-test" else {}))
    pages = {
        who: client_of(factories.person(who, "reader", **where)).get("/deleted/").content.decode()
        for who, where in {"all": {}, "there": {"vault": Vault.objects.get(name="pay-prod")}}.items()
    }

    assert ["Not complete" in page for page in pages.values()] == [True, False]
    assert ["/vaults/hr-test/deleted/" in page for page in pages.values()] == [True, False]
    assert "/vaults/hr-prod/deleted/" not in pages["all"]


def test_a_reader_is_offered_nothing(gone: DeletedSecret, reader: Person, client_of: ClientOf) -> None:
    page = client_of(reader).get(LIST).content.decode()

    assert "db-password" in page
    assert RECOVER not in page
    assert PURGE not in page


def test_while_somebody_works_on_it_nobody_else_does(ada: Client, azure: Azure, gone: DeletedSecret) -> None:
    Turn.objects.create(vault=gone.vault, key="db-password", until=timezone.now() + timedelta(minutes=1), holder="bob")

    assert [ada.post(path, SURE).status_code for path in (RECOVER, PURGE)] == [409, 409]
    assert operations(azure) == []
    assert policy.visible_deleted(Person.objects.get(username="officer")).count() == 1


# --- In Azure's log --------------------------------------------------------------------------------------------------
def changes_in_the_log() -> list[tuple[str, str, str]]:
    """Taken in from Azure's log: each change of a secret, whose it is, and how that is known."""
    ingest_audit([WORKSPACE])
    found = AccessEvent.objects.filter(operation__in=["SecretDelete", "SecretRecover", "SecretPurge"]).order_by("at")
    return list(found.values_list("operation", "person", "matched_by"))


@pytest.fixture
def logged(azure: Azure) -> None:
    azure.add_subscription(SUBSCRIPTION, "Payments")
    logs = azure.add_workspace("logs", subscription_id=SUBSCRIPTION, customer_id=WORKSPACE)
    build(azure, workspace=logs.resource_id)


def test_azures_log_shows_a_delete_a_recovery_and_a_purge_under_the_persons_name(
    logged: None, ada: Client, azure: Azure, run_jobs: Callable[[], None]
) -> None:
    for path, form in ((DELETE, WHY), (RECOVER, WHY), (DELETE, WHY), (PURGE, SURE)):
        ada.post(path, form)
        run_jobs()

    assert changes_in_the_log() == [
        (act, "officer", "request-id") for act in ("SecretDelete", "SecretRecover", "SecretDelete", "SecretPurge")
    ]


def test_a_purge_by_an_approval_is_shown_under_the_name_of_whoever_did_it(
    logged: None, ada: Client, azure: Azure, run_jobs: Callable[[], None], approver: Person
) -> None:
    ada.post(DELETE, WHY)
    run_jobs()
    factories.policy("forbidden", purge_approval=True)
    approve(asked(ada), approver)
    ada.post(PURGE, {"name": "db-password"})

    assert changes_in_the_log()[-1] == ("SecretPurge", "officer", "request-id")
