"""One line for each request, and one id for all that it leaves behind."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from kvadmin import logs
from kvadmin.request_log import RequestLogMiddleware
from tests import factories
from tests.kvadmin import jobs_for_tests as jobs
from vaults.models import Person

pytestmark = pytest.mark.django_db

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """lines(): what was logged until now, as the product would write it."""
    stream, root, access = io.StringIO(), logging.getLogger(), logging.getLogger("kvadmin")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter("json"))
    root.addHandler(handler)
    level = access.level
    access.setLevel(logging.DEBUG)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    access.setLevel(level)
    root.removeHandler(handler)


def only(lines: Lines) -> dict[str, Any]:
    (line,) = [line for line in lines() if line["logger"] == "kvadmin.access"]
    return line


def test_a_request_is_told_by_its_route_and_not_by_its_address(
    client_of: Callable[[Person], Client], reader: Person, lines: Lines
) -> None:
    factories.secret(factories.vault())

    answer = client_of(reader).get("/vaults/pay-prod/secrets/db-password/?back=pay-prod")

    line = only(lines)
    assert line.pop("ms") >= 0
    assert (line["method"], line["route"], line["status"], line["person"]) == ("GET", "secret", 200, reader.pk)
    assert line["request_id"] == answer["X-Request-ID"]
    assert "db-password" not in json.dumps(line)


def test_somebody_who_is_not_signed_in_is_nobody(client: Client, lines: Lines) -> None:
    client.get("/vaults/")

    assert (only(lines)["status"], "person" in only(lines)) == (302, False)


def test_the_line_of_a_sign_in_names_who_came_in(rf: RequestFactory, reader: Person, lines: Lines) -> None:
    def sign_in(request: HttpRequest) -> HttpResponse:
        request.user = reader  # as Django's login() does
        return HttpResponse()

    RequestLogMiddleware(sign_in)(rf.post("/sign-in/"))

    assert only(lines)["person"] == reader.pk


def test_an_address_that_does_not_exist_has_its_line(client: Client, reader: Person, lines: Lines) -> None:
    client.get("/no-such-page/")

    assert (only(lines)["route"], only(lines)["status"], only(lines)["level"]) == ("", 404, "info")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_are_heard_at_debug_only(client: Client, lines: Lines, path: str) -> None:
    assert client.get(path).status_code == 200

    assert only(lines)["level"] == "debug"


@pytest.mark.parametrize(
    ("proxies", "given", "taken"),
    [
        (1, "5f1c-from.the_proxy", True),
        (0, "5f1c-from-anybody", False),
        (1, "short", False),
        (1, "x" * 65, False),
        (1, "with spaces in it", False),
        (1, 'quote"and{brace}', False),
    ],
)
def test_the_id_is_the_proxys_where_one_is_trusted(
    client: Client, settings, lines: Lines, proxies: int, given: str, taken: bool
) -> None:
    settings.KVADMIN_TRUSTED_PROXIES = proxies

    answer = client.get("/healthz", headers={"X-Request-ID": given})

    assert (answer["X-Request-ID"] == given) == taken
    assert only(lines)["request_id"] == answer["X-Request-ID"]
    assert taken or re.fullmatch("[0-9a-f]{32}", answer["X-Request-ID"])


def test_every_line_of_a_request_has_its_id_and_its_person(
    client_of: Callable[[Person], Client], reader: Person, lines: Lines
) -> None:
    browser = client_of(reader)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_ledgerentry RENAME TO elsewhere")

    answer = browser.get("/roles/")  # refused, and that cannot be recorded

    assert answer.status_code == 503
    assert [line["logger"] for line in lines()] == ["audit.ledger", "kvadmin.access", "django.request"]
    assert {line["request_id"] for line in lines()} == {answer["X-Request-ID"]}
    assert {line["person"] for line in lines()} == {reader.pk}
    assert {line["route"] for line in lines()} == {"roles"}
    assert "/roles/" not in json.dumps(lines())


def test_the_next_request_has_another_id_and_not_the_person_of_the_last(
    client_of: Callable[[Person], Client], client: Client, reader: Person, lines: Lines
) -> None:
    client_of(reader).get("/help/")
    client.get("/sign-in/")

    first, second = lines()
    assert first["request_id"] != second["request_id"]
    assert (first["person"], "person" in second) == (reader.pk, False)


def test_every_line_of_a_job_names_it(lines: Lines, run_jobs: Callable[[], None]) -> None:
    job = jobs.fail_with_a_foreign_error.enqueue("{")

    run_jobs()

    assert [line["event"].partition(":")[0] for line in lines()] == [
        f"job {jobs.fail_with_a_foreign_error.module_path} {job.id} failed (try 1)",
        f"job {jobs.fail_with_a_foreign_error.module_path} {job.id}",
    ]
    assert {(line["job"], line["task"]) for line in lines()} == {(job.id, jobs.fail_with_a_foreign_error.module_path)}
