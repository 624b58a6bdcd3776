"""One turn of a backup or a restore that kills itself with SIGKILL at its Nth statement.

`python -m tests.vaults.killed_archives backup|restore BATCH N`; without N it runs to its end. The database, the
emulator and the folder are those that the environment names.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import django
from django.db import connection


def main(work: str, batch_id: str, dies_at: str = "0") -> int:
    """Whatever is left of the batch, or as much of it as there are statements to live for."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kvadmin.settings")
    django.setup()
    from vaults import backup_run, restore_run

    sent = 0

    def count(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        nonlocal sent
        sent += 1
        if sent == int(dies_at):
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(sql, *rest)

    with connection.execute_wrapper(count):
        {"backup": backup_run.run, "restore": restore_run.run}[work](int(batch_id), 1)
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
