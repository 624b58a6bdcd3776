"""Reveal policies are set and ended by administrators within their reach, and every change is on record."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from audit.models import LedgerEntry
from tests import factories
from vaults.models import Person, RevealPolicy, RevealRequest, Secret
from vaults.outlook import outlook

pytestmark = pytest.mark.django_db


def in_force() -> list[str]:
    return sorted(str(policy) for policy in RevealPolicy.objects.filter(ended_at=None))


def test_a_new_policy_takes_the_place_of_the_one_for_the_same_scope_only(client: Client) -> None:
    factories.policy("direct")
    factories.policy("direct", environment="prod")
    factories.vault("pay-prod")
    client.force_login(factories.person("admin", "administrator"))

    client.post("/policies/", {"scope_kind": "environment", "environment": "prod", "mode": "approval"})

    assert in_force() == ["After approval on environment prod", "Direct on everything"]
    assert LedgerEntry.objects.get().note.startswith("After approval on environment prod: Values are shown after 1")


def test_a_policy_beyond_ones_reach_is_refused_and_recorded(client: Client) -> None:
    factories.vault("pay-dev", environment="dev")
    old = factories.policy("forbidden")
    client.force_login(factories.person("dev-admin", "administrator", environment="dev"))

    set_all = client.post("/policies/", {"scope_kind": "everything", "mode": "direct"})
    end_all = client.post(f"/policies/{old.pk}/end/")

    assert [set_all.status_code, end_all.status_code] == [403, 403]
    assert in_force() == ["Forbidden on everything"]
    assert LedgerEntry.objects.filter(code="beyond-reach").count() == 2


def test_only_a_policy_that_one_may_end_has_a_button_for_it(client: Client) -> None:
    everything = factories.policy("forbidden")
    dev = factories.policy("direct", environment="dev")
    admins = [factories.person("dev-admin", "administrator", environment="dev"), factories.person("a", "administrator")]

    def endable(admin: Person) -> list[int]:
        client.force_login(admin)
        page = client.get("/policies/").content.decode()
        assert page.count('<th scope="row">') == 2
        return [policy.pk for policy in (everything, dev) if f'action="/policies/{policy.pk}/end/"' in page]

    assert [endable(admin) for admin in admins] == [[dev.pk], [everything.pk, dev.pk]]


def test_ending_a_policy_leaves_nobody_a_way_in(client: Client) -> None:
    old = factories.policy("direct")
    client.force_login(factories.person("admin", "administrator"))

    answer = client.post(f"/policies/{old.pk}/end/", follow=True)

    assert in_force() == []
    assert "Nobody sees any value until a policy allows it." in answer.content.decode()


@pytest.mark.parametrize("role", ["", "secrets-user", "auditor"])
def test_others_neither_read_nor_change_policies(role: str, client: Client) -> None:
    factories.policy("forbidden")
    client.force_login(factories.person("eve", role))

    answers = [client.get("/policies/"), client.post("/policies/", {"scope_kind": "everything", "mode": "direct"})]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert in_force() == ["Forbidden on everything"]


@pytest.mark.parametrize("count", [1, 3])
def test_the_list_costs_the_same_queries_whatever_its_size(
    count: int, client: Client, django_assert_num_queries
) -> None:
    for number in range(count):
        factories.policy("direct", vault=factories.vault(f"pay-{number}"))
    client.force_login(factories.person("admin", "administrator"))

    client.get("/policies/")  # the session keeps its CSRF token from here on

    with django_assert_num_queries(9):
        page = client.get("/policies/").content.decode()

    assert page.count('<th scope="row">vault pay-') == count


def test_a_half_scope_gets_a_sentence_beside_its_field(client: Client) -> None:
    client.force_login(factories.person("admin", "administrator"))

    answer = client.post("/policies/", {"scope_kind": "vault", "mode": "direct"})

    assert answer.status_code == 422
    assert "Name the vault." in answer.content.decode()
    assert in_force() == []


# --- All that a policy says ------------------------------------------------------------------------------------------
WHOLE = {
    "scope_kind": "everything", "mode": "approval", "approvals_needed": "2", "use": "window", "cap_minutes": "240",
    "version_rule": "pinned", "ticket_pattern": r"INC-\d+", "sign_in_minutes": "15", "decide_minutes": "120",
    "break_glass": "on", "break_glass_minutes": "10",
}  # fmt: skip


@pytest.fixture
def admin_client(client: Client) -> Client:
    client.force_login(factories.person("admin", "administrator"))
    return client


def test_every_field_is_put_in_force_with_its_groups_in_one_transaction(admin_client: Client) -> None:
    lead, security = (Group.objects.create(name=name) for name in ("Leads", "Security"))

    admin_client.post("/policies/", {**WHOLE, "approver_groups": [lead.pk, security.pk]})

    made = RevealPolicy.objects.get()
    assert (made.approvals_needed, made.use, made.cap_minutes, made.version_rule) == (2, "window", 240, "pinned")
    assert (made.ticket_pattern, made.sign_in_minutes, made.decide_minutes) == (r"INC-\d+", 15, 120)
    assert (made.break_glass, made.break_glass_minutes) == (True, 10)
    assert set(made.approver_groups.all()) == {lead, security}
    assert "one each from Leads and Security" in LedgerEntry.objects.get().note


def test_what_the_mode_has_no_use_for_is_ignored_even_when_it_is_wrong(admin_client: Client) -> None:
    wrong = {"approvals_needed": "9", "cap_minutes": "none", "approver_groups": ["77"], "ticket_pattern": "("}

    answer = admin_client.post("/policies/", {"scope_kind": "everything", "mode": "forbidden", **wrong})

    made = RevealPolicy.objects.get()
    assert answer.status_code == 302
    assert (made.mode, made.approvals_needed, made.cap_minutes, made.ticket_pattern) == ("forbidden", 1, 60, "")


def test_a_purge_can_need_approvals_even_where_values_are_never_shown(admin_client: Client) -> None:
    asked = {"purge_approval": "on", "approvals_needed": "2", "cap_minutes": "none", "ticket_pattern": r"INC-\d+"}

    admin_client.post("/policies/", {"scope_kind": "everything", "mode": "forbidden", **asked})

    made = RevealPolicy.objects.get()
    assert (made.purge_approval, made.approvals_needed, made.cap_minutes) == (True, 2, 60)
    assert made.ticket_pattern == r"INC-\d+"
    assert "Values are never shown. The ticket looks like" in LedgerEntry.objects.get().note
    assert "A purge needs 2 approvals." in LedgerEntry.objects.get().note


def test_a_purge_needs_no_approval_unless_the_policy_says_so(admin_client: Client) -> None:
    admin_client.post("/policies/", {"scope_kind": "everything", "mode": "approval"})

    assert RevealPolicy.objects.get().purge_approval is False


def test_where_values_are_forbidden_break_glass_can_still_be_open(admin_client: Client) -> None:
    admin_client.post("/policies/", {**WHOLE, "mode": "forbidden"})

    made = RevealPolicy.objects.get()
    assert (made.break_glass, made.break_glass_minutes, made.ticket_pattern) == (True, 10, r"INC-\d+")


@pytest.mark.parametrize(
    ("field", "wrong", "sentence"),
    [
        ("ticket_pattern", "INC-(", "This is no regular expression:"),
        ("ticket_pattern", "x" * 201, "at most 200 characters"),
        ("approvals_needed", "4", "4 is not one of the available choices."),
        ("approvals_needed", "0", "0 is not one of the available choices."),
        ("cap_minutes", "0", "greater than or equal to 1."),
        ("cap_minutes", "10081", "less than or equal to 10080."),
        ("decide_minutes", "4", "greater than or equal to 5."),
        ("break_glass_minutes", "241", "less than or equal to 240."),
        ("sign_in_minutes", "-1", "greater than or equal to 0."),
        ("approver_groups", "77", "77 is not one of the available choices."),
    ],
)
@pytest.mark.parametrize("sent", [{}, {"preview": "1"}], ids=["put in force", "preview"])
def test_a_wrong_field_is_422_and_what_was_typed_stays(
    sent: dict[str, str], field: str, wrong: str, sentence: str, admin_client: Client
) -> None:
    answer = admin_client.post("/policies/", {**WHOLE, field: wrong, **sent})

    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert 'value="240"' in answer.content.decode() or field == "cap_minutes"
    assert in_force() == []


# --- The preview -----------------------------------------------------------------------------------------------------
@pytest.fixture
def estate() -> None:
    """Two vaults of production with three secrets, one of which has a policy of its own; and one vault elsewhere."""
    pay, hr = factories.vault("pay-prod"), factories.vault("hr-prod")
    factories.vault("pay-dev", environment="dev")
    for name in ("db-password", "api-key"):
        factories.secret(pay, name)
    factories.secret(hr, "salary-key")
    factories.secret(pay, "gone", vanished_at=timezone.now())
    factories.policy("approval", vault=hr)
    factories.policy("approval")
    factories.person("approver", "approver", environment="prod")
    factories.person("dev-approver", "approver", environment="dev")
    factories.person("reader", "reader", vault=pay)


PREVIEW = {"scope_kind": "environment", "environment": "prod", "mode": "approval", "preview": "1"}


@pytest.mark.usefixtures("estate")
def test_the_preview_counts_what_the_policy_would_touch_and_changes_nothing(admin_client: Client) -> None:
    factories.ask(Person.objects.get(username="reader"), Secret.objects.get(key="db-password"))
    before = in_force()

    page = admin_client.post("/policies/", PREVIEW).content.decode()

    assert "This touches 2 vaults, 2 secrets" in page
    assert "2 people could ask, 1 person could approve." in page
    assert "Open requests that would become void: 1." in page
    assert "1 more specific policy within it would go on holding." in page
    assert (in_force(), LedgerEntry.objects.count()) == (before, 1)


@pytest.mark.usefixtures("estate")
def test_htmx_gets_the_preview_alone_while_the_form_is_being_filled_in(admin_client: Client) -> None:
    answer = admin_client.post("/policies/", PREVIEW, headers={"HX-Request": "true"})
    unfinished = admin_client.post("/policies/", {**PREVIEW, "environment": ""}, headers={"HX-Request": "true"})

    assert answer.content.decode().lstrip().startswith('<div id="policy-preview"')
    assert (unfinished.status_code, "Choose the environment." in unfinished.content.decode()) == (200, True)


@pytest.mark.usefixtures("estate")
def test_the_preview_warns_when_nobody_could_ever_approve(admin_client: Client) -> None:
    page = admin_client.post("/policies/", {**PREVIEW, "approvals_needed": "2"}).content.decode()

    assert "The policy needs 2 approvals, and only 1 person could approve this." in page


@pytest.mark.usefixtures("estate")
def test_beyond_ones_reach_the_preview_counts_nothing(client: Client) -> None:
    client.force_login(factories.person("dev-admin", "administrator", environment="dev"))

    page = client.post("/policies/", {**PREVIEW, "scope_kind": "everything", "environment": ""}).content.decode()

    assert "Your own role does not reach as far as this scope." in page
    assert "This touches" not in page


@pytest.mark.parametrize("role", ["", "secrets-user", "auditor", "approver"])
def test_nobody_else_gets_a_preview(role: str, client: Client) -> None:
    client.force_login(factories.person("eve", role))

    assert client.post("/policies/", PREVIEW).status_code == 403


@pytest.mark.usefixtures("estate")
def test_a_new_policy_makes_void_exactly_what_the_preview_said(admin_client: Client) -> None:
    factories.ask(Person.objects.get(username="reader"), Secret.objects.get(key="db-password"))

    admin_client.post("/policies/", {name: value for name, value in PREVIEW.items() if name != "preview"})

    found = RevealRequest.objects.select_related("requester", "secret__vault", "policy").get()
    assert outlook(found, timezone.now() + timedelta(seconds=1)) == ("void", "The policy here has changed.")
