"""A worker: takes jobs one at a time, and beside them keeps the clock. Start as many as the load asks for."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from types import FrameType

from django.db import InterfaceError, OperationalError, close_old_connections, connections
from django.utils.crypto import get_random_string
from django_tasks_db.management.commands.db_worker import Worker as DatabaseWorker

from kvadmin.jobs import recovery, runs, schedule
from kvadmin.metrics import tallies

logger = logging.getLogger(__name__)

CLOCK_SECONDS = 5.0
LOST = (OperationalError, InterfaceError)  # the database is away, or came back


def new_name() -> str:
    """A name that no worker had before, and that tells where to look for it."""
    return f"{recovery.host_part(socket.gethostname())}{os.getpid()}-{get_random_string(8)}"


class Worker(DatabaseWorker):
    """django-tasks-db's loop, with our outcome of a job, and a first signal that never cuts a job off."""

    def __init__(self, *, batch: bool = False, interval: float = 1.0) -> None:
        super().__init__(
            queue_names=["*"],
            interval=interval,
            batch=batch,
            backend_name="default",
            startup_delay=False,
            max_tasks=None,
            worker_id=new_name(),
            excluded_queue_names=[],
        )

    def shutdown(self, signum: int, frame: FrameType | None) -> None:
        """The first signal lets the job at hand finish; a second one ends the process, and the job is recovered."""
        if self.running:
            logger.info("worker %s: stops after the job at hand", self.worker_id)
            self.running = False
        else:
            super().shutdown(signum, frame)

    def run_task(self, db_task_result: runs.Row) -> None:
        self.running_task = True
        try:
            runs.run(db_task_result)
        finally:
            self.running_task = False

    def work(self) -> None:
        """Works until told to stop, or with `batch` until nothing is due.

        A worker that loses its database goes on under a new name: what it was doing is then recovered like a dead
        worker's job.
        """
        while self.running:
            self.worker_id = new_name()
            clock = Clock(self.worker_id)
            try:
                with clock:
                    self.run()
            except LOST as error:
                logger.error("worker %s: the database failed: %s", self.worker_id, error)
                connections.close_all()
                time.sleep(self.interval)
            else:
                return


class Clock:
    """The thread beside a worker's loop: says that it lives, queues what is due, recovers dead workers' jobs."""

    def __init__(self, worker_id: str) -> None:
        self.worker_id = worker_id
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def __enter__(self) -> None:
        recovery.beat(self.worker_id)
        schedule.register()
        self.once()
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        tallies.flush()
        if kind is None:
            recovery.sign_off(self.worker_id)

    def once(self) -> None:
        recovery.beat(self.worker_id)
        recovery.recover()
        schedule.tick()
        tallies.flush()

    def _run(self) -> None:
        while not self._stop.wait(CLOCK_SECONDS):
            close_old_connections()
            try:
                self.once()
            except LOST as error:
                logger.error("worker %s: the clock failed: %s", self.worker_id, error)
        connections.close_all()
