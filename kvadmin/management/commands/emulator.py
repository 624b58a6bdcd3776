"""`manage.py emulator`: a pretended Azure on this machine, for laptops and demos."""

from __future__ import annotations

import signal
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kvadmin.emulator import doors
from kvadmin.emulator.server import EmulatorServer
from kvadmin.emulator.state import Azure


class Command(BaseCommand):
    help = "Serves a pretended Azure on 127.0.0.1, filled with made-up vaults. Ctrl-C stops it; nothing is kept."
    requires_system_checks: list[str] = []  # it needs no database and no setting

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8001, help="0 takes a free one (default: %(default)s)")
        parser.add_argument("--empty", action="store_true", help="start without any vault")

    def handle(self, *, port: int, empty: bool, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _stop)
        with _serve(Azure() if empty else _seeded(), port) as server:
            self.stdout.write(f"Azure, pretended, on {server.address}: start kvadmin with")
            self.stdout.write(f"  KVADMIN_EMULATOR={server.address} KVADMIN_DEBUG=true")
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                self.stdout.write("Stopped.")


def _seeded() -> Azure:
    try:
        from kvadmin.emulator import seed  # noqa: PLC0415 - slow to import, and not needed for an empty one
    except ModuleNotFoundError as error:
        raise CommandError(f"The emulator needs {error.name}: install the extra `demo`.") from None
    azure = Azure()
    seed.seed(azure)
    return azure


def _serve(azure: Azure, port: int) -> EmulatorServer:
    try:
        return doors.serve(azure, port)
    except OSError as error:
        raise CommandError(f"Port {port} cannot be used: {error.strerror}. Choose another with --port.") from None


def _stop(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
