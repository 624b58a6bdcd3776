from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kvadmin.gateway.classify import Need, call
from kvadmin.gateway.errors import BadAnswer, GatewayError, error_for
from kvadmin.gateway.paging import Page, Patience, follow, read_page
from tests.gateway.canned import error_body, send

HOST = "pay-prod.vault.azure.net"


def failing(*errors: GatewayError) -> tuple[Callable[[], str], list[GatewayError]]:
    """Work that fails with these errors, one a time, and then is done."""
    left = list(errors)

    def work() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return work, left


def test_a_call_that_fails_for_a_moment_is_tried_again_after_longer_and_longer_pauses():
    pauses: list[float] = []
    work, _ = failing(error_for("server"), error_for("timeout"), error_for("throttled"))

    assert Patience(tries=4, sleep=pauses.append).call(work) == "done"
    assert pauses == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(("asked", "paused"), [(0, 0.0), (7, 7.0), (3600, 20.0)])
def test_retry_after_is_obeyed_up_to_a_limit(asked: int, paused: float):
    pauses: list[float] = []
    work, _ = failing(error_for("throttled", retry_after=asked))

    Patience(sleep=pauses.append).call(work)

    assert pauses == [paused]


def test_the_last_error_comes_out_when_patience_ends():
    pauses: list[float] = []
    work, left = failing(*[error_for("server", inner=str(number)) for number in range(4)])

    with pytest.raises(GatewayError) as caught:
        Patience(tries=3, sleep=pauses.append).call(work)

    assert (caught.value.inner, caught.value.__context__, len(left), pauses) == ("2", None, 1, [1.0, 2.0])


@pytest.mark.parametrize(
    "error", [error_for("throttled"), error_for("unreachable", definite=True), error_for("timeout", definite=True)]
)
def test_a_change_that_certainly_did_not_happen_is_tried_again(error: GatewayError):
    pauses: list[float] = []
    work, _ = failing(error)

    assert (Patience(sleep=pauses.append).certain(work), pauses) == ("done", [1.0])


@pytest.mark.parametrize(
    "error",
    [
        error_for("server"),
        error_for("timeout"),
        error_for("unreachable"),
        error_for("dns", definite=True),
        error_for("bad-answer"),
    ],
)
def test_a_change_that_may_have_happened_is_not_tried_again(error: GatewayError):
    pauses: list[float] = []
    work, left = failing(error, error_for("rbac"))

    with pytest.raises(GatewayError) as caught:
        Patience(sleep=pauses.append).certain(work)

    assert (caught.value, len(left), pauses) == (error, 1, [])


@pytest.mark.parametrize("code", ["dns", "rbac", "not-found", "credential", "bad-answer", "refused"])
def test_what_time_does_not_heal_is_not_tried_again(code: str):
    pauses: list[float] = []
    work, left = failing(error_for(code), error_for(code))

    with pytest.raises(GatewayError) as caught:
        Patience(sleep=pauses.append).call(work)

    assert (caught.value.code, len(left), pauses) == (code, 1, [])


def test_pages_are_followed_to_the_last_link_and_empty_ones_are_no_end():
    pages = {"1": Page([{"n": 1}], "2"), "2": Page([], "3"), "3": Page([{"n": 3}], "")}

    assert list(follow(pages.__getitem__, "1")) == [[{"n": 1}], [{"n": 3}]]


def test_a_link_that_comes_back_ends_the_list_as_a_bad_answer():
    pages = {"1": Page([{"n": 1}], "2"), "2": Page([{"n": 2}], "1")}
    got: list[Any] = []

    with pytest.raises(BadAnswer) as caught:
        got.extend(follow(pages.__getitem__, "1"))

    assert str(caught.value) == "The list repeats itself without an end, so it was not used."


def test_a_list_with_ever_new_links_ends_too():
    with pytest.raises(BadAnswer):
        list(follow(lambda link: Page([], str(int(link) + 1)), "1"))


@pytest.mark.parametrize("host", [HOST, f"{HOST}:443", HOST.upper()])
def test_a_page_may_lead_on_within_its_host(host: str):
    link = f"https://{host}/secrets?$skiptoken=x"

    page = call(lambda: read_page(send(200, {"value": [{"id": "x"}], "nextLink": link}), HOST, Need()))

    assert (page.items, page.next_link) == ([{"id": "x"}], link)


@pytest.mark.parametrize(
    "body",
    [
        {"value": [], "nextLink": "https://evil.example/secrets"},
        {"value": [], "nextLink": f"https://{HOST}.evil.example/"},
        {"value": [], "nextLink": f"https://{HOST}@evil.example/"},
        {"value": [], "nextLink": f"http://{HOST}/secrets"},
        {"value": [], "nextLink": f"https://{HOST}:8443/secrets"},
        {"value": [], "nextLink": "/secrets"},
        {"value": [], "nextLink": "https://[/"},
        {"value": [], "nextLink": 5},
        {"value": {}},
        {"value": None},
        {},
        [],
        b"<html>",
        b'{"value":[{"id":"https',
    ],
)
def test_a_page_that_leads_elsewhere_or_is_none_is_a_bad_answer(body: Any):
    with pytest.raises(BadAnswer):
        call(lambda: read_page(send(200, body), HOST, Need()))


def test_an_error_instead_of_a_page_is_classified():
    with pytest.raises(GatewayError) as caught:
        call(lambda: read_page(send(403, error_body("Forbidden", "ForbiddenByFirewall")), HOST, Need()))

    assert caught.value.code == "firewall"
