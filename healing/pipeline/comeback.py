"""An engine that answers again: did it live on out of our sight, or has it started anew?

As it starts, Docker without live-restore stops whatever outlived its last run, with the same signals and events as a person.
"""

from __future__ import annotations

import threading
from datetime import datetime

from healing.core.errors import PluginError
from healing.core.ports import Engine
from healing.core.types import EngineState
from healing.store import statuses

_LOOKED_AT = 5
"""An engine that started anew has no container that started before: a few tell for all, best those that it lists last.

It lists the newest first, and those may have been made while it was out of our sight.
"""
TELLS_WITHIN = 2.0
"""Seconds in which an engine begins to tell what it knows of the past."""


class Absence:
    """The last time for which one engine's stream was lost: from `lost_at` on, and over once a stream is held again."""

    def __init__(self, lost_at: datetime | None = None) -> None:
        self._lost_at = lost_at
        self._over_at: datetime | None = None

    def begin(self, at: datetime) -> None:
        """A stream was lost, or could not be opened. What is not over goes on."""
        if self._lost_at is None or self._over_at is not None:
            self._lost_at, self._over_at = at, None

    def end(self, at: datetime) -> None:
        """A stream is held since a connection that was made at this time."""
        self._over_at = self._over_at or at

    def began_before(self, at: datetime) -> datetime | None:
        """When it began; None where this time does not lie in it."""
        if self._lost_at is None or at < self._lost_at or (self._over_at is not None and at >= self._over_at):
            return None
        return self._lost_at


class Comeback:
    """One connection, made at `connected_at`. `lived_on`: whether the engine has; None as long as nobody has asked.

    `absence`: of the connection before it. A short one may be over before anybody has noted it.
    """

    def __init__(self, engine: Engine, connected_at: datetime, absence: Absence | None = None) -> None:
        self._engine, self._connected_at, self._absence = engine, connected_at, absence or Absence()
        self.lived_on: bool | None = None

    def ended(self, container_id: int, signal_at: datetime) -> bool:
        """Whether a stop signal came from the engine as it started: in the time without it, and nothing has lived on."""
        if signal_at >= self._connected_at:
            return False
        known = (statuses.interrupted_at(container_id), self._absence.began_before(signal_at))
        gone_at = min((at for at in known if at is not None), default=None)
        if gone_at is None or signal_at < gone_at:
            return False
        if self.lived_on is None:
            self.lived_on = any_older_than(self._engine, gone_at)
        return not self.lived_on


def any_older_than(engine: Engine, at: datetime) -> bool:
    """Whether something that runs began before, as far as the engine tells."""
    try:
        running = [row.id for row in engine.list() if row.state is EngineState.RUNNING]
        starts = [engine.inspect(one).started_at for one in running[-_LOOKED_AT:]]
    except PluginError:
        return True
    return any(start is not None and start < at for start in starts)


def still_knows(engine: Engine, at: datetime) -> bool:
    """Whether the engine has its event of that time, which Docker forgets as it starts anew. The engine object is closed."""
    closing = threading.Timer(TELLS_WITHIN, engine.close)
    try:
        events = engine.events(at, 2 * TELLS_WITHIN)
        closing.start()
        first = next(events, None)
    except PluginError:
        return True
    finally:
        closing.cancel()
        engine.close()
    return first is not None and first.at == at
