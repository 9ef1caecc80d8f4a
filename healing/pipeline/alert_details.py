"""What a person needs to know at 3 a.m., as plain JSON beside an alert: what was seen, tried, and comes next.

Made of what the caller has loaded; no statement is made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from healing.core.exitcodes import meaning
from healing.core.types import EngineState, ProbeVerdict
from healing.core.wording import duration
from healing.models import Attempt, AttemptState, FailureRecord

LINE, OUTPUT = 500, 2000
"""So many characters of a log line and of a health command's output are told."""
TRIED = 20
"""So many attempts are told, the last ones."""
_TIME = "%Y-%m-%d %H:%M:%S"
_DONE = {"restart": "restarted", "recreate": "recreated"}
_RESULTS = {
    AttemptState.SUCCEEDED: "worked",
    AttemptState.FAILED: "did not help",
    AttemptState.WITHDRAWN: "not done",
}


def page(model: str, pk: object = None) -> str:
    """The path of the admin's page about a row of `healing`, or of the list of them.

    Written out, because looking it up would load all pages into every worker.
    """
    return f"/admin/healing/{model}/" + (f"{pk}/change/" if pk is not None else "")


def of_failure(failure: FailureRecord, attempts: Iterable[Attempt], next_step: str) -> dict[str, Any]:
    """The details of an alert about a failure."""
    seen: Mapping[str, Any] = failure.details
    details: dict[str, Any] = {
        "since": failure.detected_at.isoformat(),
        "cause": failure.cause or failure.error_message,
        "evidence": evidence(failure),
        "log_tail": [str(line)[:LINE] for line in seen.get("logs") or ()],
        "health_output": str(seen.get("health_output") or "").strip()[:OUTPUT],
        "tried": tried(attempts),
        "next": next_step,
        "path": page("failurerecord", failure.pk),
    }
    return {name: value for name, value in details.items() if value}


def evidence(failure: FailureRecord) -> list[str]:
    """What the cause was told from, a sentence each."""
    seen: Mapping[str, Any] = failure.details
    found = [failure.error_message] if failure.error_message else []
    if seen.get("state") == EngineState.EXITED and seen.get("exit_code") is not None:
        how = meaning(int(seen["exit_code"]))
        if how.lower() not in failure.error_message.lower():
            found.append(f"Its process has ended: {how}.")
    if seen.get("engine_error"):
        found.append(f"The engine says: {seen['engine_error']}")
    probes = seen.get("probes") or seen.get("probes_at_detection") or ()
    found += [
        f"Probe {each['name']}: {each['message']}"
        for each in probes
        if each["verdict"] == ProbeVerdict.FAILED
    ]
    if image := seen.get("image_change"):
        found.append(f"Its image was changed at {image['at'][:19].replace('T', ' ')} UTC.")
    first = seen.get("first") or {}
    if first and first.get("cause") != failure.cause:
        found.append(f"It began as {first['cause']}: {first['message']}")
    return list(dict.fromkeys(line[:LINE] for line in found))


def tried(attempts: Iterable[Attempt]) -> list[dict[str, Any]]:
    """What was done, the first attempt first: action, time, state of the attempt, why, seconds until that was known."""
    return [
        {
            "action": attempt.action,
            "at": _began(attempt).isoformat(),
            "result": str(attempt.state),
            "why": (attempt.outcome or attempt.answer)[:LINE],
            "seconds": _seconds(attempt),
        }
        for attempt in list(attempts)[-TRIED:]
    ]


def story(failure: FailureRecord, attempts: Sequence[Attempt], ended: datetime) -> list[str]:
    """A failure that is over, so that somebody understands who has never heard of it: what, why, what was done, how long."""
    lasted = max((ended - failure.detected_at).total_seconds(), 0.0)
    what = failure.error_message or failure.cause
    cause = f"{failure.cause}: " if failure.cause and failure.cause.lower() not in what.lower() else ""
    done = "; ".join(_sentence(attempt) for attempt in attempts[-TRIED:])
    return [
        f"It failed at {failure.detected_at:{_TIME}} UTC: {cause}{what}",
        f"Done: {done}." if done else "Done: nothing by Selfheal.",
        f"It was failing for {duration(lasted)}.",
    ]


def after_attempt(attempt: Attempt, until: datetime) -> str:
    """What follows an attempt that is being verified until then."""
    look = f"Selfheal sees by {until:%H:%M:%S} UTC whether that has worked"
    if attempt.budget_spent >= attempt.budget_limit:
        return (
            f"{look}; if not, the budget of {attempt.budget_limit} attempts is spent and it is quarantined."
        )
    return f"{look}; if not, attempt {attempt.budget_spent + 1} of at most {attempt.budget_limit} follows."


def after_refusal(attempt: Attempt) -> str:
    """What follows an attempt that the engine has refused."""
    if attempt.budget_spent >= attempt.budget_limit:
        return (
            f"The budget of {attempt.budget_limit} attempts is spent: it is quarantined unless it recovers."
        )
    return f"Attempt {attempt.budget_spent + 1} of at most {attempt.budget_limit} follows after a pause."


def again_at(at: datetime | None, what: str = "Selfheal decides again") -> str:
    return f"{what} at {at:%H:%M:%S} UTC." if at is not None else f"{what} in a moment."


def while_observed(failure: FailureRecord, restart_window: float, now: datetime) -> str:
    """What follows while people are told and nothing is touched."""
    critical_at = failure.detected_at + timedelta(seconds=restart_window)
    text = "Nothing is touched; Selfheal goes on looking and tells when it is over"
    return (
        f"{text}, and as critical if it lasts until {critical_at:%H:%M:%S} UTC."
        if now < critical_at
        else f"{text}."
    )


def _began(attempt: Attempt) -> datetime:
    return attempt.called_at or attempt.intent_at


def _seconds(attempt: Attempt) -> float | None:
    ended = attempt.ended_at or attempt.answered_at
    return round(max((ended - _began(attempt)).total_seconds(), 0.0), 1) if ended is not None else None


def _sentence(attempt: Attempt) -> str:
    state = AttemptState(attempt.state)
    why = attempt.outcome or attempt.answer
    result = _RESULTS.get(state, "under way") + (f" ({why})" if why else "")
    return f"{_DONE.get(attempt.action, attempt.action)} at {_began(attempt):%H:%M:%S} UTC, {result}"
