"""How gunicorn serves kvadmin; read from the folder that it is started in.

The command line and the variable GUNICORN_CMD_ARGS override it, WEB_CONCURRENCY sets the number of processes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

try:
    from kvadmin import settings

    logconfig_dict = settings.LOGGING
except ImproperlyConfigured:
    logconfig_dict = {}  # each process says in one line what is wrong, and gunicorn ends: kvadmin/wsgi.py

# A request mostly waits, for the database or for Azure, so threads carry more of them than processes would.
worker_class = "gthread"
threads = 16
# On SIGTERM no new request is taken, and those at hand have so many seconds: more than a call to Azure takes.
graceful_timeout = 30
# Longer than a proxy keeps a connection that is idle: else it would send a request into one that is being closed.
keepalive = 75
# Processes tell the master in a file that they live. In memory: a disk may be slow, or read-only.
_memory = "/dev/shm"  # noqa: S108 - Linux's own file system in memory; the files have random names
worker_tmp_dir = _memory if Path(_memory).is_dir() else None
# gunicorn would open a socket in the home directory through which it can be steered.
control_socket_disable = True
# Of a body that the application did not read gunicorn throws away so much, to keep the connection.
THROWN_AWAY = 64 * 1024


def pre_request(worker: object, request: Any) -> None:
    """A larger body, or one of a length that is not told, may be refused unread, and the connection then ends.

    The answer has to say so beforehand: else the proxy sends the next request, perhaps somebody else's, into it.
    """
    told = dict(request.headers)
    length = told.get("CONTENT-LENGTH", "0")
    if "TRANSFER-ENCODING" in told or not length.isdecimal() or int(length) > THROWN_AWAY:
        request.force_close()


def worker_exit(server: object, worker: object) -> None:
    """What this process has counted and not written yet is not lost when it stops in good order."""
    from kvadmin.metrics import tallies  # noqa: PLC0415 - not before the process has its settings

    tallies.flush()
