"""An engine that answers again: did it live on out of our sight, or has it started anew?

As it starts, Docker without live-restore stops whatever outlived its last run, with the same signals and events as a person.
"""

from __future__ import annotations

from datetime import datetime

from healing.core.errors import PluginError
from healing.core.ports import Engine
from healing.core.types import EngineState
from healing.store import statuses

_LOOKED_AT = 5
"""An engine that started anew has no container that started before: a few tell for all, best those that it lists last.

It lists the newest first, and those may have been made while it was out of our sight.
"""


class Comeback:
    """One connection, made at `connected_at`. `lived_on`: whether the engine has; None as long as nobody has asked.

    `lost_at`: when the connection before it ended. A short absence may be over before anybody has noted it.
    """

    def __init__(self, engine: Engine, connected_at: datetime, lost_at: datetime | None = None) -> None:
        self._engine, self._connected_at, self._lost_at = engine, connected_at, lost_at
        self.lived_on: bool | None = None

    def ended(self, container_id: int, signal_at: datetime) -> bool:
        """Whether a stop signal came from the engine as it started: in the time without it, and nothing has lived on."""
        if signal_at >= self._connected_at:
            return False
        known = [at for at in (statuses.interrupted_at(container_id), self._lost_at) if at is not None]
        gone_at = min(known, default=None)
        if gone_at is None or signal_at < gone_at:
            return False
        if self.lived_on is None:
            self.lived_on = self._any_older_than(gone_at)
        return not self.lived_on

    def _any_older_than(self, at: datetime) -> bool:
        try:
            running = [row.id for row in self._engine.list() if row.state is EngineState.RUNNING]
            starts = [self._engine.inspect(one).started_at for one in running[-_LOOKED_AT:]]
        except PluginError:
            return True
        return any(start is not None and start < at for start in starts)
