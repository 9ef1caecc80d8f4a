"""The recreate action: a container is made anew under its name, with all that it was made with."""

from __future__ import annotations

from healing.core.ports import Engine
from healing.core.types import Snapshot


def recreate(
    engine: Engine, snapshot: Snapshot, network_mode: str | None, stop_timeout: float, deadline: float
) -> str:
    """The new container's id. Raises what the engine raises; ActionTimedOut means that it may still succeed."""
    return engine.recreate(snapshot.id, network_mode, stop_timeout, deadline)
