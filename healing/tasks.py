"""Celery faces of the stages. Tasks carry ids; a lost message is found again by the tick, a repeated one finds no claim.

No task has a time limit: Celery has none for threads. What a task waits for ends its waiting: the deadlines of engine
clients and probes, and the database's `lock_timeout`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from celery import current_app, current_task, shared_task
from django.conf import settings
from kombu.exceptions import OperationalError

from healing.core.queues import CHECKS, HEAL, name_of, near
from healing.core.shedding import DEFAULT_RANK
from healing.models import Container, Stage
from healing.pipeline import check, closely, dispatch, liveness, orphans, overload, stages, sweep
from healing.pipeline import unserved as unserved_stage
from healing.store import queues, statuses, worker_signs
from healing.store.clock import db_now
from healing.store.closely import CLOSELY, HAND_OVER
from healing.store.heals import Next
from healing.store.hosts import SHARD_LEASE

logger = logging.getLogger(__name__)

HINT_EXPIRES = 10.0
"""Of hints that the tick sends again: a heal itself never expires, it is in the database."""
CHECK_EXPIRES = SHARD_LEASE - 2
"""Before the claim of the shard ends, so that no check is taken up when another has been sent in its place."""


def send(
    task: Any,
    *args: Any,
    queue: str,
    expires: float | None = None,
    priority: int = DEFAULT_RANK,
    **kwargs: Any,
) -> None:
    """Send a hint. A broker that is away delays what it hints at until the tick finds it, and stops nobody.

    `priority` is a rank: what has 0 is taken first.
    """
    number = settings.MESSAGE_PRIORITIES[priority]
    try:
        task.apply_async(args=args, kwargs=kwargs, queue=queue, expires=expires, priority=number)
    except (OperationalError, ConnectionError, OSError) as error:
        logger.warning("broker unreachable: %s", error, extra={"action": "hint_lost", "task": task.name})


def reach_broker() -> None:
    """Connect for sending, so that the first hint does not wait for it. One that is away is met again by that."""
    try:
        with current_app.producer_or_acquire() as producer:
            producer.connection.ensure_connection(max_retries=1)
            producer.maybe_declare(current_app.amqp.queues[HEAL])
    except (OperationalError, ConnectionError, OSError) as error:
        logger.warning("broker unreachable: %s", error, extra={"action": "broker_unreached"})


def send_next(
    following: Next | None, *, early: bool = False, expires: float | None = None, queue: str | None = None
) -> None:
    """Have the next stage of a heal done now. What the tick will find again anyway may expire in a queue.

    `queue` is the name of the queue of the host that it follows from; without it that of the running task. Where there is
    neither, or the heal is of a host elsewhere, its own host's is read from the database.
    """
    if following is None:
        return
    if following.elsewhere:
        queue = None
    elif queue is None:
        queue = _name_here()
    if queue is None:
        queue = queues.of_failures([following.failure_id]).get(following.failure_id, "")
    task = _STAGES[following.stage]
    extra = {"early": True} if early and following.stage is Stage.VERIFY else {}
    target = near(HEAL, queue)
    send(task, following.failure_id, queue=target, expires=expires, priority=following.priority, **extra)


def _queue_here() -> str:
    """The queue that the running task came by; empty outside of a worker."""
    info = current_task.request.delivery_info if current_task else None
    return str((info or {}).get("routing_key") or "")


def _name_here() -> str | None:
    """The name of the host queue that the running task came by; None where it did not come for a host."""
    queue = _queue_here()
    return name_of(queue) if queue.partition(".")[0] in (HEAL, CHECKS) else None


@shared_task(name="healing.tasks.dispatch_checks")
def dispatch_checks() -> None:
    """Beat's tick: one task for each host and shard that is due, and the heals that are due."""
    unserved = unserved_stage.look_after(db_now())
    work = dispatch.tick([name_of(queue) for queue in unserved if queue.partition(".")[0] == HEAL])
    _send_checks(work.shards, unserved)
    _send_heals(work.heals, unserved)
    overload.tell(work.news, db_now())


def _send_checks(shards: Sequence[tuple[int, int, int]], unserved: Collection[str]) -> None:
    """Where nobody takes them, one at a time is enough to find out when somebody does: the rest would pile up."""
    names = queues.of_hosts(host_id for host_id, *_ in shards) if shards else {}
    tried: set[str] = set()
    for host_id, number, priority in shards:
        task: Any = probe_closely if number == CLOSELY else check_containers
        queue = near(HEAL if number == CLOSELY else CHECKS, names.get(host_id, ""))
        if queue in tried:
            continue
        if queue in unserved:
            tried.add(queue)
        arguments = (host_id,) if number == CLOSELY else (host_id, number)
        send(task, *arguments, queue=queue, expires=CHECK_EXPIRES, priority=priority)


def _send_heals(due: Sequence[Next], unserved: Collection[str]) -> None:
    names = queues.of_failures(following.failure_id for following in due) if due else {}
    tried: set[str] = set()
    for following in due:
        name = names.get(following.failure_id, "")
        if name in tried:
            continue
        if near(HEAL, name) in unserved:
            tried.add(name)
        # Each tick finds them again: without an end, the hints of busy minutes would pile up.
        send_next(following, expires=HINT_EXPIRES, queue=name)


@shared_task(name="healing.tasks.check_containers")
def check_containers(
    host_id: int,
    shard: int | None = None,
    container_ids: Sequence[int] | None = None,
    by_event: bool = False,
    with_probes: bool = False,
    counted: int = 0,
    event_at: str | None = None,
) -> None:
    """Check a shard's due containers, or these now, after `counted` failures in a row, or as an event of that time asks."""
    with worker_signs.at_work(_queue_here()):
        if container_ids is None:
            _check_shard(host_id, shard or 0)
            return
        found = check.check_some(
            host_id,
            container_ids,
            by_event=by_event,
            with_probes=with_probes,
            counted=counted,
            event_at=datetime.fromisoformat(event_at) if event_at else None,
        )
        _pass_on(found)


def _check_shard(host_id: int, number: int) -> None:
    with worker_signs.held(host_id, number) as begun_at:
        if begun_at is not None:
            sweep.check_shard(host_id, number, _pass_on, begun_at)


def _pass_on(found: Sequence[Next]) -> None:
    for following in found:
        send_next(following, early=True)


@shared_task(name="healing.tasks.probe_closely")
def probe_closely(host_id: int, counts: Sequence[closely.Count] = ()) -> None:
    """Loop over the probes of a host whose intervals are shorter than those of the checks."""
    with worker_signs.at_work(_queue_here()):
        closely.run(host_id, closely.Outward(_check_probed, _probe_on), counts)


def _check_probed(host_id: int, container_ids: Sequence[int], counted: int) -> None:
    queue = near(HEAL, queues.of_hosts([host_id]).get(host_id, ""))
    ids = list(container_ids)
    send(
        check_containers,
        host_id,
        queue=queue,
        expires=HINT_EXPIRES,
        priority=statuses.most_important(ids),
        container_ids=ids,
        with_probes=True,
        counted=counted,
    )


def _probe_on(host_id: int, counts: Sequence[closely.Count]) -> None:
    queue = near(HEAL, queues.of_hosts([host_id]).get(host_id, ""))
    send(probe_closely, host_id, list(counts), queue=queue, expires=HAND_OVER)


@shared_task(name="healing.tasks.diagnose")
def diagnose(failure_id: int) -> None:
    """Name the cause, decide, and write the intent."""
    _run(Stage.DIAGNOSE, failure_id)


@shared_task(name="healing.tasks.observe")
def observe(failure_id: int) -> None:
    """Look again at a failure that is watched and not touched."""
    _run(Stage.OBSERVE, failure_id)


@shared_task(name="healing.tasks.restart")
def restart(failure_id: int) -> None:
    """Make the attempt's one engine call."""
    _run(Stage.RESTART, failure_id)


@shared_task(name="healing.tasks.recreate")
def recreate(failure_id: int) -> None:
    """Make the attempt's container anew, as `restart` restarts it."""
    _run(Stage.RECREATE, failure_id)


@shared_task(name="healing.tasks.verify")
def verify(failure_id: int, early: bool = False) -> None:
    """Find out whether the attempt has worked."""
    _run(Stage.VERIFY, failure_id, early=early)


@shared_task(name="healing.tasks.send_canaries")
def send_canaries() -> None:
    """One message through each queue that somebody has to take from, seldom where nobody does."""
    now = db_now()
    for queue, waits in liveness.canaries(now).items():
        send(canary, queue, now.isoformat(), queue=queue, expires=waits.total_seconds(), priority=0)


@shared_task(name="healing.tasks.canary")
def canary(queue: str, sent_at: str) -> None:
    """Show that what is sent through a queue arrives, and how soon."""
    worker_signs.serve(queue)
    liveness.arrived(queue, datetime.fromisoformat(sent_at), db_now())


@shared_task(name="healing.tasks.prune_history")
def prune_history(keep_days: int = 90) -> dict[str, int]:
    """Delete closed records older than `keep_days`."""
    from healing.retention import prune

    return prune(db_now(), keep_days)


@shared_task(name="healing.tasks.end_orphaned_alerts")
def end_orphaned_alerts() -> None:
    """End the alerts about what is no longer watched."""
    orphans.end()


@shared_task(name="healing.tasks.send_digest")
def send_digest() -> None:
    """Send the daily and the weekly digest where one is due and nobody has."""
    from healing.digest import send_due

    send_due(db_now(), settings.SELFHEAL_DIGEST_TIMEZONE)


_STAGES: dict[Stage, Any] = {
    Stage.DIAGNOSE: diagnose,
    Stage.RESTART: restart,
    Stage.RECREATE: recreate,
    Stage.VERIFY: verify,
    Stage.OBSERVE: observe,
}


def _run(stage: Stage, failure_id: int, *, early: bool = False) -> None:
    name = _name_here()
    with worker_signs.at_work(_queue_here()), queues.only(None if name is None else (name,)):
        following = stages.run(stage, failure_id, early=early)
        extra = {"action": "stage_done", "failure": failure_id, "stage": stage.value}
        logger.debug("stage done", extra=extra)
        for each in following:
            send_next(each)


def check_now(
    container_ids: Sequence[int],
    *,
    by_event: bool = False,
    event_at: datetime | None = None,
    with_probes: bool = True,
) -> None:
    """Hint: check these containers at once, one task for each host.

    What an event of `event_at` asks for is found by the next sweep as well, and expires.
    """
    extra = {"event_at": event_at.isoformat()} if event_at is not None else {}
    by_host: dict[tuple[int, str], list[int]] = {}
    ranks: dict[int, int] = {}
    rows = Container.objects.filter(pk__in=container_ids)
    for host_id, name, pk, its_rank in rows.values_list("host_id", "host__queue", "pk", "health__priority"):
        by_host.setdefault((host_id, "" if settings.EMBEDDED else name), []).append(pk)
        known = DEFAULT_RANK if its_rank is None else its_rank
        ranks[host_id] = min(known, ranks.get(host_id, known))
    for (host_id, name), ids in by_host.items():
        send(
            check_containers,
            host_id,
            queue=near(HEAL if by_event else CHECKS, name),
            expires=HINT_EXPIRES if by_event else None,
            container_ids=ids,
            by_event=by_event,
            with_probes=with_probes,
            priority=ranks[host_id],
            **extra,
        )
