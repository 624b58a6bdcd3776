"""The demo from its first process to the address where it can be seen."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from kvadmin.demo import evidence, people
from kvadmin.demo.children import Children
from kvadmin.sign_in import DEMO_ACCOUNTS
from vaults.models import Health, SyncRun, Vault
from vaults.tasks import ingest_audit, sync_inventory

LOG_SECONDS = 60  # Azure's log is late, the pretended one too
PAUSE_SECONDS = 2


@dataclass(frozen=True)
class Show:
    """Runs the demo in processes of their own, in the settings of this one, and says how far it has come."""

    children: Children
    port: int
    say: Callable[[str], None]

    def run(self) -> None:
        """Everything up to the address, then nothing but watching. Raises ChildDied or CommandError."""
        self.prepare()
        self.start()
        people.give_roles_and_set_policies()
        people.fill_in_names()
        self.use()
        self.children.until(lambda: _answers(f"http://127.0.0.1:{self.port}/healthz"))
        self.welcome()
        self.children.until(lambda: False)

    def prepare(self) -> None:
        self.say(f"Starting afresh: what the last demo left in {self.children.folder.name}/ is removed.")
        call_command("migrate", verbosity=0)
        people.make_people()
        people.register_invisible_vault()

    def start(self) -> None:
        """The processes, and the first sweep."""
        self.say(f"Starting a pretended Azure, the web server and a worker; see {self.children.folder.name}/*.log.")
        self.children.start("emulator", "manage.py", "emulator", "--port", settings.KVADMIN_EMULATOR.split(":")[-1])
        self.children.start("web", *_web(self.port))
        self.children.until(lambda: _answers(f"{settings.KVADMIN_EMULATOR}/healthz"))
        sweep = sync_inventory.enqueue(SyncRun.objects.create().pk)
        self.children.start("worker", "manage.py", "worker")
        self.say("The first sweep: which vaults and secrets are there?")
        self.wait(sweep)
        self.say(f"  {_found()}")

    def use(self) -> None:
        """Some reveals, and Azure's log of them: the audit pages have something to show."""
        logged = evidence.reveal_some()
        self.say(f"{evidence.ask_for_some()} people asked for a value that needs an approval.")
        days = settings.KVADMIN_INGEST_FIRST_DAYS
        self.say(f"The Secrets User looked at some values. Reading Azure's log: {days} days, and these reads ...")
        patience = time.monotonic() + LOG_SECONDS
        self.wait(ingest_audit.enqueue())
        while evidence.explained() < logged and time.monotonic() < patience:
            self.pause(PAUSE_SECONDS)
            self.wait(ingest_audit.enqueue())
        self.say(f"  {evidence.explained()} reads are explained by kvadmin's ledger")

    def wait(self, job: Any) -> None:
        """Waits for a job. Raises CommandError when it failed."""
        self.children.until(lambda: _ended(job))
        if job.errors:
            why = job.errors[0].traceback.splitlines()[0]
            raise CommandError(f"A job failed: {why} (see {self.children.folder}/worker.log)")

    def pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.children.until(lambda: time.monotonic() > end)

    def welcome(self) -> None:
        self.say(f"\nkvadmin runs on http://127.0.0.1:{self.port}")
        self.say("")
        for account in DEMO_ACCOUNTS:
            self.say(f"  {account.name:<13} {account.password:<27} {account.role}")
        self.say("\nThe sign-in page has a button for each account. Ctrl-C stops it all.")


def _web(port: int) -> list[str]:
    return f"-m gunicorn kvadmin.wsgi --bind 127.0.0.1:{port} --workers 1".split()


def _found() -> str:
    run = SyncRun.objects.latest("id")
    unwell = Vault.objects.exclude(health=Health.OK).count()
    return f"{run.secrets_seen} secrets in {run.vaults_total} vaults, {unwell} of which cannot be listed now"


def _ended(job: Any) -> bool:
    job.refresh()
    return bool(job.is_finished)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - http on this machine
            return bool(answer.status == 200)
    except OSError:
        return False
