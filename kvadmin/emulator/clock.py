"""The emulated cloud's time: real time plus an offset, so that days pass in a test without waiting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """Real time plus an offset, until it is stopped."""

    def __init__(self) -> None:
        self._offset = timedelta(0)
        self._stopped_at: datetime | None = None

    def now(self) -> datetime:
        """The cloud's time, aware, in UTC."""
        return self._real() + self._offset

    def advance(self, by: timedelta) -> None:
        """Let `by` pass at once; a negative one turns the clock back."""
        self._offset += by

    def set(self, moment: datetime) -> None:
        """Make `moment` (aware) the time it is now; it runs on from there."""
        self._offset = moment - self._real()

    def stop(self) -> None:
        """From now on time passes only by `advance` and `set`, however slow the machine is."""
        self._stopped_at = datetime.now(UTC)

    def _real(self) -> datetime:
        return self._stopped_at or datetime.now(UTC)
