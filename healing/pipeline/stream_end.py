"""An event stream that has ended: is its engine gone, and did it stop its containers as it went?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from healing.core.errors import PluginError
from healing.core.events import StreamMemory, shutdown_began
from healing.core.ports import EngineConfig
from healing.engines import open_engine
from healing.models import Host
from healing.pipeline import hosts as host_stage
from healing.store import statuses
from healing.store.clock import db_now

ANSWERS_WITHIN = 2.0


def look(host: Host, config: EngineConfig, memory: StreamMemory, ended_ago: float) -> None:
    """Ask the engine over a new connection, and note its loss where it does not answer.

    `memory` is of what the stream brought until it ended, `ended_ago` seconds ago.
    """
    asked_at = db_now()
    try:
        probe = open_engine(replace(config, timeout=ANSWERS_WITHIN))
        probe.info()
        probe.close()
        return
    except PluginError as gone:
        error = str(gone)
    now = db_now()
    began = shutdown_began(memory, now - timedelta(seconds=ended_ago))
    if began is not None and statuses.any_spared(host.pk):
        began = None
    host_stage.lost(host, error, now, killed_since=began, asked_at=asked_at)
