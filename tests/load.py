"""Two web servers and two workers on PostgreSQL under load, and one of each killed on the way.

`python -m tests.postgres python -m tests.load --seconds 60`; tests/test_load.py does the same for a few seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PEOPLE = 6
JOBS_A_SECOND = 10
VALUE = "correct horse"
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
SHOWN, ASKED = "/vaults/pay-prod/secrets/db-password/", "/vaults/pay-test/secrets/db-password/"


# --- What people did and were told -----------------------------------------------------------------------------------
@dataclass
class Record:
    """What the clients saw. `unsure`: reasons whose request ended with a broken connection, by the port."""

    shown: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    unsure: list[tuple[int, str]] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class Somebody:
    """One person with a browser, who goes on until told to stop, at whichever web server takes the connection."""

    name: str
    cookie: str
    ports: list[int]
    record: Record
    stop: threading.Event
    token: str = ""
    turn: int = 0

    def __post_init__(self) -> None:
        import requests
        from django.conf import settings

        self.session = requests.Session()
        self.session.cookies.set(settings.SESSION_COOKIE_NAME, self.cookie)

    def live(self) -> None:
        from django.db import connections

        try:
            while not self.stop.is_set():
                self.turn += 1
                self.look()
                self.reveal()
                self.ask()
        except Exception as error:  # noqa: BLE001 - a thread's error would go unseen
            self.record.wrong.append(f"{self.name}: {error!r}")
        connections.close_all()

    def call(self, method: str, path: str, reason: str = "", /, **data: str) -> Any:
        """The answer, or None where the connection broke: what came of the request is then not known."""
        import requests

        port = self.ports[self.turn % len(self.ports)]
        headers = {"X-CSRFToken": self.token}
        if "reveal" in path:
            headers |= {"HX-Request": "true", "Accept": "application/json"}
        try:
            answer = self.session.request(
                method, f"http://127.0.0.1:{port}{path}", data=data, headers=headers, allow_redirects=False, timeout=120
            )
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            self.turn += 1  # the next one
            with self.record.lock:
                self.record.unsure.append((port, reason))
            return None
        with self.record.lock:
            self.record.statuses[answer.status_code] += 1
            if answer.status_code >= 400:
                self.record.wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer

    def look(self) -> None:
        """A page that broke is opened again, at the other web server: looking may be repeated."""
        while (answer := self.call("GET", SHOWN)) is None:
            pass
        self.token = re.findall(r'name="csrf-token" content="([^"]+)"', answer.text)[0]
        self.call("GET", "/search/?q=db")

    def reveal(self) -> None:
        reason = f"INC-{self.turn}: {self.name} looks"
        answer = self.call("POST", f"{SHOWN}reveal/", reason, reason=reason)
        if answer is not None and answer.status_code == 200 and answer.json()["value"] == VALUE:
            self.record.shown.append(reason)

    def ask(self) -> None:
        while number := self.waiting():  # or this one would be refused as its double
            self.call("POST", f"/requests/{number}/withdraw/")
        reason = f"INC-{self.turn}: {self.name} asks"
        answer = self.call("POST", f"{ASKED}ask/", reason, reason=reason, minutes="10", use="once")
        if answer is not None and answer.status_code == 302:
            self.record.asked.append(reason)

    def waiting(self) -> int | None:
        """The number of this person's request that still waits, made by whichever answer or broken connection."""
        from vaults.models import RevealRequest

        mine = RevealRequest.objects.filter(requester__username=self.name, state="pending")
        return mine.values_list("pk", flat=True).first()


# --- The processes ---------------------------------------------------------------------------------------------------
@dataclass
class Processes:
    """Everything that runs beside this process: what it prints goes to files."""

    env: dict[str, str]
    folder: Path
    all: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        from tests.processes import ROOT

        with (self.folder / f"{len(self.all)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *command], cwd=ROOT, env=self.env, stdout=log, stderr=log, start_new_session=True
            )
        self.all.append(process)
        return process

    def web(self, port: int) -> subprocess.Popen[bytes]:
        """A web server that has answered once."""
        process = self.start("-m", "gunicorn", "kvadmin.wsgi", "--bind", f"127.0.0.1:{port}")
        self.until(lambda: _answers(port))
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        return self.start("manage.py", "worker")

    def until(self, done: Callable[[], bool]) -> None:
        while not done():
            if ended := [process for process in self.all if process.poll() not in {None, -signal.SIGKILL}]:
                raise RuntimeError(f"{ended[0].args} ended: see {self.folder}")
            time.sleep(0.05)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """As when the power goes: the process and its children at once."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> list[int]:
        """The exit codes of those that were alive, after they were asked to stop."""
        living = [process for process in self.all if process.poll() is None]
        for process in living:
            process.terminate()
        return [process.wait() for process in living]

    def end(self) -> None:
        """None is left, however the test went."""
        for process in self.all:
            if process.poll() is None:
                self.kill(process)


def refuses(port: int) -> bool:
    """Whether nobody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _answers(port: int) -> bool:
    import requests

    try:
        return bool(requests.get(f"http://127.0.0.1:{port}/readyz", timeout=60).ok)
    except requests.ConnectionError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- The world -------------------------------------------------------------------------------------------------------
@contextmanager
def emulator() -> Iterator[tuple[Any, str]]:
    """An emulated Azure in this process, and its address for the others."""
    from kvadmin.emulator import doors
    from kvadmin.emulator.state import Azure

    azure = Azure()
    azure.add_subscription(SUBSCRIPTION, "Payments")
    for name in ("pay-prod", "pay-test"):
        azure.add_vault(name, subscription_id=SUBSCRIPTION, tags={"environment": name[4:]})
        azure.put_secret(name, "db-password", VALUE)
    server = doors.serve(azure, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield azure, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def people(ports: list[int], record: Record, stop: threading.Event) -> list[Somebody]:
    """Everybody with a session: each may see one value and ask for the other."""
    from django.conf import settings
    from django.test import Client

    from tests import factories

    for name in ("pay-prod", "pay-test"):
        factories.secret(factories.vault(name, environment=name[4:]), "db-password")
    factories.policy("direct", environment="prod")
    factories.policy("approval", environment="test")
    factories.person("approver", "approver")
    found = []
    for n in range(PEOPLE):
        client = Client()
        client.force_login(factories.person(f"person-{n}", "secrets-user"))
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        found.append(Somebody(f"person-{n}", cookie, ports, record, stop, turn=n))
    return found


def environment(door: str) -> dict[str, str]:
    from django.conf import settings

    from tests import processes

    return processes.environment(
        DATABASE_URL=processes.database_url(),
        KVADMIN_EMULATOR=door,
        KVADMIN_SECRET_KEY=settings.SECRET_KEY,
        AZURE_CLIENT_ID=settings.KVADMIN_CLIENT_ID,
        KVADMIN_ALLOWED_HOSTS="127.0.0.1",
        KVADMIN_REVEALS_PER_HOUR="10000",
        KVADMIN_LOG_FORMAT="json",
    )


# --- The run ---------------------------------------------------------------------------------------------------------
@dataclass
class Report:
    """What came of it, for people to read; `faults` is empty when all held."""

    figures: dict[str, int]
    faults: list[str]


def run(seconds: float, folder: Path) -> Report:
    """Everything, for so many seconds of load, on the database that Django is connected to."""
    record, stop, killed = Record(), threading.Event(), []
    ports = [free_port(), free_port()]
    with emulator() as (azure, door):
        everybody = people(ports, record, stop)
        processes = Processes(environment(door), folder)
        try:
            webs = [processes.web(port) for port in ports]
            workers = [processes.worker() for _ in range(2)]
            jobs = threading.Thread(target=_queue_jobs, args=(folder, stop))
            threads = [threading.Thread(target=one.live) for one in everybody] + [jobs]
            for thread in threads:
                thread.start()
            time.sleep(seconds / 3)
            processes.kill(webs[0])
            time.sleep(seconds / 6)
            _kill_at_work(processes, workers[0], folder)
            killed.append(workers[0].pid)
            time.sleep(seconds / 6)
            processes.web(ports[0])
            time.sleep(seconds / 3)
            stop.set()
            for thread in threads:
                thread.join()
            processes.until(lambda: _all_done(killed))
            codes = processes.stop()
        finally:
            stop.set()
            processes.end()
        return _judge(record, ports[0], azure, folder, codes)


def _queue_jobs(folder: Path, stop: threading.Event) -> None:
    from django.db import connections

    from tests.kvadmin.jobs_for_tests import leave_a_mark

    while not stop.wait(1 / JOBS_A_SECOND):
        leave_a_mark.enqueue(str(folder))
    connections.close_all()


def _kill_at_work(processes: Processes, worker: subprocess.Popen[bytes], folder: Path) -> None:
    """Kills the worker while it has a job in hand."""
    from django_tasks_db.models import DBTaskResult

    def at_work() -> bool:
        running = DBTaskResult.objects.filter(status="RUNNING").values_list("worker_ids", flat=True)
        return any(f"-{worker.pid}-" in ids[-1] for ids in running if ids)

    processes.until(at_work)
    processes.kill(worker)


def _all_done(killed: list[int]) -> bool:
    """Whether no job is left. The killed worker is given up at once, and not after a minute of silence."""
    from datetime import timedelta

    from django.utils import timezone
    from django_tasks_db.models import DBTaskResult

    from kvadmin.jobs.models import WorkerBeat

    long_ago = timezone.now() - timedelta(minutes=2)
    for pid in killed:
        WorkerBeat.objects.filter(worker_id__contains=f"-{pid}-").update(seen_at=long_ago)
    for row in DBTaskResult.objects.filter(status="RUNNING"):
        if any(f"-{pid}-" in row.worker_ids[-1] for pid in killed):
            DBTaskResult.objects.filter(pk=row.pk, started_at=row.started_at).update(started_at=long_ago)
    return not DBTaskResult.objects.filter(status__in=("READY", "RUNNING"), task_path__startswith="tests.").exists()


# --- The judgement ---------------------------------------------------------------------------------------------------
def _judge(record: Record, killed_port: int, azure: Any, folder: Path, codes: list[int]) -> Report:
    from audit import chains
    from audit.models import LedgerEntry

    chain = chains.verify()
    figures = {
        "answers": sum(record.statuses.values()),
        "values shown": len(record.shown),
        "requests made": len(record.asked),
        "broken connections": len(record.unsure),
        "ledger rows": chain.rows,
    }
    faults = list(record.wrong)
    faults += [f"a connection to the living server {port} broke" for port, _ in record.unsure if port != killed_port]
    faults += [] if chain.intact else [f"the chain is broken at {chain.first_bad}: {chain.why}"]
    faults += [f"a process ended with {code}" for code in codes if code != 0]
    faults += _lost(record, LedgerEntry) + _doubled_reads(record, azure, LedgerEntry)
    jobs, twice, bad = _jobs(folder)
    return Report(figures | {"jobs": jobs, "jobs done twice by the kill": twice}, faults + bad)


def _lost(record: Record, entries: Any) -> list[str]:
    """Answered, and not on record exactly once; or begun, without an end and without a broken connection."""
    from vaults.models import RevealRequest

    shown = Counter(entries.objects.filter(phase="revealed").values_list("reason", flat=True))
    asked = Counter(RevealRequest.objects.values_list("reason", flat=True))
    faults = [f"shown, and {shown[reason]} times on record: {reason}" for reason in record.shown if shown[reason] != 1]
    faults += [f"asked, and {asked[reason]} times there: {reason}" for reason in record.asked if asked[reason] != 1]
    ended = set(entries.objects.exclude(phase="intent").values_list("act", flat=True))
    open_acts = entries.objects.filter(phase="intent").exclude(act__in=ended).values_list("reason", flat=True)
    unsure = {reason for _, reason in record.unsure}
    return faults + [f"begun, and never ended: {reason}" for reason in open_acts if reason not in unsure]


def _doubled_reads(record: Record, azure: Any, entries: Any) -> list[str]:
    """Azure was asked once for each act, and for nothing else."""
    reads = sum(row.operation == "SecretGet" for row in azure.log)
    begun = entries.objects.filter(phase="intent", action="secret:reveal").count()
    if len(record.shown) <= reads <= begun:
        return []
    return [f"Azure was asked for {reads} values; {len(record.shown)} were shown, {begun} begun"]


def _jobs(folder: Path) -> tuple[int, int, list[str]]:
    """How many jobs were done, how many twice, and which faults there are: only a killed worker's job may run again."""
    from django_tasks_db.models import DBTaskResult

    done = Counter((folder / "marks").read_text(encoding="utf-8").split())
    rows = {str(row.pk): row for row in DBTaskResult.objects.filter(task_path__startswith="tests.")}
    again = {name for name, row in rows.items() if len(row.worker_ids) > 1}
    faults = [f"the job {name} was done {done[name]} times" for name in rows if done[name] != 1 and name not in again]
    faults += [f"the job {name} ended as {row.status}" for name, row in rows.items() if row.status != "SUCCESSFUL"]
    faults += [f"{len(again)} jobs ran again after one worker was killed"] if len(again) > 1 else []
    return len(rows), sum(done[name] > 1 for name in again), faults


# --- By hand ---------------------------------------------------------------------------------------------------------
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    seconds = parser.parse_args().seconds
    if not os.environ.get("KVADMIN_TEST_DATABASE_URL"):
        sys.exit("This needs PostgreSQL: python -m tests.postgres python -m tests.load")
    from tests.bench.setting import database

    with database(), tempfile.TemporaryDirectory(prefix="kvadmin-load-") as folder:
        report = run(seconds, Path(folder))
    sys.stdout.write(json.dumps({"seconds": seconds, **report.figures, "faults": report.faults[:20]}, indent=2) + "\n")
    return bool(report.faults)


if __name__ == "__main__":
    sys.exit(main())
