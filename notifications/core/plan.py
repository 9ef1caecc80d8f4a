"""What one group tells one channel at one moment: decided from what the channel was told before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from notifications.core.alert import AlertLevel, Outcome
from notifications.core.dedup import LogEntry, needs_update
from notifications.core.muting import Muted
from notifications.core.noise import Tell, held_back

REPEATED_BY_NOBODY = frozenset({"quarantined"})
"""Alerts that are told once, however long they fire."""
FLAPPING = "!flapping"


@dataclass(frozen=True, slots=True)
class Item:
    """An alert of the group. `token` is what the log remembers of it: another level or name is news, as other labels are in
    Alertmanager; the same is not. `ends_at` is None while it fires.

    `flaps`: how it flaps, in words, else empty; what flaps counts as firing all the while.
    """

    key: str
    level: AlertLevel
    alertname: str
    starts_at: datetime
    ends_at: datetime | None = None
    outcome: Outcome = Outcome.NONE
    is_event: bool = False
    acknowledged: bool = False
    flaps: str = ""
    muted: Muted | None = None

    @property
    def token(self) -> str:
        name = self.alertname.replace("%", "%25").replace("@", "%40")
        return f"{self.key}@{name}/{self.level}{FLAPPING if self.flaps else ''}"

    @property
    def fires(self) -> bool:
        return self.ends_at is None or bool(self.flaps)

    @property
    def repeats(self) -> bool:
        return not self.acknowledged and not self.is_event and self.alertname not in REPEATED_BY_NOBODY


@dataclass(frozen=True, slots=True)
class Audience:
    """What a channel wants to hear."""

    min_level: AlertLevel = AlertLevel.INFO
    tell: Tell = Tell.ALL
    send_resolved: bool = True


@dataclass(frozen=True, slots=True)
class Silent:
    """Why an alert is not told on a channel; `for_digest` where the digest tells it, `final` where it never will be,
    `waits` where it is looked at again when `PATIENCE` is over."""

    reason: str
    for_digest: bool = False
    final: bool = False
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """`send`, and why or why not. `told` are the keys in the message; `silent` says of each other key why it is not in.

    `entry` is what the log is to remember, None where nothing changes. `is_repeat`: nothing is new in it.
    """

    send: bool
    reason: str
    told: frozenset[str] = frozenset()
    silent: Mapping[str, Silent] | None = None
    entry: LogEntry | None = None
    is_repeat: bool = False


def plan(
    items: Sequence[Item],
    audience: Audience,
    entry: LogEntry | None,
    repeat_interval: timedelta,
    now: datetime,
) -> Plan:
    """Alertmanager's de-duplication, and beyond it: the end of what a channel was told is told it, muted or not, and what
    fires unheard stays known for that; what came and went between two messages is told once, as resolved."""
    known = _keys(entry.firing) if entry else frozenset()
    silent: dict[str, Silent] = {}
    firing = [item for item in items if item.fires and _is_heard(item, audience, now, silent)]
    ended = [item for item in items if not item.fires]
    resolved = [item for item in ended if item.key in known]
    passing = [item for item in ended if item.key not in known and _is_heard(item, audience, now, silent)]
    tokens = frozenset(item.token for item in firing)
    unheard = frozenset(item.key for item in items if item.fires and item.key in silent)
    kept = frozenset(token for token in entry.firing if key_of(token) in unheard) if entry else frozenset()
    verdict = needs_update(
        replace(entry, firing=entry.firing - kept) if entry else None,
        tokens,
        frozenset(item.key for item in resolved),
        repeat_interval,
        now,
        send_resolved=audience.send_resolved,
        repeats=any(item.repeats for item in firing),
    )
    if not verdict.send and not passing:
        silent |= {item.key: Silent(verdict.reason) for item in firing}
        silent |= {item.key: Silent(_unsaid(audience), final=True) for item in resolved}
        return Plan(False, verdict.reason, silent=silent, entry=_forget(entry, resolved))
    reason = verdict.reason if verdict.send else "came and went before the group's turn"
    if not audience.send_resolved:
        silent |= {item.key: Silent(_unsaid(audience), final=True) for item in resolved}
    ends = resolved if audience.send_resolved else []
    still = [item for item in firing if item.repeats or not verdict.is_repeat]
    silent |= {item.key: Silent(_unrepeated(item)) for item in firing if item not in still}
    told = frozenset(item.key for item in (*still, *ends, *passing))
    remembered = LogEntry(tokens | kept, frozenset(item.key for item in resolved), now)
    return Plan(bool(told), reason, told, silent, remembered, verdict.is_repeat and not passing)


def _is_heard(item: Item, audience: Audience, now: datetime, silent: dict[str, Silent]) -> bool:
    """Whether the channel is told of it at all; where not, `silent` gets the reason."""
    why = _unheard(item, audience, now)
    if why is not None:
        silent[item.key] = why
    return why is None


def _unheard(item: Item, audience: Audience, now: datetime) -> Silent | None:
    if not item.level.reaches(audience.min_level):
        return Silent(f"no enabled channel takes level {item.level}", final=True)
    if item.muted is not None:
        return Silent(item.muted.reason)
    held = held_back(
        audience.tell, item.alertname, item.level, item.outcome, now - item.starts_at, firing=item.fires
    )
    return Silent(held.reason, held.for_digest, waits=held.waits) if held else None


def _unsaid(audience: Audience) -> str:
    return "unchanged" if audience.send_resolved else "this channel is not told of ends"


def _unrepeated(item: Item) -> str:
    return "acknowledged, so not repeated" if item.acknowledged else "told once, not repeated"


def key_of(token: str) -> str:
    """The alert's key within what the log remembers of it."""
    return token.rpartition("@")[0]


def _keys(tokens: frozenset[str]) -> frozenset[str]:
    return frozenset(map(key_of, tokens))


def _forget(entry: LogEntry | None, resolved: Sequence[Item]) -> LogEntry | None:
    """An end that a channel does not want to hear takes the alert out of what it knows, so that its return is news."""
    if entry is None or not resolved:
        return None
    gone = {item.key for item in resolved}
    firing = frozenset(token for token in entry.firing if key_of(token) not in gone)
    return LogEntry(firing, entry.resolved, entry.sent_at)
