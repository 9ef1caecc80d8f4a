"""Messages that cannot be worked off: kept aside where people see them, told once for each queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from healing.core.alertnames import AlertName
from healing.core.wording import storable
from healing.models import DeadLetter
from healing.pipeline.self_alerts import about_ourselves
from healing.store import troubles
from notifications.core.alert import Alert, AlertKind, AlertLevel
from notifications.outbox import write

TROUBLE = "dead-letters:"
OVER_AFTER = timedelta(minutes=10)
"""Without another for so long, it is over."""
BODY, NAME = 4096, 200
KEPT = 10_000
"""So many are kept at the most, and TRIM_EVERY more for each process that writes them."""
TRIM_EVERY = 500


@dataclass(frozen=True, slots=True)
class Letter:
    """One message: where it came from, what it wanted to be, and why nothing can be done with it."""

    queue: str
    reason: str
    task: str = ""
    task_id: str = ""
    body: str = ""


_untrimmed = TRIM_EVERY
"""Letters that this process has written since it looked whether there are too many; it does with its first."""


def keep(letters: Sequence[Letter], now: datetime) -> None:
    """Put them on record; the first of a queue is told, and the oldest give way."""
    global _untrimmed
    _untrimmed += len(letters)
    with transaction.atomic():
        DeadLetter.objects.bulk_create(_row(letter, now) for letter in letters)
        for queue in sorted({letter.queue for letter in letters}):
            _tell(queue, [letter for letter in letters if letter.queue == queue], now)
        if _untrimmed >= TRIM_EVERY:
            DeadLetter.objects.filter(pk__lte=newest_but(KEPT)).delete()
            _untrimmed = 0


def newest_but(number: int) -> int:
    """The key of the newest letter but so many; 0 where there are no more."""
    return DeadLetter.objects.order_by("-pk").values_list("pk", flat=True)[number : number + 1].first() or 0


def _row(letter: Letter, now: datetime) -> DeadLetter:
    return DeadLetter(
        at=now,
        queue=storable(letter.queue)[:NAME],
        task=storable(letter.task)[:NAME],
        task_id=storable(letter.task_id)[:NAME],
        reason=storable(letter.reason)[:BODY],
        body=storable(letter.body)[:BODY],
    )


def _tell(queue: str, letters: Sequence[Letter], now: datetime) -> None:
    first = letters[0]
    what = f"{first.task or 'a message'}: {first.reason}"[:500]
    text = (
        f"{what}. It was taken out of the queue {queue or 'unknown'} and kept aside (Dead letters in the admin); the others "
        "flow. Somebody else writes to the broker, or processes of different versions run. Told once until ten minutes "
        "pass without another."
    )
    if troubles.open_trouble(f"{TROUBLE}{queue}"[:NAME], text, now):
        title = f"A message in the queue {queue or 'unknown'} cannot be worked off"
        details = {"since": now.isoformat(), "cause": what, "next": "The others flow; this one stays aside."}
        write(_alert(AlertLevel.ERROR, title, text, AlertKind.FIRING, queue, details))


def look_after(now: datetime) -> None:
    """End what has had no successor for OVER_AFTER. One statement where there is none."""
    for key in troubles.open_trouble_keys(TROUBLE):
        queue = key.removeprefix(TROUBLE)
        if DeadLetter.objects.filter(queue=queue, at__gt=now - OVER_AFTER).exists():
            continue
        with transaction.atomic():
            if troubles.end_trouble(key, now):
                title = f"No more messages that cannot be worked off in the queue {queue or 'unknown'}"
                write(_alert(AlertLevel.INFO, title, "", AlertKind.RESOLVED, queue, {}))


def _alert(
    level: AlertLevel, title: str, body: str, kind: AlertKind, queue: str, details: dict[str, str]
) -> Alert:
    name, key = AlertName.DEAD_LETTER, f"{TROUBLE}{queue}"
    return about_ourselves(name, key, level, title, body, kind=kind, details=details, page="deadletter")
