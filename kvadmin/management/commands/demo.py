"""`manage.py demo`: kvadmin with a pretended Azure, in one command. Ctrl-C stops all of it."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import socket
import sys
import time
import urllib.request
from argparse import ArgumentParser
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING, Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from kvadmin import env
from kvadmin.demo import evidence, people
from kvadmin.demo.children import ChildDied, Children
from kvadmin.emulator import identities
from kvadmin.sign_in import DEMO_ACCOUNTS
from vaults.models import SyncRun, Vault
from vaults.tasks import ingest_audit, sync_inventory

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = settings.BASE_DIR / ".demo"
LOG_SECONDS = 60  # Azure's log is late, the pretended one too


class Command(BaseCommand):
    help = "Starts kvadmin with a pretended Azure on http://127.0.0.1:8000 (KVADMIN_PORT). Ctrl-C stops it."
    requires_system_checks: list[str] = []  # they are run by the processes that this starts

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--folder", type=Path, default=FOLDER, help="what it keeps until the next start")

    def handle(self, *, folder: Path, **options: Any) -> None:
        port = env.number("KVADMIN_PORT", 8000, low=1, high=65_535)
        if not _is_set_up(folder):
            _must_be_free(port)
            _start_again(folder.resolve(), port)
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, _stop)
        try:
            with _alone(folder), Children(folder, os.environ) as children:
                self.run(children, port)
        except KeyboardInterrupt:
            self.say("Stopped. The next start begins afresh.")
        except ChildDied as error:
            raise CommandError(str(error)) from None

    def run(self, children: Children, port: int) -> None:
        """Everything up to the address, then nothing but watching."""
        self.say(f"Starting afresh: what the last demo left in {children.folder.name}/ is removed.")
        call_command("migrate", verbosity=0)
        people.make_people()
        people.register_invisible_vault()
        self.say(f"Starting a pretended Azure, the web server and a worker; see {children.folder.name}/*.log.")
        children.start("emulator", "manage.py", "emulator", "--port", str(settings.KVADMIN_EMULATOR.rsplit(":")[-1]))
        children.start("web", *_web(port))
        children.until(lambda: _answers(f"{settings.KVADMIN_EMULATOR}/healthz"))
        first = sync_inventory.enqueue()
        children.start("worker", "manage.py", "worker")
        self.say("The first sweep: which vaults and secrets are there?")
        self.wait(children, first)
        self.say(f"  {_found()}")
        people.give_roles_and_set_policies()
        self.use(children)
        children.until(lambda: _answers(f"http://127.0.0.1:{port}/healthz"))
        self.welcome(port)
        children.until(lambda: False)

    def use(self, children: Children) -> None:
        """Some reveals, and Azure's log of them: the audit pages have something to show."""
        logged = evidence.reveal_some()
        self.say("The Secrets User looked at some values. Reading Azure's log: 30 days, and these reads ...")
        patience = time.monotonic() + LOG_SECONDS
        while True:
            self.wait(children, ingest_audit.enqueue())
            if evidence.explained() >= logged or time.monotonic() > patience:
                break
            pause = time.monotonic() + 2
            children.until(lambda: time.monotonic() > pause)  # noqa: B023 - called within this turn of the loop
        self.say(f"  {evidence.explained()} reads are explained by kvadmin's ledger")

    def wait(self, children: Children, job: Any) -> None:
        """Waits for a job. Raises CommandError when it failed."""

        def ended() -> bool:
            job.refresh()
            return bool(job.is_finished)

        children.until(ended)
        if job.errors:
            raise CommandError(
                f"A job failed: {job.errors[0].traceback.splitlines()[0]} (see {children.folder}/worker.log)"
            )

    def welcome(self, port: int) -> None:
        self.say(f"\nkvadmin runs on http://127.0.0.1:{port}\n")
        for account in DEMO_ACCOUNTS:
            self.say(f"  {account.name:<13} {account.password:<27} {account.role}")
        self.say("\nThe sign-in page has a button for each account. Ctrl-C stops it all.")

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _web(port: int) -> list[str]:
    server = f"-m gunicorn kvadmin.wsgi --bind 127.0.0.1:{port} --worker-class gthread --workers 1 --threads 16"
    return [*server.split(), "--log-level", "warning", "--no-control-socket"]


def _found() -> str:
    run = SyncRun.objects.latest("id")
    unwell = Vault.objects.exclude(health="ok").count()
    return f"{run.secrets_seen} secrets in {run.vaults_total} vaults, {unwell} of which cannot be listed now"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - http on this machine
            return bool(answer.status == 200)
    except OSError:
        return False


# --- Before anything is started --------------------------------------------------------------------------------------
def _database(folder: Path) -> str:
    return str(folder / "kvadmin.sqlite3")


def _is_set_up(folder: Path) -> bool:
    """Whether this process already has the demo's own settings."""
    return bool(settings.KVADMIN_DEMO) and settings.DATABASES["default"]["NAME"] == _database(folder)


def _start_again(folder: Path, port: int) -> None:
    """Becomes the same command with the demo's settings, and with none of those that the shell has for a real Azure."""
    kept = {name: value for name, value in os.environ.items() if not _is_ours(name)}
    demo = {
        "AZURE_CLIENT_ID": identities.KVADMIN.app_id,
        "DATABASE_URL": f"sqlite:///{_database(folder)}",
        "KVADMIN_DEBUG": "true",
        "KVADMIN_DEMO": "true",
        "KVADMIN_EMULATOR": f"http://127.0.0.1:{_free_port()}",
        "KVADMIN_INGEST_MINUTES": "1",
        "KVADMIN_PORT": str(port),
        "KVADMIN_SECRET_KEY": secrets.token_urlsafe(50),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore:No directory at",  # nothing is collected: whitenoise serves from the sources
    }
    os.chdir(settings.BASE_DIR)
    command = [sys.executable, "manage.py", "demo", "--folder", str(folder)]
    os.execve(sys.executable, command, kept | demo)  # noqa: S606 - ourselves


def _is_ours(name: str) -> bool:
    return name.startswith(("KVADMIN_", "AZURE_", "DJANGO_")) or name in {
        "DATABASE_URL",
        "CACHE_URL",
        "WEB_CONCURRENCY",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _must_be_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CommandError(
                f"Port {port} cannot be used: {error.strerror}. Choose another: KVADMIN_PORT={port + 10} make demo"
            ) from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """An empty folder that no other demo uses. Raises CommandError when one does."""
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        _lock(lock)
        for path in folder.iterdir():
            if path.name != "lock":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield


def _lock(file: IO[str]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise CommandError("Another demo runs in this folder: stop it first.") from None


def _stop(signum: int, frame: FrameType | None) -> None:
    """Once: what is stopping is not interrupted again."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    raise KeyboardInterrupt
