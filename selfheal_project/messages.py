"""Messages that nothing can be done with: they are taken out of the queue and kept aside, and the others flow.

Celery acknowledges some of them, loses others without a word, and ends the worker over the rest, again and again
where the broker sends them once more. So whatever comes in is judged here first.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from celery.exceptions import InvalidTaskError
from celery.worker.consumer import Consumer as CeleryConsumer

if TYPE_CHECKING:
    from healing.pipeline.deadletters import Letter

logger = logging.getLogger(__name__)

LARGEST = 1_000_000
"""Bytes. The longest of our own, a list of container ids, is a tenth of that."""
KEPT = 4096
"""Characters of a message that are kept."""
BEHIND = "clock_behind"
"""The header in which a sender says by how many seconds its clock is behind the database's, where it is."""
_IN_STEP = 1.0
_LONGEST = 1_000_000.0
"""Seconds; what claims that its clock is wrong by more is not believed."""
_MALFORMED = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)

Handler = Callable[..., Any]


class Aside:
    """Puts letters on record in a thread of its own: who reads messages does not wait for a database that may be away."""

    WAITING, AT_ONCE, RETRY = 1000, 100, 5.0

    def __init__(self) -> None:
        self._waiting: queue.Queue[Letter] = queue.Queue(self.WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, letter: Letter) -> None:
        """Have it kept; what is too much is only logged."""
        extra = {"action": "dead_letter", "queue": letter.queue, "task": letter.task}
        logger.error("cannot be worked off: %s", letter.reason, extra=extra)
        try:
            self._waiting.put_nowait(letter)
        except queue.Full:
            logger.error("too many to be kept", extra={"action": "dead_letter_lost", "queue": letter.queue})
            return
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="dead-letters", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            letters = [self._waiting.get()]
            while len(letters) < self.AT_ONCE and not self._waiting.empty():
                letters.append(self._waiting.get())
            self._keep(letters)

    def _keep(self, letters: list[Letter]) -> None:
        from django.db import DatabaseError, InterfaceError, close_old_connections

        from healing.pipeline import deadletters
        from healing.store.clock import db_now

        while True:
            close_old_connections()
            try:
                deadletters.keep(letters, db_now())
                return
            except (DatabaseError, InterfaceError) as error:
                logger.warning("database: %s", error, extra={"action": "dead_letter_database"})
            time.sleep(self.RETRY)


aside = Aside()


def set_aside(queue_name: str, reason: str, content: object, task: object = "", task_id: object = "") -> None:
    """Keep a message aside, as far as it can be made out; `content` is what it said."""
    from healing.pipeline.deadletters import Letter

    text = content[:KEPT].decode("utf-8", "replace") if isinstance(content, bytes) else str(content)[:KEPT]
    name, number = (str(value)[:200] if isinstance(value, str) else "" for value in (task, task_id))
    aside.put(Letter(queue_name, reason, name, number, text))


class Consumer(CeleryConsumer):
    """Celery's, but for messages that it cannot work off."""

    strategies: dict[str, Handler]
    connection_errors: tuple[type[Exception], ...]

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Handler:
        handle = super().create_task_handler(*args, **kwargs)

        def on_message(message: Any) -> Any:
            size = len(message.body or "")
            if size > LARGEST:
                return self._aside(message, f"it has {size:,} bytes, more than {LARGEST:,}")
            try:
                return handle(message)
            except _MALFORMED as error:
                return self._aside(message, f"it is malformed: {type(error).__name__}: {error}")

        return on_message

    def update_strategies(self) -> None:
        super().update_strategies()
        for name, strategy in list(self.strategies.items()):
            self.strategies[name] = _checked(self.app.tasks[name], strategy)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        self._aside(message, "it names no task")

    def on_unknown_task(self, body: Any, message: Any, exc: Any) -> None:
        self._aside(message, f"no task has the name {exc}")

    def on_invalid_task(self, body: Any, message: Any, exc: Any) -> None:
        self._aside(message, f"it is invalid: {exc}")

    def on_decode_error(self, message: Any, exc: Any) -> None:
        self._aside(message, f"it cannot be read: {exc}")

    def _aside(self, message: Any, reason: str) -> None:
        if not message.acknowledged:
            message.reject_log_error(logger, self.connection_errors)
        headers = message.headers if isinstance(message.headers, dict) else {}
        info = message.delivery_info if isinstance(message.delivery_info, dict) else {}
        came_by = str(info.get("routing_key") or "")
        set_aside(came_by, reason, message.body, headers.get("task"), headers.get("id"))


def _checked(task: Any, strategy: Handler) -> Handler:
    def handle(message: Any, body: Any, *args: Any, **kwargs: Any) -> Any:
        check_arguments(task, message.decode() if body is None else body)
        by_our_clock(message.headers)
        return strategy(message, body, *args, **kwargs)

    return handle


def check_arguments(task: Any, body: Any) -> None:
    """Raise InvalidTaskError where a task cannot be called so: a pool of threads would lose it without a word."""
    if isinstance(body, dict):
        arguments, named = body.get("args", ()), body.get("kwargs", {})
    elif isinstance(body, (list, tuple)) and len(body) == 3:
        arguments, named, _ = body
    else:
        raise InvalidTaskError("it has no arguments")
    if not isinstance(arguments, (list, tuple)) or not isinstance(named, dict):
        raise InvalidTaskError("its arguments are no list, or those with names no object")
    if task.__header__ is None:
        return
    try:
        task.__header__(*arguments, **named)
    except TypeError as error:
        raise InvalidTaskError(f"{task.name} cannot be called so: {error}") from None


def by_our_clock(headers: Any) -> None:
    """Put the time at which a message is stale, which is the database's, into this process's own, where the two differ."""
    from healing.store import clock

    if not isinstance(headers, dict) or not isinstance(headers.get("expires"), str):
        return
    sender = headers.get(BEHIND)
    theirs = float(sender) if isinstance(sender, (int, float)) and abs(sender) <= _LONGEST else 0.0
    shift = theirs - clock.behind().total_seconds()
    if abs(shift) > _IN_STEP:
        at = datetime.fromisoformat(headers["expires"]) + timedelta(seconds=shift)
        headers["expires"] = at.isoformat()


def own_clock() -> dict[str, float]:
    """The header that says how wrong this process's clock is; none where it is right."""
    from healing.store import clock  # not before Django is set up

    behind = clock.behind().total_seconds()
    return {BEHIND: behind} if abs(behind) > _IN_STEP else {}
