"""One run of ingest that kills itself with SIGKILL when it sends its Nth statement: `python -m tests.audit.killed N`.

Without N it runs to its end. The database and the emulator are those that the environment names.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import django
from django.db import connection

WORKSPACE = "99999999-0000-4000-8000-000000000001"


def main(dies_at: int = 0) -> int:
    """Print how many statements it took, for whoever chooses the next N."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kvadmin.settings")
    django.setup()
    from audit import ingest

    sent = 0

    def count(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        nonlocal sent
        sent += 1
        if sent == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(sql, *rest)

    with connection.execute_wrapper(count):
        counts = ingest.ingest_audit([WORKSPACE])
    sys.stdout.write(f"{sent}\n")
    return counts.failed


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
