"""What runs by the clock or behind a page: schedules, retries, and recovery of jobs whose worker died.

A job is a function under `@task` (kvadmin/jobs/api.py). It is idempotent, and its arguments name things by id: what
is put in the queue is stored, so no argument and no return value ever holds a secret value.
"""

from __future__ import annotations

from kvadmin.jobs.api import task

__all__ = ["task"]
