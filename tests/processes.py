"""Starts manage.py as a process of its own, on the database that the tests use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from django.db import connection

ROOT = Path(__file__).resolve().parent.parent


def database_url() -> str:
    """The test database, as another process names it."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlunsplit(urlsplit(os.environ["KVADMIN_TEST_DATABASE_URL"])._replace(path=f"/{name}"))


def environment(**variables: str) -> dict[str, str]:
    """What a process started by a test sees: nothing of the shell's own settings for kvadmin."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("KVADMIN_", "AZURE_", "DJANGO_", "DATABASE_"))}
    return clean | {"KVADMIN_DEBUG": "true", "PYTHONUNBUFFERED": "1"} | variables


def python(*arguments: str, env: dict[str, str]) -> subprocess.Popen[str]:
    """A Python process, running, with stdout and stderr in one pipe. The caller waits for it."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def manage(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    """`manage.py ARGUMENTS`, running."""
    return python("manage.py", *arguments, env=environment(**variables))
