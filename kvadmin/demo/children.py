"""The processes of the demo: started together, watched, and gone together."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

POLL_SECONDS = 0.1
GRACE_SECONDS = 10.0
LAST_LINES = 12


class ChildDied(Exception):
    """A process of the demo ended by itself. The text names it and quotes its last lines."""


class Child:
    """One process, in a session of its own so that Ctrl-C in the terminal reaches only the demo, which stops it."""

    def __init__(self, name: str, command: list[str], env: Mapping[str, str], log: Path) -> None:
        self.name, self.log = name, log
        with log.open("wb") as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own commands
                [sys.executable, *command],
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raises ChildDied when the process has ended."""
        if self.process.poll() is None:
            return
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
        quoted = "\n".join(f"  | {line}" for line in lines)
        raise ChildDied(f"The {self.name} ended with exit code {self.process.returncode}:\n{quoted}")

    def ask_to_stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()

    def wait(self, deadline: float) -> None:
        """Waits for the end until `deadline` (time.monotonic()), then forces it."""
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Children:
    """`with Children(folder, env) as children: children.start(...)`: when the block is left, all of them are gone.

    A process that has not ended `grace` seconds after it was asked to is killed.
    """

    def __init__(self, folder: Path, env: Mapping[str, str], *, grace: float = GRACE_SECONDS) -> None:
        self.folder, self.env, self.grace = folder, env, grace
        self.all: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        deadline = time.monotonic() + self.grace
        for child in reversed(self.all):
            child.ask_to_stop()
        for child in reversed(self.all):
            child.wait(deadline)

    def start(self, name: str, *command: str) -> None:
        """Starts `python COMMAND`; what it prints goes to FOLDER/NAME.log."""
        self.all.append(Child(name, list(command), self.env, self.folder / f"{name}.log"))

    def until(self, done: Callable[[], bool]) -> None:
        """Waits for something to be done, as long as all processes live. Raises ChildDied."""
        while not done():
            for child in self.all:
                child.check()
            time.sleep(POLL_SECONDS)
