"""Are all parts of Selfheal alive? Read from the signs that they leave in the database, by the database's time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings

from healing.core.liveness import SILENT, Part
from healing.core.queues import common_of, name_of
from healing.store import hosts, signs
from healing.store.queues import SIGN as SERVED
from healing.store.signs import CANARY, DEFAULT, SWEEP, TICK, WATCH, Unwatched

DATABASE, BROKER, BEAT, TICKS, SWEEPER = "database", "broker", "beat", "tick", "sweeper"
QUEUE = "queue:"
"""The name of a queue's part begins so."""
_NAMED = 5
UNANSWERED, SELDOM = timedelta(seconds=60), timedelta(seconds=30)
PATIENCE, RARELY = timedelta(minutes=5), timedelta(hours=1)
EXPIRES = timedelta(seconds=10)
"""A canary is worth nothing after that where the next one follows it; elsewhere it waits for whoever comes back."""


def parts(now: datetime) -> list[Part]:
    """All parts but the database, which has just been asked (five statements; six where sweepers near engines have signed)."""
    at = signs.of_parts(now, SILENT)
    return [
        broker(at.get(BROKER)),
        *_beat(at.get(TICK)),
        _tick(at.get(TICK)),
        *(_queue(name, _served_at(name, at)) for name in signs.wanted_queues()),
        *_watchers(now, at),
        _sweeper(at),
        *_sweepers_near(at),
    ]


def canaries(now: datetime) -> dict[str, timedelta]:
    """The queues to send a canary through, and how long it is to wait for a worker.

    Where none has come back for a while, once in SELDOM, and after PATIENCE at pauses that double up to RARELY: what nobody
    takes would pile up. It waits for longer than that, so that a worker that comes back finds one.
    """
    at = signs.of_parts(now, SILENT)
    found = {}
    for queue in signs.wanted_queues():
        sign = at.get(f"{CANARY}{queue}")
        if sign is not None and now - sign <= UNANSWERED:
            found[queue] = EXPIRES
        elif _is_tried(queue, at, now):
            found[queue] = 2 * RARELY
    return found


def _is_tried(queue: str, at: Mapping[str, datetime], now: datetime) -> bool:
    """Whether a queue that gives no sign is sent one more canary now, by this process."""
    sign, tried, served = (at.get(f"{kind}{queue}") for kind in (CANARY, signs.TRIED, SERVED))
    pause = min(tried - sign, RARELY) if tried is not None and sign is not None else RARELY
    if pause < PATIENCE or (served is not None and now - served <= UNANSWERED):
        pause = SELDOM
    return (tried is None or now - tried >= pause) and signs.claim_slot(f"{signs.TRIED}{queue}", pause, now)


def arrived(queue: str, sent_at: datetime, now: datetime) -> None:
    """A canary has come through a queue."""
    latency = round(max((now - sent_at).total_seconds(), 0.0), 3)
    hosts.beat(f"{CANARY}{queue}", now, latency=latency, by=signs.process_name())


def database(at: datetime | None) -> Part:
    advice = "Start the database, or see why it does not answer; nothing is decided and nothing done until it does."
    return Part(DATABASE, at, "The database does not answer", advice)


def full_database() -> Part:
    """The database as one that answers and refuses to write."""
    advice = (
        "Make room on its disk, or see what ails it; nothing new is decided and nothing done until it writes."
    )
    return Part(DATABASE, None, "The database cannot write", advice)


def broker(at: datetime | None) -> Part:
    advice = "Start the broker, or see why it does not answer. Meanwhile the sweeper checks and heals, more slowly."
    return Part(BROKER, at, "The broker does not answer", advice)


def _beat(tick_at: datetime | None) -> list[Part]:
    """In one process the tick is sign enough: beat writes down what it sent only now and then.

    A tick that was carried out was sent as well, which nothing else tells once a person has disabled it.
    """
    if settings.EMBEDDED:
        return []
    advice = (
        "Start it: celery -A selfheal_project beat, and see that the periodic task of the tick is enabled. "
        "Meanwhile the sweeper checks and heals, more slowly."
    )
    return [Part(BEAT, signs.beat_at() or tick_at, "Beat sends nothing", advice)]


def _tick(at: datetime | None) -> Part:
    advice = f"See why no worker takes from the queue {DEFAULT}: celery -A selfheal_project worker -Q alerts,{DEFAULT}."
    return Part(TICKS, at, "No worker carries out the tick", advice, (BROKER, BEAT, queue_part(DEFAULT)))


def _queue(name: str, at: datetime | None) -> Part:
    program = (
        f"manage.py near {name_of(name)}" if name_of(name) else f"celery -A selfheal_project worker -Q {name}"
    )
    advice = f"Its workers are dead, cut off, or all their threads hang: look at their log, restart them ({program})."
    what = f"No worker takes from the queue {name}"
    needs = (BROKER, BEAT) if name == DEFAULT else (BROKER, BEAT, TICKS)
    meaning = {
        "heal": "Heals wait for the sweeper.",
        "checks": "Checks wait for the sweeper.",
        "alerts": "Alerts wait.",
    }
    return Part(queue_part(name), at, what, advice, needs, meaning.get(common_of(name), ""))


def _served_at(name: str, at: Mapping[str, datetime]) -> datetime | None:
    """When a canary came through, or a worker showed later that it takes from the queue, or will when a thread is free."""
    canary, served = at.get(f"{CANARY}{name}"), at.get(f"{SERVED}{name}")
    return max(canary, served) if canary is not None and served is not None else canary


def queue_part(queue: str) -> str:
    return f"{QUEUE}{queue}"


def watcher_part(host_queue: str) -> str:
    return f"watcher:{host_queue}" if host_queue else "watcher"


def _watchers(now: datetime, at: Mapping[str, datetime]) -> list[Part]:
    """One for each queue of hosts: they share a process."""
    silent: dict[str, list[Unwatched]] = {}
    for host in signs.unwatched(now, SILENT):
        silent.setdefault(host.queue, []).append(host)
    return [_watcher(queue, silent.get(queue, []), at, now) for queue in signs.watched_queues()]


def _watcher(queue: str, silent: list[Unwatched], at: Mapping[str, datetime], now: datetime) -> Part:
    option = f" --queue {queue}" if queue else ""
    advice = f"Start it, or restart it where it hangs: manage.py watch{option}. Meanwhile polling finds failures, later, and stops by hand are not seen."
    names = [host.name for host in silent]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    details = f"No events are taken from {', '.join(names[:_NAMED])}{more}." if names else ""
    what = "The event streams of engines are not watched"
    return Part(watcher_part(queue), _watched_at(silent, at, now), what, advice, details=details)


def _watched_at(silent: list[Unwatched], at: Mapping[str, datetime], now: datetime) -> datetime | None:
    """The oldest sign, but a host that has just come, or come back, has had no time for one. None: none was ever watched."""
    if not silent:
        return now
    known = [(host, at[f"{WATCH}{host.name}"]) for host in silent if f"{WATCH}{host.name}" in at]
    young = [host.since for host in silent if now - host.since <= SILENT]
    if len(young) == len(silent):
        return min(young)
    return min((max(sign, host.since) for host, sign in known), default=None)


def _sweeper(at: Mapping[str, datetime]) -> Part:
    advice = (
        "Start it: manage.py sweep. Until then nothing stands in for a broker, a beat or workers that fail."
    )
    newest = max((sign for name, sign in at.items() if name.startswith(SWEEP)), default=None)
    return Part(SWEEPER, newest, "No sweeper runs", advice)


def _sweepers_near(at: Mapping[str, datetime]) -> list[Part]:
    """One for each queue of hosts that a sweeper near them has ever swept."""
    if settings.EMBEDDED:
        return []
    near_them = signs.swept_near(at)
    wanted = [queue for queue in signs.host_queues() if queue in near_them] if near_them else []
    return [
        Part(
            f"{SWEEPER}:{queue}",
            near_them[queue],
            f"No sweeper runs near the hosts of the queue {queue}",
            f"Start it: manage.py near {queue}. Until then nothing stands in for their workers if those fail.",
        )
        for queue in wanted
    ]
