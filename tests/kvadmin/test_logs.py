"""A log line: its form, the fields that may stand in it, and texts that may not."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars

from kvadmin import logs
from kvadmin.gateway.errors import error_for
from kvadmin.gateway.values import SecretValue

CANARY = "canary-5e1f"


@pytest.fixture(params=["json", "text"])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What the logger "vaults.tests" and the SDK's write."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter(request.param))
    loggers = [logging.getLogger(name) for name in ("vaults.tests", "azure.core.tests")]
    for logger in loggers:
        logger.addHandler(handler)
    yield stream
    for logger in loggers:
        logger.removeHandler(handler)


def line_of(work: Any) -> dict[str, Any]:
    """The one line that `work(logger)` leaves, as JSON."""
    stream, logger = io.StringIO(), logging.getLogger("vaults.tests")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter("json"))
    logger.addHandler(handler)
    try:
        work(logger)
    finally:
        logger.removeHandler(handler)
    return json.loads(stream.getvalue())


def broken() -> Exception:
    """As json raises it for an answer that was cut off: it holds the whole document."""
    try:
        json.loads(f'{{"value": "{CANARY}"')
    except ValueError as error:
        return error
    raise AssertionError


def test_a_line_says_when_how_loud_from_where_and_what() -> None:
    line = line_of(lambda logger: logger.warning("The sweep of %s failed", "pay-prod"))

    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "The sweep of pay-prod failed", "level": "warning", "logger": "vaults.tests"}


def test_a_line_carries_what_is_bound_to_the_request_or_the_job() -> None:
    with bound_contextvars(request_id="abc", job="7"):
        line = line_of(lambda logger: logger.warning("x"))

    assert (line["request_id"], line["job"]) == ("abc", "7")


def test_a_field_that_nobody_has_named_is_left_out() -> None:
    line = line_of(lambda logger: logger.warning("x", extra={"status": 200, "body": CANARY, "value": CANARY}))

    assert sorted(line) == ["event", "level", "logger", "status", "timestamp"]


def test_a_line_break_in_a_text_makes_no_second_line() -> None:
    """Else whoever chooses a name could write lines of their own."""
    assert line_of(lambda logger: logger.warning("a\n{}"))["event"] == "a\n{}"


def test_nor_does_it_in_the_form_for_people(written: io.StringIO) -> None:
    logging.getLogger("vaults.tests").warning("pay\n2026-12-01 [info] all is well\rprod")

    assert written.getvalue().count("\n") == 1
    assert "\r" not in written.getvalue()


def test_a_foreign_exception_is_told_by_its_class_and_place(written: io.StringIO) -> None:
    logging.getLogger("vaults.tests").error("x", exc_info=broken())

    assert CANARY not in written.getvalue()
    assert "json.decoder.JSONDecodeError" in written.getvalue()
    assert " in broken" in written.getvalue()


def test_an_exception_that_led_to_another_is_told_in_the_same_way(written: io.StringIO) -> None:
    outer = RuntimeError(CANARY)
    outer.__cause__ = broken()

    logging.getLogger("vaults.tests").error("x", exc_info=outer)

    assert CANARY not in written.getvalue()
    assert written.getvalue().index("builtins.RuntimeError") < written.getvalue().index("json.decoder.JSONDecodeError")


def test_the_sentence_of_our_own_exceptions_is_told(written: io.StringIO) -> None:
    logging.getLogger("vaults.tests").error("x", exc_info=error_for("firewall"))

    assert "The vault's firewall does not let kvadmin in." in written.getvalue()


def test_a_value_in_its_wrapper_shows_nothing(written: io.StringIO) -> None:
    logging.getLogger("vaults.tests").error("%s %r", SecretValue(CANARY), [SecretValue(CANARY)])

    assert CANARY not in written.getvalue()


@pytest.mark.parametrize("arguments", [("Response body: %s", CANARY), (f"Response body: {CANARY}",)])
def test_of_the_sdks_lines_only_its_own_words_are_kept(written: io.StringIO, arguments: tuple[str, ...]) -> None:
    logging.getLogger("azure.core.tests").warning(*arguments)

    assert CANARY not in written.getvalue()
    assert "azure.core.tests" in written.getvalue()


@pytest.mark.parametrize("name", logs.FOREIGN)
def test_whoever_talks_to_azure_stays_at_warning_even_when_all_else_is_told(name: str) -> None:
    config = logs.config("json", "DEBUG")

    assert config["loggers"][name]["level"] == "WARNING"
    assert (config["root"]["level"], config["loggers"]["vaults"]["level"]) == ("INFO", "DEBUG")
