"""What people are told of a breaker: one page when it opens, with a list; one end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from healing.core.alertnames import AlertName
from healing.core.breaker import BreakerMode, Count, is_approved
from healing.core.common import Sufferer, in_common
from healing.core.types import ActionResult
from healing.effective import known_book
from healing.models import FailureRecord, Host
from healing.pipeline import alert_details, alerts
from healing.store import breakers
from healing.store.breaker_counts import Row
from notifications.core.alert import Alert, AlertKind, AlertLevel, Outcome
from notifications.outbox import write

NAMED = 20
"""So many containers are named; the others are counted."""
_JUST_BACK = timedelta(minutes=15)
_DONE = {
    BreakerMode.SLOW_START: "Healing goes on within the slow-start window of each host: fewer at once with each heal that fails.",
    BreakerMode.HOLD: "Nothing is healed there while the breaker is open. It closes by itself when little fails for a minute.",
    BreakerMode.APPROVAL: "Nothing is healed there until a person approves it.",
}


def opened(row: Row, count: Count, failures: Sequence[FailureRecord], now: datetime) -> None:
    """The page: who fails, what they have in common, what is done, and what a person can do."""
    lines = [f"Failing: {_names(sorted({failure.container_name for failure in failures}))}."]
    causes = [f"In common: {sentence}." for sentence in _causes(row, failures, now)]
    lines += [*causes, _done(row, now), f"You can: {'; '.join(_ways(row))}.", _QUIET]
    details = {"since": now.isoformat(), "evidence": lines[: 1 + len(causes)], "next": _done(row, now)}
    _tell(
        row, AlertLevel.CRITICAL, f"{count} of {breakers.name_of(row)} fail at once", lines, details=details
    )


_QUIET = (
    "Alerts below critical about single containers, and their quarantines, are part of this incident and not sent "
    "while it lasts; all records are written."
)


def approval_over(row: Row, count: Count) -> None:
    """The time that a person gave is over, and the storm is not."""
    title = f"The approval for {breakers.name_of(row)} is over, and {count} still fail"
    done = _DONE[BreakerMode.APPROVAL]
    lines = [done, f"You can: {'; '.join(_ways(row))}."]
    _tell(row, AlertLevel.CRITICAL, title, lines, name=AlertName.APPROVAL_OVER, details={"next": done})


def left_over(row: Row, incident_id: int | None, quarantined: Sequence[str]) -> None:
    """The storm is over, and restarting has not helped all of them."""
    number = len(quarantined)
    title = f"{number} container{'s' * (number != 1)} of {breakers.name_of(row)} stay{'s' * (number == 1)} quarantined"
    lines = [
        f"The storm is over, but restarting did not help: {_names(quarantined)}.",
        f"You can: mend what is wrong with them, then run manage.py release {quarantined[0]}.",
        "This ends when none of them is in quarantine any more.",
    ]
    details = {
        "evidence": lines[:1],
        "next": "Each gets one silent trial when its quarantine is over, if it has an end.",
    }
    _tell(
        row,
        AlertLevel.CRITICAL,
        title,
        lines,
        name=AlertName.LEFT_QUARANTINED,
        incident_id=incident_id,
        outcome=Outcome.GAVE_UP,
        details=details,
    )


def over(row: Row, incident_id: int, now: datetime) -> None:
    """The end of the page, with what became of each."""
    members = list(breakers.members(incident_id).values_list("action_result", "resolved_at"))
    became = Counter(_outcome(result, resolved_at) for result, resolved_at in members)
    summary = ", ".join(f"{number} {word}" for word, number in sorted(became.items()))
    title = f"The storm on {breakers.name_of(row)} is over"
    line = f"Of its {len(members)} failures: {summary}."
    _tell(row, AlertLevel.INFO, title, [line], kind=AlertKind.RESOLVED, incident_id=incident_id)


def _outcome(result: str, resolved_at: datetime | None) -> str:
    if resolved_at is None:
        return "still open"
    return "healed" if result == ActionResult.SUCCESS else "ended without a recovery"


def _tell(
    row: Row,
    level: AlertLevel,
    title: str,
    lines: Sequence[str],
    *,
    name: AlertName = AlertName.BREAKER_OPEN,
    kind: AlertKind = AlertKind.FIRING,
    incident_id: int | None = None,
    outcome: Outcome = Outcome.NONE,
    details: Mapping[str, Any] | None = None,
) -> None:
    host = row if isinstance(row, Host) else None
    tenant = known_book().tenant(host.tenant_id) if host else None
    failure_id = incident_id or row.breaker_incident_id
    page = alert_details.page("failurerecord", failure_id) if failure_id else ""
    write(
        Alert(
            level=level,
            title=title,
            body="\n".join(lines),
            kind=kind,
            alertname=name.value,
            host=host.name if host else "",
            tenant_id=host.tenant_id if host else None,
            tenant=tenant.name if tenant else "",
            failure_id=failure_id,
            alert_key=f"breaker:host:{host.pk}" if host else "breaker:fleet",
            depends_on=(alerts.key_of_host(host.pk),) if host else (),
            outcome=outcome,
            details={"cause": title, **(details or {}), "path": page, **_question(row)},
        )
    )


def approval_of(row: Row) -> str:
    """What waits for a person's approval: this opening of the breaker, so that no later one is approved by an old message.

    Empty where nothing waits.
    """
    if row.breaker_mode != BreakerMode.APPROVAL or row.breaker_since is None:
        return ""
    which = f"host:{row.pk}" if isinstance(row, Host) else "fleet"
    return f"breaker:{which}:{int(row.breaker_since.timestamp())}"


def _question(row: Row) -> dict[str, str]:
    what = approval_of(row)
    return {"approval": what} if what else {}


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMED])
    return shown + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _causes(row: Row, failures: Sequence[FailureRecord], now: datetime) -> list[str]:
    found = in_common([_sufferer(row, failure) for failure in failures], now)
    since = row.state_since if isinstance(row, Host) else None
    if since is not None and now - since <= _JUST_BACK:
        found.append(f"the engine has answered only since {since:%H:%M:%S} UTC")
    return found


def _sufferer(row: Row, failure: FailureRecord) -> Sufferer:
    container = failure.container
    return Sufferer(
        name=container.name,
        host="" if isinstance(row, Host) else failure.host_name,
        project=failure.project_name,
        image=container.image,
        message=failure.error_message,
        image_changed_at=container.image_changed_at,
    )


def _done(row: Row, now: datetime) -> str:
    mode = BreakerMode(row.breaker_mode)
    if mode is BreakerMode.APPROVAL and is_approved(breakers.to_core(row), now):
        return f"A person has approved healing until {row.approved_until:%H:%M:%S} UTC."
    return _DONE[mode]


def _ways(row: Row) -> list[str]:
    """The commands that a person can give, the likeliest first."""
    which = row.name if isinstance(row, Host) else "--all"
    scope = f"--host {row.name}" if isinstance(row, Host) else "--all"
    stop = f"hold it: manage.py breaker set {which} --mode hold"
    slow = f"let it heal slowly: manage.py breaker set {which} --mode slow_start"
    own = {
        BreakerMode.SLOW_START: [stop],
        BreakerMode.HOLD: [slow],
        BreakerMode.APPROVAL: [f"approve: manage.py breaker approve {which} --for 1h"],
    }
    pause = f"stop checks and heals: manage.py pause {scope} --for 1h"
    return [*own[BreakerMode(row.breaker_mode)], pause, "heal one: manage.py heal_now NAME"]
