"""The Celery application; every process of Selfheal uses this one."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery
from celery.signals import beat_init, setup_logging, task_prerun, worker_init, worker_ready
from kombu.exceptions import OperationalError
from kombu.transport import TRANSPORT_ALIASES

from selfheal_project.messages import own_clock

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "selfheal_project.settings")
TRANSPORT_ALIASES["selfheal-memory"] = "selfheal_project.memory_broker:Transport"
TRANSPORT_ALIASES["redis"] = TRANSPORT_ALIASES["rediss"] = "selfheal_project.redis_broker:Transport"
TRANSPORT_ALIASES["sentinel"] = "selfheal_project.redis_broker:SentinelTransport"

AWAY_FOR = 2.0
"""Seconds after a broker has failed to take a message in which this process offers it no other."""


class SelfhealCelery(Celery):
    """Waits for a broker that does not answer once, and not once for each of many messages."""

    _away_until = 0.0

    def send_task(self, name: str, *args: Any, **options: Any) -> Any:
        """Raise OperationalError at once where the broker has failed a moment ago: whoever sends has a hint to lose."""
        if time.monotonic() < self._away_until:
            raise OperationalError("the broker did not take a message a moment ago")
        if wrong := own_clock():
            options["headers"] = {**(options.get("headers") or {}), **wrong}
        try:
            return super().send_task(name, *args, **options)
        except (OperationalError, ConnectionError, OSError):
            self._away_until = time.monotonic() + AWAY_FOR
            raise


app = SelfhealCelery("selfheal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def _log_as_django_does(**_: Any) -> None:
    """Celery would replace the handlers; Django's LOGGING is the one truth."""


@task_prerun.connect
def _drop_broken_connections(**_: Any) -> None:
    """Connections are kept between tasks; one that is broken or too old is replaced before it is used."""
    from django.db import close_old_connections

    close_old_connections()


@beat_init.connect
@worker_init.connect
def _need_not_wait_for_the_disk(**_: Any) -> None:
    """Workers and beats of their own: what they find out can be found again. The embedded mode has people's changes in it too."""
    from django.conf import settings

    from healing.store.durability import relax_this_process

    if not settings.EMBEDDED:
        relax_this_process()


@worker_ready.connect
def _warm_up(sender: Any, **_: Any) -> None:
    """The first task must not pay for what all of them need: in the pool's own thread, which keeps its connections."""
    from healing.pipeline.warm import warm_up
    from healing.store import worker_signs
    from healing.tasks import reach_broker

    worker_signs.begin(sender.pool.limit)
    for ready in (warm_up, reach_broker):
        sender.pool.apply_async(ready, (), {}, callback=_ignore)


def _ignore(_: Any) -> None: ...
