"""One backup or restore in a process of its own, whose memory is therefore the worker's alone.

`python -m tests.bench.archive_worker backup|restore BATCH` prints the peak of what it allocated, in bytes. The
database, the emulator and the folder are those that the environment names.
"""

from __future__ import annotations

import gc
import os
import sys
import tracemalloc

import django


def main(work: str, batch_id: str) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kvadmin.settings")
    django.setup()
    from vaults import backup_run, restore_run
    from vaults.models import Batch

    Batch.objects.filter(pk=batch_id).count()  # the connection, and what comes with it
    gc.collect()
    tracemalloc.start()
    {"backup": backup_run.run, "restore": restore_run.run}[work](int(batch_id), 1)
    sys.stdout.write(f"{tracemalloc.get_traced_memory()[1]}\n")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
