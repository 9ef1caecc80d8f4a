"""The Celery application; every process of Selfheal uses this one."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, setup_logging, task_prerun
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


@beat_init.connect
def _have_periodic_tasks(**_: Any) -> None:
    """Wherever beat runs, it has the periodic tasks that Selfheal needs."""
    from selfheal_project.beat_schedule import ensure_schedule

    ensure_schedule()
