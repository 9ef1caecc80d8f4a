"""The Celery application; every process of Selfheal uses this one."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, setup_logging, task_prerun, worker_init, worker_ready
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "selfheal_project.settings")
TRANSPORT_ALIASES["selfheal-memory"] = "selfheal_project.memory_broker:Transport"

app = Celery("selfheal")
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


@worker_init.connect
def _need_not_wait_for_the_disk(**_: Any) -> None:
    """Workers of their own: what they find out can be found again. The embedded mode has people's changes in it too."""
    from django.conf import settings

    from healing.store.durability import relax_this_process

    if not settings.EMBEDDED:
        relax_this_process()


@worker_ready.connect
def _warm_up(sender: Any, **_: Any) -> None:
    """The first task must not pay for what all of them need: in the pool's own thread, which keeps its connections."""
    from healing.pipeline.warm import warm_up
    from healing.tasks import reach_broker

    for ready in (warm_up, reach_broker):
        sender.pool.apply_async(ready, (), {}, callback=_ignore)


def _ignore(_: Any) -> None: ...


@beat_init.connect
def _have_periodic_tasks(**_: Any) -> None:
    """Wherever beat runs, it has the periodic tasks that Selfheal needs."""
    from selfheal_project.beat_schedule import ensure_schedule

    _need_not_wait_for_the_disk()
    ensure_schedule()
