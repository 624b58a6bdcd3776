"""What a log line holds, and what it never holds: fields that are named here, and nothing of a foreign text.

Every line of every process passes through one formatter, be it ours, Django's, gunicorn's or the SDK's.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

OUR_PACKAGES = ("kvadmin.", "vaults.", "audit.")
# Fields that `extra=` may add to a line. Any other is left out: what nobody has looked at may hold a value.
FIELDS = ("method", "route", "status", "ms")
# Their lines can quote addresses, headers and answers, so that only the words around those are written.
FOREIGN = ("azure", "urllib3", "requests", "msal", "allauth", "apprise")


def config(style: str, level: str) -> dict[str, Any]:
    """Django's LOGGING, and gunicorn's: one handler on standard error. `style` is json or text.

    DEBUG concerns kvadmin's own lines: what others say at that level can hold tokens and answers.
    """
    others = "INFO" if level == "DEBUG" else level
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": "kvadmin.logs.formatter", "style": style}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": others},
        "loggers": {
            **{package.rstrip("."): {"level": level} for package in OUR_PACKAGES},
            # These can print headers and, misconfigured, bodies: never below WARNING (check kvadmin.E004).
            **{name: {"level": "WARNING"} for name in FOREIGN},
            "django": {"handlers": [], "level": others},
            # kvadmin's own line tells of each request, without what was asked for behind the question mark.
            "django.request": {"level": "ERROR"},
            "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
            "gunicorn.access": {"handlers": [], "level": "WARNING", "propagate": True},
            "gunicorn.error": {"handlers": [], "level": others, "propagate": True},
        },
    }


def formatter(style: str) -> logging.Formatter:
    """Turns records into lines: one JSON object each, or, for people, text."""
    last: list[Processor] = [structlog.processors.JSONRenderer(ensure_ascii=False)]
    if style == "text":
        last = [_without_line_breaks, structlog.dev.ConsoleRenderer(colors=False)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ExtraAdder(allow=FIELDS),
            _only_words_of_others,
            _exception_without_its_text,
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _only_words_of_others(logger: WrappedLogger, name: str, line: EventDict) -> EventDict:
    """The SDK's own sentence, before anything was filled in."""
    record: logging.LogRecord = line["_record"]
    if record.name.partition(".")[0] in FOREIGN:
        line["event"] = str(record.msg) if "%" in str(record.msg) else "(left out)"
    if record.name == "django.request":
        line["event"] = line["event"].partition(":")[0]  # what follows is the address; the line names the route
    return line


def _without_line_breaks(logger: WrappedLogger, name: str, line: EventDict) -> EventDict:
    """Whoever chooses a name must not write lines of their own with it. JSON has them escaped already."""
    line["event"] = " ".join(str(line["event"]).splitlines())
    return line


def _exception_without_its_text(logger: WrappedLogger, name: str, line: EventDict) -> EventDict:
    found = line.pop("exc_info", None)
    error = found[1] if isinstance(found, tuple) else None
    if error is not None:
        line["exception"] = "\nafter ".join(describe(link) for link in _chain(error))
    line.pop("stack_info", None)
    return line


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and those that led to it, as Python would print them."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def describe(error: BaseException) -> str:
    """What may be kept of an exception: its class, our own sentence, and where it was raised.

    The text of a foreign exception is left out, for it may quote what it was given: a JSON error holds the whole
    document, which can be an answer with a value in it.
    """
    ours = type(error).__module__.startswith(OUR_PACKAGES)
    first = f"{class_path(error)}: {error}" if ours else class_path(error)
    frames = traceback.extract_tb(error.__traceback__)
    return "\n".join([first, *(f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)])


def class_path(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"
