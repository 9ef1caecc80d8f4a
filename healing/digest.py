"""What a day or a week was like, and when that is told."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo

from healing.core import stats
from healing.core.limits import is_first
from healing.core.periods import latest
from healing.core.types import ActionKind, ActionResult
from healing.models import AttemptState
from healing.pipeline.alert_details import page
from healing.store import digest_figures
from healing.store.digest_figures import Found, Made
from notifications import digests
from notifications.core.digest import DigestFigures, DigestKind, HealedAtFirst, WorstContainer

WORST = 5
NAMED = 50
"""So many containers that were healed at the first attempt are named at the most, the most frequent ones."""
GAVE_UP = ("quarantined: ", "set aside: ")
"""The reasons begin so that close a failure which healing has given up."""
_CLOCKS_DIFFER = timedelta(seconds=1)

logger = logging.getLogger(__name__)


def send_due(now: datetime, zone: tzinfo) -> list[DigestKind]:
    """Send the digests of the day and the week that ended last, each once whoever else tries; those that were sent.

    What ended while Selfheal was away is told late, but for the last of each kind only. A digest that no channel wants is
    passed over for good, so that who begins to want one gets the next.
    """
    sent = []
    for kind in DigestKind:
        start, end = latest(now, zone, weekly=kind is DigestKind.WEEKLY)
        if digests.is_made(kind, start):
            continue
        if not digests.is_wanted(kind):
            digests.pass_over(kind, start, now)
        elif channels := digests.send(figures(kind, start, end), now):
            sent.append(kind)
            extra = {"action": "digest_made", "kind": kind.value, "channels": channels}
            logger.info("%s digest made for %d channels", kind.value, channels, extra=extra)
    return sent


def figures(
    kind: DigestKind | str, start: datetime, end: datetime, tenant_id: int | None = None
) -> DigestFigures:
    """The figures of the time from `start` to before `end`, of all or of one tenant (four statements)."""
    found = list(digest_figures.found(start, end, tenant_id))
    attempts: dict[int, list[Made]] = defaultdict(list)
    for attempt in digest_figures.made(start, end, tenant_id):
        attempts[attempt.failure_id].append(attempt)
    healed = [failure for failure in found if _is_healed(failure)]
    told = digests.told(start, end, tenant_id)
    return DigestFigures(
        kind=DigestKind(kind),
        start=start,
        end=end,
        failures=len(found),
        healed=len(healed),
        healed_at_first=_at_first(healed, attempts),
        gave_up=sum(1 for failure in found if failure.reason.startswith(GAVE_UP) and not failure.is_trial),
        restarts=sum(_calls(made) for made in attempts.values()),
        mttd=stats.mean(stats.seconds_between(_detections(found))),
        mttr=stats.mttr(
            (failure.detected_at, failure.resolved_at) for failure in healed if failure.resolved_at
        ),
        mtbf=stats.mtbf(found[0].detected_at, found[-1].detected_at, len(found)) if found else None,
        worst=_worst(found, attempts, end),
        sent=told.sent,
        muted=told.muted,
        held=told.held,
        path=page("failurerecord"),
    )


def _is_healed(failure: Found) -> bool:
    """Ended well, by an action."""
    acted = failure.action not in (ActionKind.ALERT, ActionKind.NONE)
    return acted and failure.resolved_at is not None and failure.result == ActionResult.SUCCESS


def _calls(made: Iterable[Made]) -> int:
    return sum(1 for attempt in made if attempt.is_called)


def _at_first(healed: Iterable[Found], attempts: Mapping[int, Sequence[Made]]) -> tuple[HealedAtFirst, ...]:
    """The containers that were healed by the first attempt in a row, the most frequent first."""
    times = Counter(
        (failure.name, failure.host) for failure in healed if _was_first(attempts.get(failure.pk, ()))
    )
    ordered = sorted(times.items(), key=lambda item: (-item[1], item[0]))
    return tuple(HealedAtFirst(name, host, number) for (name, host), number in ordered[:NAMED])


def _was_first(made: Sequence[Made]) -> bool:
    withdrawn = sum(1 for attempt in made if attempt.state == AttemptState.WITHDRAWN)
    return (
        bool(made) and made[-1].state == AttemptState.SUCCEEDED and is_first(made[-1].row_number, withdrawn)
    )


def _detections(found: Iterable[Found]) -> list[tuple[datetime, datetime]]:
    """From when each began to fail until it was found; one that was found failing before it ended says nothing."""
    return [
        (failure.failed_at, failure.detected_at)
        for failure in found
        if failure.failed_at is not None and failure.failed_at <= failure.detected_at + _CLOCKS_DIFFER
    ]


def _worst(
    found: Iterable[Found], attempts: Mapping[int, Sequence[Made]], end: datetime
) -> tuple[WorstContainer, ...]:
    """Those that failed most often, of these those that were down for longest; what still fails does until `end`."""
    of_container: dict[int, list[Found]] = defaultdict(list)
    for failure in found:
        of_container[failure.container_id].append(failure)
    rows = [
        WorstContainer(
            name=failures[-1].name,
            host=failures[-1].host,
            failures=len(failures),
            restarts=sum(_calls(attempts.get(failure.pk, ())) for failure in failures),
            downtime=sum(
                stats.seconds_between(
                    (each.detected_at, min(each.resolved_at or end, end)) for each in failures
                )
            ),
        )
        for failures in of_container.values()
    ]
    rows.sort(key=lambda row: (-row.failures, -row.downtime, row.name, row.host))
    return tuple(rows[:WORST])
