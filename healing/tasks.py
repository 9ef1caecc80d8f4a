"""Celery faces of the stages. Tasks carry ids; a lost message is found again by the tick, a repeated one finds no claim."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from celery import shared_task
from kombu.exceptions import OperationalError

from healing.models import Container, Stage
from healing.pipeline import check, diagnosing, dispatch, restarting, verifying
from healing.store.heals import Next, StaleFence
from healing.store.hosts import SHARD_LEASE

logger = logging.getLogger(__name__)

HEAL_QUEUE = "heal"
CHECK_QUEUE = "checks"
CHECK_LIMIT = 120
STAGE_LIMIT = 300
HINT_EXPIRES = 10.0


def send(task: Any, *args: Any, queue: str, expires: float | None = None, **kwargs: Any) -> None:
    """Send a hint. A broker that is away delays what it hints at until the tick finds it, and stops nobody."""
    try:
        task.apply_async(args=args, kwargs=kwargs, queue=queue, expires=expires)
    except (OperationalError, ConnectionError, OSError) as error:
        logger.warning("broker unreachable: %s", error, extra={"action": "hint_lost", "task": task.name})


def send_next(following: Next | None, *, early: bool = False, expires: float | None = None) -> None:
    """Have the next stage of a heal done now. What the tick will find again anyway may expire in a queue."""
    if following is None:
        return
    task = _STAGES[following.stage]
    extra = {"early": True} if early and following.stage is Stage.VERIFY else {}
    send(task, following.failure_id, queue=HEAL_QUEUE, expires=expires, **extra)


@shared_task(name="healing.tasks.dispatch_checks", time_limit=60, soft_time_limit=50)
def dispatch_checks() -> None:
    """Beat's tick: one task for each host and shard that is due, and the heals that are due."""
    work = dispatch.tick()
    for host_id, number in work.shards:
        send(check_containers, host_id, number, queue=CHECK_QUEUE, expires=SHARD_LEASE)
    for following in work.heals:
        # Each tick finds them again: without an end, the hints of busy minutes would pile up.
        send_next(following, expires=HINT_EXPIRES)


@shared_task(name="healing.tasks.check_containers", time_limit=CHECK_LIMIT, soft_time_limit=CHECK_LIMIT - 10)
def check_containers(
    host_id: int,
    shard: int | None = None,
    container_ids: Sequence[int] | None = None,
    by_event: bool = False,
    with_probes: bool = False,
) -> None:
    """Check a shard's due containers, or these containers now."""
    if container_ids is not None:
        found = check.check_some(host_id, container_ids, by_event=by_event, with_probes=with_probes)
    else:
        found = check.check_shard(host_id, shard or 0)
    for following in found:
        send_next(following, early=True)


@shared_task(name="healing.tasks.diagnose", time_limit=STAGE_LIMIT, soft_time_limit=STAGE_LIMIT - 10)
def diagnose(failure_id: int) -> None:
    """Name the cause, decide, and write the intent."""
    _run(diagnosing.run, failure_id)


@shared_task(name="healing.tasks.observe", time_limit=STAGE_LIMIT, soft_time_limit=STAGE_LIMIT - 10)
def observe(failure_id: int) -> None:
    """Look again at a failure that is watched and not touched."""
    _run(diagnosing.observe, failure_id)


@shared_task(name="healing.tasks.restart")
def restart(failure_id: int) -> None:
    """Make the attempt's one engine call. Its time is limited by the engine client: killing it would lose the answer."""
    _run(restarting.run, failure_id)


@shared_task(name="healing.tasks.verify", time_limit=STAGE_LIMIT, soft_time_limit=STAGE_LIMIT - 10)
def verify(failure_id: int, early: bool = False) -> None:
    """Find out whether the attempt has worked."""
    _run(lambda pk: verifying.run(pk, early=early), failure_id)


@shared_task(name="healing.tasks.prune_history", time_limit=3600)
def prune_history(keep_days: int = 90) -> dict[str, int]:
    """Delete closed records older than `keep_days`."""
    from healing.retention import prune
    from healing.store.clock import db_now

    return prune(db_now(), keep_days)


_STAGES: dict[Stage, Any] = {
    Stage.DIAGNOSE: diagnose,
    Stage.RESTART: restart,
    Stage.VERIFY: verify,
    Stage.OBSERVE: observe,
}


def _run(stage: Callable[[int], Next | None], failure_id: int) -> None:
    try:
        following = stage(failure_id)
    except StaleFence as stale:
        logger.warning("%s", stale, extra={"action": "stale_fence", "failure": failure_id})
        return
    send_next(following)


def check_now(container_ids: Sequence[int], *, by_event: bool = False, with_probes: bool = True) -> None:
    """Hint: check these containers at once, one task for each host."""
    by_host: dict[int, list[int]] = {}
    for host_id, pk in Container.objects.filter(pk__in=container_ids).values_list("host_id", "pk"):
        by_host.setdefault(host_id, []).append(pk)
    for host_id, ids in by_host.items():
        send(
            check_containers,
            host_id,
            queue=HEAL_QUEUE if by_event else CHECK_QUEUE,
            container_ids=ids,
            by_event=by_event,
            with_probes=with_probes,
        )
