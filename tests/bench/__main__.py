"""`python -m tests.bench`: every benchmark, each in a process of its own, on SQLite and then on PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))


def main() -> int:
    failed = 0
    for before in ([], [sys.executable, "-m", "tests.postgres"]):
        for name in NAMES:
            failed |= subprocess.run([*before, sys.executable, "-m", f"tests.bench.{name}"], check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
