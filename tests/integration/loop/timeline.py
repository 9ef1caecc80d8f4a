"""The whole loop on the fake engine, in one thread and in time that the test moves.

Everything is the product's: the watcher takes the engine's events, the tick dispatches, Celery's tasks run the stages
one after the other in the caller. Only the clock and the queue are not: messages wait in a list, the most important and
then the oldest first.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from types import SimpleNamespace
from typing import Any
from unittest import mock

import time_machine
from django.utils import timezone

from healing import tasks
from healing.core.events import EventStream
from healing.core.shedding import DEFAULT_RANK
from healing.effective import forget_book
from healing.engines.fake import Call, FakeEngine, fake_engine
from healing.kept_stream import KeptStream
from healing.models import (
    Attempt,
    AttemptState,
    CheckShard,
    Container,
    FailureRecord,
    HealthStatus,
    Host,
    Stage,
)
from healing.store import clock, hosts
from healing.watch import HostWatcher
from healing.watchers import show_alive

BEGIN = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
LONGEST_STEP = 10.0
AT_ONCE = timedelta(milliseconds=50)
_numbers = itertools.count()


class Timeline:
    """One host with its containers, from BEGIN on. Use it as a context manager; no real time passes within."""

    def __init__(self) -> None:
        self._traveller = time_machine.travel(BEGIN, tick=False)
        self._patch = mock.patch.object(clock, "connection", SimpleNamespace(vendor="moved by the test"))
        self._plan: list[tuple[datetime, int, Callable[[], None]]] = []
        self._position = 0
        self._watching = False

    def __enter__(self) -> Timeline:
        self._clock = self._traveller.start()
        self._patch.start()
        self._messages: list[tuple[int, int, Callable[[], None]]] = []
        self._sending = mock.patch.object(tasks, "send", self._send)
        self._sending.start()
        forget_book()
        name = f"timeline-{next(_numbers)}"
        self.fake: FakeEngine = fake_engine(name)
        self.host = Host.objects.create(name=name, engine_kind="fake", address=f"fake://{name}")
        return self

    def __exit__(self, *_: object) -> None:
        self._sending.stop()
        self._patch.stop()
        self._traveller.stop()
        forget_book()

    @property
    def begin(self) -> datetime:
        return BEGIN

    @property
    def now(self) -> datetime:
        return timezone.now()

    def at(self, seconds: float, happening: Callable[[], None]) -> None:
        """Have something happen so many seconds after BEGIN."""
        self._plan.append((BEGIN + timedelta(seconds=seconds), len(self._plan), happening))
        self._plan.sort()

    def watch(self) -> None:
        """Connect the watcher; events since its last one are replayed, where the engine still has them."""
        host = Host.objects.get(pk=self.host.pk)
        self._watcher = HostWatcher(host)
        begun = self._watcher._begin(host, self.fake, "1")
        self._told = EventStream(lambda _: iter(()))
        self._watcher._kept = KeptStream(self._told, begun)
        since = host.last_event_at
        if since is not None:
            events = self.fake.happened
            self._position = next((n for n, event in enumerate(events) if event.at >= since), len(events))
        self._watching = True

    def look_away(self) -> None:
        """No events come any more, and nothing tells whether there are any; polling goes on."""
        self._watching = False

    def lose_the_engine(self) -> None:
        """It does not answer, and its stream is broken."""
        self._watcher.flush_cursor()
        self._watching = False
        self.fake.unreachable(True)

    def find_the_engine(self, *, events_lost: bool, started_anew: float | None = None) -> None:
        """It answers again; `events_lost`: it no longer knows what happened meanwhile.

        `started_anew`: it was, so many seconds after BEGIN, and knows nothing of what was before.
        """
        self.fake.unreachable(False)
        self.watch()
        happened = self.fake.happened
        if events_lost:
            self._position = len(happened)
        elif started_anew is not None:
            began = BEGIN + timedelta(seconds=started_anew)
            self._position = sum(event.at < began for event in happened)

    def run(self, seconds: float, check: Callable[[], None] | None = None) -> None:
        """Let so much time pass, stopping wherever something is due. `check` is called after each step."""
        end = self.now + timedelta(seconds=seconds)
        while True:
            self._settle()
            if check is not None:
                check()
            if self.now >= end:
                return
            self._clock.move_to(min(self._next(), end))
            while self._plan and self._plan[0][0] <= self.now:
                self._plan.pop(0)[2]()

    def run_until_quiet(self, longest: float, check: Callable[[], None] | None = None) -> None:
        """Let time pass until all that was planned has happened and, for a minute, nothing has or is to be done."""
        end, quiet_since, before = self.now + timedelta(seconds=longest), self.now, self._state()
        while self.now < end:
            self.run(LONGEST_STEP, check)
            state = self._state()
            moving = FailureRecord.objects.filter(resolved_at__isnull=True).exclude(stage=Stage.OBSERVE)
            if self._plan or state != before or moving.exists():
                quiet_since, before = self.now, state
            elif self.now - quiet_since > timedelta(minutes=1):
                return

    def calls_of(self, name: str) -> list[Call]:
        """The starts and restarts that were asked of the engine for this container."""
        ids = {name, *FailureRecord.objects.filter(container_name=name).values_list("engine_id", flat=True)}
        ids |= set(Container.objects.filter(name=name).values_list("engine_id", flat=True))
        return [c for c in self.fake.calls if c.method in ("start", "restart") and c.container_id in ids]

    def _send(
        self,
        task: Any,
        *args: Any,
        queue: str,
        expires: float | None = None,
        priority: int = DEFAULT_RANK,
        **kwargs: Any,
    ) -> None:
        heappush(self._messages, (priority, next(_numbers), lambda: task.run(*args, **kwargs)))

    def _work(self) -> None:
        """Do what the messages ask for, and what follows from it."""
        while self._messages:
            heappop(self._messages)[2]()

    def _settle(self) -> None:
        """Let everything that is due happen, until it brings no new event."""
        if self._watching:
            hosts.beat(f"watch:{self.host.name}", self.now)
        for _ in range(30):
            self._take_events()
            tasks.dispatch_checks()
            self._work()
            if not self._watching or len(self.fake.happened) == self._position:
                return
        raise AssertionError("events go on and on at one moment")

    def _take_events(self) -> None:
        if self._watching:
            self._told.told_until = self.now - hosts.UNDER_WAY
            show_alive([self._watcher])
        while self._watching and self._position < len(events := self.fake.happened):
            event = events[self._position]
            self._position += 1
            self._watcher._take(Host.objects.get(pk=self.host.pk), self.fake, event)
            self._work()

    def _next(self) -> datetime:
        """When something is due next, or a few seconds from now."""
        open_failures = FailureRecord.objects.filter(resolved_at__isnull=True, due_at__isnull=False)
        due = [max(at, lease or at) for at, lease in open_failures.values_list("due_at", "lease_until")]
        shards = CheckShard.objects.filter(next_due_at__isnull=False, host__enabled=True)
        due += [max(at, lease or at) for at, lease in shards.values_list("next_due_at", "lease_until")]
        due += [at for at, *_ in self._plan]
        latest = self.now + timedelta(seconds=LONGEST_STEP)
        return max(min([*due, latest]), self.now + AT_ONCE)

    def _state(self) -> tuple[object, ...]:
        """What changes as long as the loop has something to do."""
        rows = HealthStatus.objects.order_by("pk").values_list("status", "lifecycle")
        failures = FailureRecord.objects.order_by("pk").values_list("pk", "stage", "resolved_at")
        waiting = AttemptState.INTENDED, AttemptState.CALLED, AttemptState.VERIFYING
        return (
            tuple(rows),
            tuple(failures),
            Attempt.objects.filter(state__in=waiting).count(),
            Attempt.objects.count(),
        )
