"""An engine's events: the last 256, as the engine keeps them, and the streams that listen."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.fleet.container import NANOSECONDS, Container
from benchmarks.fleet.payloads import encode

KEPT = 256


@dataclass(frozen=True, slots=True)
class Emitted:
    """One event as it went out; `number` counts all events of the engine."""

    number: int
    at_ns: int
    action: str
    container: Container
    line: bytes


@dataclass(frozen=True, slots=True)
class EventFilter:
    """The `filters` of GET /events; an empty set lets everything through."""

    types: frozenset[str] = frozenset()
    actions: frozenset[str] = frozenset()
    containers: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> EventFilter:
        """From the query's JSON, values as a list or as a mapping to true. Raise ValueError."""
        body = json.loads(text or "{}")
        if not isinstance(body, dict) or not all(isinstance(value, dict | list) for value in body.values()):
            raise ValueError("invalid filter")
        found = {key: frozenset(map(str, value)) for key, value in body.items()}
        nothing: frozenset[str] = frozenset()
        return cls(*(found.get(key, nothing) for key in ("type", "event", "container", "label")))

    def lets_through(self, action: str, container: Container) -> bool:
        if self.types and "container" not in self.types:
            return False
        if self.actions and not self.actions & {action, action.partition(":")[0]}:
            return False
        if self.containers and not self.containers & {container.id, container.name}:
            return False
        return not self.labels or all(has_label(container.labels, label) for label in self.labels)


def has_label(labels: Mapping[str, str], wanted: str) -> bool:
    """`wanted` is NAME or NAME=VALUE."""
    name, equals, value = wanted.partition("=")
    return name in labels and (not equals or labels[name] == value)


class Listener:
    """One open stream: gets the lines that its filter lets through."""

    def __init__(
        self, chosen: EventFilter, write: Callable[[bytes], None], abort: Callable[[], None]
    ) -> None:
        self.chosen = chosen
        self.write = write
        self.abort = abort

    def hear(self, event: Emitted) -> None:
        if self.chosen.lets_through(event.action, event.container):
            self.write(event.line)


class EventLog:
    """`noise` gives the events a second that HEALTHCHECK runs make on a real engine, which push old ones out.

    `changed` is called with the container of each event, when what it tells is true already.
    """

    def __init__(self, noise: Callable[[], float], changed: Callable[[Container], None]) -> None:
        self._kept: deque[Emitted] = deque(maxlen=KEPT)
        self._noise = noise
        self._changed = changed
        self._count = 0
        self._last_ns = 0
        self.listeners: set[Listener] = set()

    def emit(self, container: Container, action: str, at_ns: int, **attributes: str) -> None:
        self._changed(container)
        self._count += 1
        self._last_ns = max(at_ns, self._last_ns + 1)
        line = _line(container, action, self._last_ns, attributes)
        event = Emitted(self._count, self._last_ns, action, container, line)
        self._kept.append(event)
        for listener in list(self.listeners):
            listener.hear(event)

    def since(self, since_ns: int, now_ns: int) -> list[Emitted]:
        """What the engine still has from `since_ns` on, oldest first."""
        noise = self._noise() if self._kept else 0.0
        return [
            event for event in self._kept if event.at_ns >= since_ns and not self._lost(event, now_ns, noise)
        ]

    def _lost(self, event: Emitted, now_ns: int, noise: float) -> bool:
        after = self._count - event.number + noise * (now_ns - event.at_ns) / NANOSECONDS
        return after >= KEPT


def _line(container: Container, action: str, at_ns: int, attributes: Mapping[str, str]) -> bytes:
    image = container.spec.image
    return encode(
        {
            "status": action,
            "id": container.id,
            "from": image,
            "Type": "container",
            "Action": action,
            "Actor": {
                "ID": container.id,
                "Attributes": {**container.labels, **attributes, "image": image, "name": container.name},
            },
            "scope": "local",
            "time": at_ns // NANOSECONDS,
            "timeNano": at_ns,
        }
    )
