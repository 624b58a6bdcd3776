"""Signing in with Entra in a browser: cookies, the content security policy and two sites are what only it knows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import Group
from playwright.sync_api import Browser, Page, Route, expect

from audit.models import LedgerEntry
from kvadmin.emulator.state import Azure
from tests.browser import world
from tests.entra import ADA, BOB, OTHER_TENANT, Entra
from vaults.models import Person, RevealPolicy, RoleAssignment

SECRET = "/vaults/pay-prod/secrets/db-password/"
MICROSOFT = "Sign in with Microsoft"


@pytest.fixture(autouse=True)
def readers(azure: Azure, transactional_db: None) -> Group:
    """A secret, and a group of Entra's people who may see its value."""
    world.build(azure)
    group = Group.objects.create(name="Readers")
    RoleAssignment.objects.create(group=group, role="secrets-user", scope_kind="everything")
    return group


@pytest.fixture(autouse=True)
def _only_here(page: Page, entra: Entra) -> Iterator[None]:
    """The provider's page wants a style sheet from elsewhere, which is not waited for."""
    page.route("**/*", _stay)
    yield
    page.unroute_all()


def _stay(route: Route) -> None:
    here = route.request.url.startswith(("http://localhost:", "http://127.0.0.1:", "data:"))
    route.continue_() if here else route.abort()


def at_the_provider(page: Page, who: str = ADA) -> None:
    """What one does there: say who one is. It asks for no password."""
    page.wait_for_url("http://127.0.0.1:*/oauth2/authorize*")
    page.get_by_placeholder("sub").fill(who)
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url("http://localhost:*/**")


def sign_in(page: Page, target: str = "/", who: str = ADA) -> None:
    page.goto(target)
    page.get_by_role("button", name=MICROSOFT).click()
    at_the_provider(page, who)


def reveal(page: Page, reason: str) -> None:
    if reason:
        page.get_by_label("Reason").fill(reason)
    page.get_by_role("button", name="Show the value").click()


def test_from_the_page_that_was_asked_for_to_microsoft_and_back_with_the_roles_of_the_claim(page: Page) -> None:
    sign_in(page, SECRET)

    reveal(page, "INC-7: the nightly job fails")

    expect(page.locator("[data-secret-value]")).to_be_visible()
    assert page.url.endswith(SECRET)
    assert LedgerEntry.objects.get(phase="revealed").person == "Ada Lovelace"


def test_a_group_that_was_lost_is_lost_here_after_the_check(page: Page, entra: Entra, settings) -> None:
    """This provider remembers nobody, so the check asks for a sign-in; what was lost meanwhile is gone after it."""
    settings.KVADMIN_OIDC_RECHECK_MINUTES = 0
    sign_in(page, "/help/")
    entra.person(roles=["Kv.Admins"])
    settings.KVADMIN_OIDC_RECHECK_MINUTES = 60
    expect(page.get_by_text("Microsoft asks you to sign in again")).to_be_visible()

    page.get_by_role("button", name=MICROSOFT).click()
    at_the_provider(page)
    page.goto(SECRET)

    expect(page.get_by_text("There is nothing here that you may see.")).to_be_visible()
    assert [group.name for group in Person.objects.get(object_id=ADA).groups.all()] == ["Platform"]


def test_a_stale_auth_time_shows_no_value_and_a_fresh_one_does_with_what_was_typed(page: Page, entra: Entra) -> None:
    RevealPolicy.objects.update(sign_in_minutes=10)
    entra.person(auth_time=int(time.time()) - 7200)
    sign_in(page, SECRET)
    reveal(page, "INC-7: typed before")
    page.get_by_role("link", name="Sign in again").click()
    page.get_by_role("button", name="Sign in again with Microsoft").click()
    at_the_provider(page)
    expect(page.get_by_role("alert")).to_contain_text("did not ask you to prove anew who you are")

    entra.person()
    page.goto(f"/sign-in/again/?next={SECRET}")
    page.get_by_role("button", name="Sign in again with Microsoft").click()
    at_the_provider(page)
    expect(page.get_by_label("Reason")).to_have_value("INC-7: typed before")
    reveal(page, "")

    expect(page.locator("[data-secret-value]")).to_be_visible()


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"tid": OTHER_TENANT}, "This account belongs to another organisation"),
        ({"nonce": "of-another-request"}, "does not belong to the sign-in that was started here"),
        ({"roles": []}, "no role in kvadmin is meant for you"),
    ],
    ids=["wrong-tenant", "wrong-nonce", "no-role"],
)
def test_who_is_not_let_in_reads_why(
    page: Page, entra: Entra, axe: Callable[[Page], None], claims: dict, sentence: str
) -> None:
    entra.person(**claims)

    sign_in(page)

    expect(page.get_by_role("alert")).to_contain_text(sentence)
    axe(page)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not Person.objects.filter(object_id=ADA).exists()


def test_two_people_with_one_e_mail_are_two(page: Page, entra: Entra) -> None:
    entra.person(BOB, name="Bob Byrd")
    sign_in(page)
    page.get_by_role("button", name="Sign out").click()

    sign_in(page, who=BOB)

    expect(page.get_by_title("Signed in as Bob Byrd")).to_be_visible()
    assert Person.objects.filter(email="ada@contoso.example").count() == 2


def test_the_sign_in_page_is_accessible_and_holds_a_way_for_emergencies(
    page: Page, axe: Callable[[Page], None]
) -> None:
    page.goto("/sign-in/")
    page.get_by_text("Sign in with an emergency account").click()

    axe(page)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_label("Username").fill("reader")
    page.get_by_label("Password").fill("pw")
    page.get_by_role("button", name="Sign in", exact=True).click()

    expect(page.get_by_title("Signed in as reader")).to_be_visible()


def test_it_works_without_javascript(browser: Browser, base_url: str, entra: Entra) -> None:
    context = browser.new_context(base_url=base_url, java_script_enabled=False)
    page = context.new_page()
    page.route("**/*", _stay)

    sign_in(page)

    expect(page.get_by_title("Signed in as Ada Lovelace")).to_be_visible()
    context.close()
