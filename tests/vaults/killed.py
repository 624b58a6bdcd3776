"""One turn of a batch that kills itself with SIGKILL at its Nth statement: `python -m tests.vaults.killed BATCH N`.

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


def main(batch_id: int, dies_at: int = 0) -> int:
    """Print how many statements it took, for whoever chooses the next N."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kvadmin.settings")
    django.setup()
    from vaults import bulk

    sent = 0

    def count(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        nonlocal sent
        sent += 1
        if sent == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(sql, *rest)

    with connection.execute_wrapper(count):
        bulk.run(batch_id, 1)
    sys.stdout.write(f"{sent}\n")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
