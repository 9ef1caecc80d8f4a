"""The restart action: a running container is restarted, one that is not running is started."""

from __future__ import annotations

from healing.core.ports import Engine
from healing.core.types import Snapshot


def restart(engine: Engine, snapshot: Snapshot, stop_timeout: float, deadline: float) -> None:
    """One engine call. Raises what the engine raises; ActionTimedOut means that it may still succeed."""
    if snapshot.is_running:
        engine.restart(snapshot.id, stop_timeout, deadline)
    else:
        engine.start(snapshot.id, deadline)
