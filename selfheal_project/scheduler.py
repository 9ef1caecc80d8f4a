"""Beat's scheduler: the database's, made fit for several beats at once and for clocks that are set back.

It outlives a database that is away, and starts without it too.

Whoever finds a periodic task due claims it by a conditional UPDATE of its `last_run_at`, so that any number of beats
send it once, and the others go on when one has died. Times in that column are the database's, because the clocks of
the beats differ.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from celery.schedules import schedstate
from celery.utils.time import maybe_make_aware
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import F
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import SCHEDULE_SYNC_MAX_INTERVAL, DatabaseScheduler, ModelEntry

from healing.store.clock import db_now
from selfheal_project.beat_schedule import ensure_schedule

logger = logging.getLogger(__name__)

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
SET_BACK = 1.0
"""Seconds by which the clock has to fall behind the steady one to count as set back."""
READ_AGAIN = 2.0
"""Seconds until a schedule that could not be read is read again."""


class PeriodicEntry(ModelEntry):  # type: ignore[misc]
    """A periodic task that never waits for a time which has been before."""

    last_run_at: datetime | None

    def is_due(self) -> Any:
        now = maybe_make_aware(self._default_now())
        if self.last_run_at is not None and maybe_make_aware(self.last_run_at) > now:
            self.last_run_at = now
        return super().is_due()

    def save(self) -> None:
        """Its claims have written all there is; writing an older run over another beat's would have it sent twice."""
        if settings.EMBEDDED:
            super().save()


@dataclass(frozen=True, slots=True)
class Claim:
    """Whether the run is ours, and when the task ran last before, by this process's clock."""

    is_ours: bool
    last_run_at: datetime | None


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    """Sends what it has claimed."""

    Entry = PeriodicEntry
    _last_timestamp = _LONG_AGO
    _schedule: Any = None
    _has_rows = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._ahead = _ahead()
        super().__init__(*args, **kwargs)

    @property
    def schedule(self) -> Any:
        """The periodic tasks; where they cannot be read, those that were read last."""
        try:
            return super().schedule
        except (DatabaseError, InterfaceError) as error:
            logger.warning("database: %s", error, extra={"action": "beat_database"})
            # It counts as read a moment ago; what waits in the heap is left there.
            self._last_full_sync -= timedelta(seconds=SCHEDULE_SYNC_MAX_INTERVAL - READ_AGAIN)
            self._schedule = self._schedule or {}
            return self._schedule

    def all_as_schedule(self) -> Any:
        """All rows; wherever beat runs, those that Selfheal needs are among them."""
        if not self._has_rows:
            ensure_schedule()
            self._has_rows = True
        return super().all_as_schedule()

    def schedule_changed(self) -> bool:
        changed = bool(super().schedule_changed())
        # Without a change yet, the first is one.
        self._last_timestamp = self._last_timestamp or _LONG_AGO
        return changed

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        ahead = _ahead()
        if ahead < self._ahead - SET_BACK:
            # What waits in the heap waits for times of the old clock; so does the next reading of all rows.
            self._heap = None
            self._initial_read = True
        self._ahead = ahead
        return super().tick(*args, **kwargs)

    def is_due(self, entry: PeriodicEntry) -> Any:
        state = entry.is_due()
        if not state.is_due or settings.EMBEDDED:
            return state
        claim = claim_run(entry)
        if claim.is_ours:
            return state
        if claim.last_run_at is None:
            return schedstate(False, self.max_interval)
        entry.last_run_at = claim.last_run_at
        return schedstate(False, max(entry.is_due().next, 0.0))


def claim_run(entry: PeriodicEntry) -> Claim:
    """Take this run of a periodic task, unless another beat has. Database errors propagate; beat tries again."""
    now, here = db_now(), datetime.now(entry.app.timezone)
    rows = PeriodicTask.objects.filter(pk=entry.model.pk, enabled=True)
    found = list(rows.values_list("last_run_at", flat=True))
    if not found:
        return Claim(False, None)
    last = found[0]
    if last is not None:
        entry.last_run_at = here - max(now - last, timedelta(0))
        if last <= now and not entry.is_due().is_due:
            return Claim(False, entry.last_run_at)
    claimed = rows.filter(last_run_at=last).update(last_run_at=now, total_run_count=F("total_run_count") + 1)
    return Claim(bool(claimed), here)


def _ahead() -> float:
    """By how much the clock is ahead of the steady one, which nobody sets."""
    return time.time() - time.monotonic()
