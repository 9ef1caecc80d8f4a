"""What may have ended its workers: each is tried alone before it is set aside or paused.

A process that dies loses all that it had in hand at once. Taken up together again and again, the innocent would share the
end of the guilty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db.models import Exists, Q

from healing.models import CheckShard, FailureRecord, Host

DEADLY = 3
"""So many workers in a row that took something up and never came back: it is what has ended them."""
_LAST_LIFE = Q(lost_claims=DEADLY - 1, lease_until=None) | Q(
    lost_claims=DEADLY - 2, lease_until__isnull=False
)
"""Not given back once more, it is set aside."""
DEADLY_PAUSE, LONGEST_DEADLY_PAUSE = 60.0, 3600.0
_GOLDEN = 0.618034
"""Multiples of it, without their whole numbers, are spread evenly."""


def is_let(now: datetime) -> Q:
    """No other of its kind is under way, where this is a heal's last life. The database asks that for no others."""
    others = FailureRecord.objects.filter(
        is_found=True, resolved_at__isnull=True, lost_claims=DEADLY - 1, lease_until__gt=now
    )
    return Q(lost_claims=0) | ~_LAST_LIFE | Q(~Exists(others))


def one_last_life(rows: Iterable[FailureRecord]) -> list[FailureRecord]:
    """Without all but one of those that go alone, so that they do not set out at the same moment."""
    found: list[FailureRecord] = []
    has_one = False
    for row in rows:
        is_last = row.lost_claims + (row.lease_until is not None) == DEADLY - 1
        if not (is_last and has_one):
            found.append(row)
        has_one = has_one or is_last
    return found


def was_left(shard: CheckShard) -> bool:
    """Taken up by a worker and never given back; asked of what nobody has in hand."""
    return shard.lease_until is not None and shard.begun_at is not None


def lost_of(shard: CheckShard) -> int:
    """Workers that it may have ended, as its next claim counts them."""
    return shard.lost_claims + was_left(shard)


def each_alone(shards: Sequence[CheckShard], now: datetime) -> list[CheckShard]:
    """Without those that have ended DEADLY - 1 workers, but for one of each queue, where none is being checked there.

    What a process had in hand when it died is lost together; in step, the innocent would be paused with the guilty.
    """
    suspects = [shard for shard in shards if lost_of(shard) >= DEADLY - 1]
    if not suspects:
        return list(shards)
    live = CheckShard.objects.filter(lost_claims__gte=DEADLY - 1, lease_until__gt=now)
    busy = set(live.exclude(pk__in=[shard.pk for shard in suspects]).values_list("host__queue", flat=True))
    of_suspects = Host.objects.filter(pk__in={shard.host_id for shard in suspects})
    queue_of = dict(of_suspects.values_list("pk", "queue"))
    waiting = set()
    for shard in suspects:
        queue = queue_of[shard.host_id]
        if queue in busy:
            waiting.add(shard.pk)
        busy.add(queue)
    return [shard for shard in shards if shard.pk not in waiting]


def pause_shard(shard: CheckShard, now: datetime) -> None:
    """Longer each time, and up to a quarter shorter, differently for each: what was paused together comes back apart."""
    lost = lost_of(shard)
    seconds = min(DEADLY_PAUSE * 2.0 ** min(lost - DEADLY, 20), LONGEST_DEADLY_PAUSE)
    due_at = now + timedelta(seconds=seconds * (1 - 0.25 * (shard.pk * _GOLDEN % 1)))
    CheckShard.objects.filter(pk=shard.pk).update(
        lease_until=None, begun_at=None, lost_claims=lost, next_due_at=due_at
    )
