"""`manage.py demo`: kvadmin with a pretended Azure, in one command. Ctrl-C stops all of it."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import socket
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from kvadmin import env
from kvadmin.demo.children import ChildDied, Children
from kvadmin.emulator import identities

FOLDER = settings.BASE_DIR / ".demo"
# What the shell may set for the demo as well; all else that is kvadmin's is about a real Azure, and is left out.
KEPT = ("KVADMIN_INGEST_FIRST_DAYS", "KVADMIN_LOG_LEVEL", "KVADMIN_REVEAL_SECONDS")
OURS = ("kvadmin.sqlite3*", "emulator.log", "web.log", "worker.log")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
        for name in SIGNALS:
            signal.signal(name, _stop)
        try:
            with _alone(folder), Children(folder, os.environ) as children:
                self.show(children, port)
        except KeyboardInterrupt:
            self.say("Stopped. The next start begins afresh.")
        except ChildDied as error:
            raise CommandError(str(error)) from None

    def show(self, children: Children, port: int) -> None:
        from kvadmin.demo.show import Show  # noqa: PLC0415 - slow to import, and not needed before the second start

        Show(children, port, self.say).run()

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _database(folder: Path) -> str:
    return str(folder / "kvadmin.sqlite3")


def _is_set_up(folder: Path) -> bool:
    """Whether this process already has the demo's own settings."""
    return bool(settings.KVADMIN_DEMO) and settings.DATABASES["default"]["NAME"] == _database(folder)


def _start_again(folder: Path, port: int) -> None:
    """Becomes the same command with the demo's settings, and with none of those that the shell has for a real Azure."""
    kept = {name: value for name, value in os.environ.items() if not _is_ours(name) or name in KEPT}
    demo = {
        "AZURE_CLIENT_ID": identities.KVADMIN.app_id,
        "DATABASE_URL": f"sqlite:///{_database(folder)}",
        "KVADMIN_ARCHIVE_DIR": str(folder / "archives"),
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
    """The folder, without what the last demo left in it, and for this one alone. Raises CommandError when one does."""
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        _lock(lock)
        for pattern in OURS:
            for path in folder.glob(pattern):
                path.unlink()
        yield


def _lock(file: IO[str]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise CommandError("Another demo runs in this folder: stop it first.") from None


def _stop(signum: int, frame: FrameType | None) -> None:
    """Once: what is stopping is not interrupted again."""
    for name in SIGNALS:
        signal.signal(name, signal.SIG_IGN)
    raise KeyboardInterrupt
