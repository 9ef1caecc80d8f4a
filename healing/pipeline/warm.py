"""What the first heal of a process would otherwise wait for. Called when a worker, or the watcher, is ready."""

from __future__ import annotations

import logging
from contextlib import suppress

from django.db import DatabaseError, InterfaceError

from healing.core.errors import ConfigError
from healing.effective import config_book
from healing.models import Host
from healing.pipeline.engines import engine_of

logger = logging.getLogger(__name__)


def warm_up() -> None:
    """Connect this thread to the database, read the configuration, load the engines' clients. No engine is called."""
    try:
        config_book()
        for host in Host.objects.filter(enabled=True):
            with suppress(ConfigError):  # the sweep of that host tells it
                engine_of(host)
    except (DatabaseError, InterfaceError) as error:
        logger.debug("not warmed up: %s", error, extra={"action": "warm_up_failed"})
