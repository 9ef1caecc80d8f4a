"""An event stream that has ended: is its engine gone, and did it stop its containers as it went?"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction

from healing.core.errors import PluginError
from healing.core.events import StreamMemory, shutdown_began
from healing.core.ports import Engine, EngineConfig
from healing.engines import open_engine
from healing.models import Host
from healing.pipeline import hosts as host_stage
from healing.pipeline.comeback import any_older_than, still_knows
from healing.store import statuses
from healing.store.clock import db_now

logger = logging.getLogger(__name__)

ANSWERS_WITHIN = 2.0


def look(host: Host, config: EngineConfig, memory: StreamMemory, ended_ago: float) -> None:
    """Ask the engine over a new connection, and note its loss where it does not answer.

    One that answers may have started anew meanwhile: what it stopped as it went is then noted all the same.
    `memory` is of what the stream brought until it ended, `ended_ago` seconds ago.
    """
    asked_at = db_now()
    ended_at = asked_at - timedelta(seconds=ended_ago)
    began = shutdown_began(memory, ended_at)
    if began is not None and statuses.any_spared(host.pk, ended_at):
        began = None
    try:
        probe = open_engine(replace(config, timeout=ANSWERS_WITHIN))
        probe.info()
    except PluginError as gone:
        host_stage.lost(host, str(gone), db_now(), killed_since=began, asked_at=asked_at)
        return
    if began is not None and not _has_lived_on(probe, memory, ended_at):
        _was_restarted(host, began, ended_at)
    probe.close()


def _has_lived_on(engine: Engine, memory: StreamMemory, ended_at: datetime) -> bool:
    """Whether a person has stopped its containers: something else runs on, or it knows of their last death."""
    last = memory.last_die_at
    return any_older_than(engine, ended_at) or (last is not None and still_knows(engine, last))


def _was_restarted(host: Host, began: datetime, ended_at: datetime) -> None:
    """It went and came back before anybody has looked: its containers are left to it for its start grace, as after any loss."""
    with transaction.atomic():
        grace = db_now() + timedelta(seconds=host.start_grace)
        Host.objects.filter(pk=host.pk).update(grace_until=grace)
        statuses.interrupt(host.pk, ended_at, killed_since=began)
    logger.info("host was restarted", extra={"action": "host_restarted", "host": host.name})
