"""Signs of life of Selfheal's own parts: `broker`, `canary:<queue>`, `sweep:<host>:<pid>`, `watch:<host>`, `beat` (the tick).

Sweepers near engines sign as `sweep.<queue>.<queue>:<host>:<pid>`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.apps import apps
from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Concat

from healing.core.queues import CHECKS, HEAL, near
from healing.models import Heartbeat, Host, HostState
from healing.store import clock, hosts

CANARY, SWEEP, WATCH, TICK, SKEW = "canary:", "sweep:", "watch:", "beat", "skew:"
TRIED, SWEEP_NEAR = "tried:", "sweep."
ALERTS, DEFAULT = "alerts", "default"
TICK_TASK = "healing.tasks.dispatch_checks"
SKEWED = timedelta(seconds=30)
"""A clock that differs by more from the database's is told of."""
SKEW_STANDS = timedelta(seconds=90)
"""So long a process's word about its clock counts; it is said again every half a minute."""


def process_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def sweeper_name(queues: Collection[str]) -> str:
    """The sign of a sweeper; of those near engines another, because they do not stand in for the common one."""
    return (
        f"{SWEEP_NEAR}{'.'.join(sorted(queues))}:{process_name()}"[:200]
        if queues
        else f"{SWEEP}{process_name()}"
    )


def swept_near(at: Mapping[str, datetime]) -> dict[str, datetime]:
    """The newest sign of the sweepers near engines, by the queue of hosts that they sweep."""
    newest: dict[str, datetime] = {}
    for name, sign in at.items():
        if name.startswith(SWEEP_NEAR):
            for queue in name.removeprefix(SWEEP_NEAR).partition(":")[0].split("."):
                newest[queue] = max(sign, newest.get(queue, sign))
    return newest


def end(name: str) -> None:
    """A part that stops because it was told to is missed by nobody."""
    Heartbeat.objects.filter(name=name).delete()


def wanted_queues() -> list[str]:
    """The queues that somebody has to take from (one statement).

    Those of alerts and of the periodic tasks, and those of the enabled hosts; the common ones of heals and checks where an
    enabled host names no queue, or where there is none yet.
    """
    names = [""] if settings.EMBEDDED else host_queues() or [""]
    of_common_hosts = [HEAL, CHECKS] if "" in names else []
    near_engines = [near(common, name) for name in names if name for common in (HEAL, CHECKS)]
    return [*of_common_hosts, ALERTS, DEFAULT, *near_engines]


def host_queues() -> list[str]:
    """What the enabled hosts say in `queue`, each once."""
    rows: QuerySet[Host] = Host.objects.filter(enabled=True).order_by("queue")
    return sorted(set(rows.values_list("queue", flat=True).distinct()))


def of_parts(now: datetime, silent: timedelta) -> dict[str, datetime]:
    """When each part gave its last sign; those of watchers only where that was `silent` ago (one statement)."""
    few = ~Q(name__startswith=WATCH) | Q(at__lte=now - silent)
    rows = Heartbeat.objects.filter(few).exclude(name__startswith="unserved:")
    return dict(rows.values_list("name", "at"))


def beat_at() -> datetime | None:
    """When any beat sent the tick last, whether or not somebody took it up: beat writes that itself.

    None where it never did, and where a person has disabled the tick: that clears it.
    """
    model = apps.get_model("django_celery_beat", "PeriodicTask")
    rows = model._default_manager.filter(task=TICK_TASK, last_run_at__isnull=False)
    at: datetime | None = rows.order_by("-last_run_at").values_list("last_run_at", flat=True).first()
    return at


@dataclass(frozen=True, slots=True)
class Unwatched:
    """An enabled host that answers, and whose watcher has given no sign lately. `since`: it cannot have been watched longer."""

    name: str
    queue: str
    since: datetime


def unwatched(now: datetime, silent: timedelta) -> list[Unwatched]:
    """One statement; of hosts that do not answer no stream can be held."""
    name = Concat(Value(WATCH), OuterRef("name"))
    fresh = Heartbeat.objects.filter(name=name, at__gt=now - silent)
    rows = Host.objects.filter(enabled=True).exclude(state=HostState.DOWN).exclude(Exists(fresh))
    columns = rows.order_by("name").values_list("name", "queue", "state_since", "created_at")
    return [
        Unwatched(name, "" if settings.EMBEDDED else queue, since or created)
        for name, queue, since, created in columns
    ]


def watched_queues() -> list[str]:
    """The queues of the enabled hosts: each has watchers of its own, the common ones ''."""
    names = host_queues()
    return [""] if settings.EMBEDDED and names else names


def show_skew(now: datetime) -> None:
    """Note that this process's clock is not the database's, where it is not: for an observer to tell."""
    behind = clock.behind()
    if abs(behind) > SKEWED:
        hosts.beat(f"{SKEW}{process_name()}", now, behind=round(behind.total_seconds(), 1))


def skewed(now: datetime) -> dict[str, float]:
    """By how many seconds the clocks of processes are behind that have lately said so; negative: ahead."""
    rows = Heartbeat.objects.filter(name__startswith=SKEW, at__gt=now - SKEW_STANDS)
    return {
        name.removeprefix(SKEW): float(details["behind"])
        for name, details in rows.values_list("name", "details")
    }


def claim_slot(name: str, every: timedelta, now: datetime) -> bool:
    """Whether this is the process to do what is done by one of all, once in `every`."""
    rows = Heartbeat.objects.filter(name=name)
    if rows.filter(at__lte=now - every).update(at=now):
        return True
    return not rows.exists() and Heartbeat.objects.get_or_create(name=name, defaults={"at": now})[1]
