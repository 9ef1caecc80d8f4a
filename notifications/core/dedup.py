"""Whether a channel must hear of a group again, by what it heard last. As Alertmanager's de-duplication."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What a channel was told of a group last: the keys that fired, those that had resolved, and when."""

    firing: frozenset[str]
    resolved: frozenset[str]
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to tell the channel now, and why or why not."""

    send: bool
    reason: str
    is_repeat: bool = False


FIRST = Verdict(True, "first notification of the group")
NEW = Verdict(True, "new alerts fire")
ALL_RESOLVED = Verdict(True, "all resolved")
SOME_RESOLVED = Verdict(True, "some resolved")
NOTHING = Verdict(False, "nothing fires, and nothing was told")
CAME_AND_WENT = Verdict(False, "came and went between two notifications")


def needs_update(
    entry: LogEntry | None,
    firing: frozenset[str],
    resolved: frozenset[str],
    repeat_interval: timedelta,
    now: datetime,
    *,
    send_resolved: bool,
    repeats: bool = True,
) -> Verdict:
    """Compare what the group is now with what the channel was told last; `entry` is None where it never was.

    `all resolved` is the verdict also for a channel that takes no resolutions: it is sent nothing, but the log must
    be written, or the same alert would not be told when it fires again. Without `repeats` an unchanged group is not
    told again.
    """
    if entry is None:
        return FIRST if firing else NOTHING
    if not firing <= entry.firing:
        return NEW if entry.firing else FIRST
    if not firing:
        return ALL_RESOLVED if entry.firing else CAME_AND_WENT
    if send_resolved and not resolved <= entry.resolved:
        return SOME_RESOLVED
    if repeats and now - entry.sent_at > repeat_interval:
        return Verdict(True, f"unchanged; repeated after {_length(repeat_interval)}", is_repeat=True)
    since = entry.sent_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Verdict(False, f"unchanged since {since}")


def _length(span: timedelta) -> str:
    """Such as `4 h` or `90 s`: in the largest unit that leaves nothing over."""
    seconds = round(span.total_seconds())
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
