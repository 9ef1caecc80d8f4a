"""Whether every part of Selfheal is alive, answered within seconds also where the database or the broker hangs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.db import DatabaseError, InterfaceError, connection

from healing.core.liveness import SILENT, Part
from healing.pipeline import liveness
from healing.pipeline.brokercheck import broker_error
from healing.store import refusals
from healing.store.clock import db_now

SECONDS = 1.5
LATE = "did not answer in time"
logger = logging.getLogger(__name__)
_logged: dict[str, str] = {}
"""What was last said of each part that was asked: what lasts is logged once."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PartState:
    """One part: `age` of its last sign in seconds and since when it is silent, None where unknown or not so.

    `message` is for people who have logged in; `what_to_do` is a sentence that depends on the name of the part only.
    """

    name: str
    ok: bool
    age: float | None
    since: datetime | None
    message: str = ""
    what_to_do: str = ""


def readiness(seconds: float = SECONDS) -> list[PartState]:
    """The state of all parts, after `seconds` at most.

    What has not answered by then is not alive, but for a broker that has lately answered an observer.
    """
    end = time.monotonic() + seconds
    _broker.ask()
    _database.ask()
    error = _broker.answer(end)
    parts = _database.answer(end)
    if parts is None or isinstance(parts, str):
        return [_asked(liveness.database(None), parts or LATE), _broker_state(error, None)]
    now, found = parts
    noted = next((state(part, now) for part in found if part.name == liveness.BROKER), None)
    own = [state(part, now) for part in found if part.name not in (liveness.BROKER, liveness.DATABASE)]
    full = next((part for part in found if part.name == liveness.DATABASE), liveness.database(None))
    return [_asked(full, full.details), _broker_state(error, noted), *own]


def by_signs() -> list[PartState]:
    """The state of all parts as their signs in the database say, without asking any; five or six statements."""
    now = db_now()
    return [state(part, now) for part in liveness.parts(now)]


def _broker_state(error: str | None, noted: PartState | None) -> PartState:
    """What it has just answered; where it has not yet (None), what an observer noted, if that is good news."""
    if error is None and noted is not None and noted.ok:
        return noted
    return _asked(liveness.broker(None), LATE if error is None else error)


def state(part: Part, now: datetime) -> PartState:
    """What the sign that a part has left says of it."""
    if part.sign_at is None:
        return PartState(part.name, False, None, None, "has never shown a sign of life", part.advice)
    age = max((now - part.sign_at).total_seconds(), 0.0)
    if part.is_alive(now):
        return PartState(part.name, True, round(age, 1), None)
    message = f"{part.what}. {part.details}".strip()
    return PartState(part.name, False, round(age, 1), part.sign_at + SILENT, message, part.advice)


def as_dict(states: list[PartState]) -> dict[str, Any]:
    """For JSON, and for anybody: `ok` is true where all parts are. No `message`: an error can hold names, even secrets."""
    parts = {
        one.name: {
            "ok": one.ok,
            "age": one.age,
            "since": one.since.isoformat() if one.since else None,
            "what_to_do": one.what_to_do,
        }
        for one in states
    }
    return {"ok": all(one.ok for one in states), "parts": parts}


def _asked(part: Part, error: str) -> PartState:
    if error and error != _logged.get(part.name):
        logger.warning("%s: %s", part.what, error, extra={"action": "not_ready", "part": part.name})
    _logged[part.name] = error
    if not error:
        return PartState(part.name, True, 0.0, None)
    return PartState(part.name, False, None, None, f"{part.what}: {error}", part.advice)


class _Question(Generic[T]):
    """Asked in a thread of its own. One at a time is open, however many want to know: what hangs must not pile up."""

    def __init__(self, name: str, ask: Callable[[], T]) -> None:
        self._name, self._ask = name, ask
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._answers: list[T] = []

    def ask(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._answers = []
                self._thread = threading.Thread(
                    target=self._run, args=(self._answers,), name=self._name, daemon=True
                )
                self._thread.start()

    def answer(self, end: float) -> T | None:
        """None where there is none by `end`, on the steady clock."""
        with self._lock:
            thread, answers = self._thread, self._answers
        if thread is not None:
            thread.join(max(end - time.monotonic(), 0.0))
        return answers[0] if answers else None

    def _run(self, answers: list[T]) -> None:
        answers.append(self._ask())


def _parts() -> tuple[datetime, list[Part]] | str:
    try:
        now = db_now()
        return now, _found(now)
    except (DatabaseError, InterfaceError) as error:
        return " ".join(str(error).split()) or type(error).__name__
    finally:
        connection.close()


def _found(now: datetime) -> list[Part]:
    """All parts as their signs say; the database is one of them only where it refuses to write."""
    refusal = refusals.said(now)
    full = [replace(liveness.full_database(), details=refusal)] if refusal else []
    return [*full, *liveness.parts(now)]


_broker = _Question("ready-broker", broker_error)
_database = _Question("ready-database", _parts)
