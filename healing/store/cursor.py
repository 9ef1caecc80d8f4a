"""How far one engine's events are worked off: known here at once, and to the database at most once a second."""

from __future__ import annotations

from datetime import datetime, timedelta

from healing.models import Host

SAVED_EVERY = timedelta(seconds=1)


class Cursor:
    """`at`: when the newest event that was worked off happened; None before the first."""

    def __init__(self, host: Host) -> None:
        self._host_id = host.pk
        self.at: datetime | None = host.last_event_at
        self._saved: datetime | None = None

    def move(self, at: datetime) -> None:
        self.at = at
        if self._saved is None or at - self._saved >= SAVED_EVERY:
            self._save(at)

    def flush(self) -> None:
        """Write what throttling has held back."""
        if self.at is not None and self.at != self._saved:
            self._save(self.at)

    def hold(self) -> None:
        """Have nothing flushed before the next move: what is held back may be of events that the database has lost."""
        self._saved = self.at

    def believe(self, host: Host) -> None:
        """A database that crashed may have lost the newest marks, and with them the cursor that went past their events."""
        self.at = self._saved = host.last_event_at

    def _save(self, at: datetime) -> None:
        Host.objects.filter(pk=self._host_id).update(last_event_at=at)
        self._saved = at
