"""`python -m tests.simulation`: a whole day at its full size, then kill -9 at twenty points of an ingest.

Prints what came of it, and ends with status 1 when a goal was missed. `--events N` makes the day smaller.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import replace

from tests.bench.setting import database, say

KILLS = 20


def main(events: int) -> int:
    with database() as vendor:
        if vendor != "sqlite":
            say("The simulation moves the clock, which PostgreSQL tells by itself: it runs on SQLite.")
            return 1
        wrong = _day(events)
    say(f"\nkill -9 at {KILLS} random points of an ingest, then once more to its end")
    return int(bool(wrong)) | _killed()


def _day(events: int) -> list[str]:
    from kvadmin.emulator import doors
    from kvadmin.emulator.state import Azure
    from kvadmin.gateway import client
    from tests.audit.simulation import Simulation, Size

    cloud = Azure()
    doors.set_memory("tests", cloud)
    client.reset()
    size = replace(Size(), events=events)
    say(f"{size.events:,} events by {size.identities} identities in a day; {size.reveals} reveals, {size.lost} of them")
    say(f"with a lost answer; {size.injected} reads with a stolen credential, {size.forged} under a copied User-Agent")
    begun = time.perf_counter()
    report = Simulation(cloud, size).run()
    took = time.perf_counter() - begun
    say(f"  {report.events:,} events, {report.stored:,} stored; {report.explained} reveals explained, of which")
    say(
        f"  {report.lost_answers} with a lost answer; {report.unexplained} alarms, {report.forged} of them copies of an"
    )
    say(f"  User-Agent; {took:.0f} s")
    for line in report.wrong or ["Every goal was reached."]:
        say(f"  {line}")
    return report.wrong


def _killed() -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "tests/audit/test_killed.py"]
    return subprocess.run(command, check=False, env=os.environ | {"KVADMIN_TEST_KILLS": str(KILLS)}).returncode


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=100_000)
    sys.exit(main(parser.parse_args().events))
