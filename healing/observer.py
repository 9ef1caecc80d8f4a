"""The dead-man's switch: whoever is alive watches the others, and tells itself, past all that may have failed.

One thread reads the signs of life and tells. Another sees whether that one still gets answers from the database, and
whether it has room, and tells that it does not through the channels that were read before. Any number of observers tell
a thing once: with the database by a conditional UPDATE, without it by giving it the same id.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import DatabaseError, InterfaceError, close_old_connections, connection, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from healing.core.liveness import SILENT, Verdict, Watch
from healing.models import Trouble
from healing.pipeline import deadletters, liveness, poison
from healing.pipeline.brokercheck import broker_error
from healing.pipeline.heartbeat import ping_if_due
from healing.pipeline.part_alerts import CLOCK, about, skewed, stopped
from healing.store import hosts, refusals, signs, troubles
from healing.store.clock import db_now
from notifications import direct
from notifications.core.alert import Alert, AlertKind, AlertLevel, Message
from notifications.models import Channel, Notification

logger = logging.getLogger(__name__)

EVERY = 3.0
DOWN = "down:"
"""The key of our trouble with one of our parts begins so."""
_IDS = uuid.UUID("5e1f4ea1-0000-4000-8000-000000000000")
_REREAD = 30.0
BLIND = 7.0
"""Seconds between two rounds after which others may have been kept from leaving signs as well.

By the database's time too: a steady clock stands still while the machine sleeps, and nobody sets it.
"""


class Observer:
    """Looks every few seconds, in threads of its own. `pings`: the outer heartbeat is this one's to send."""

    def __init__(self, *, pings: bool = False) -> None:
        self._pings = pings
        self._watch: Watch | None = None
        self._looked: datetime | None = None
        self._silence = Silence()
        self._broker = _Asked(broker_error)

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set. A round that hangs in the database is left to hang."""
        reader = threading.Thread(target=self._read, args=(stop,), name="observer", daemon=True)
        reader.start()
        while not stop.wait(1.0):
            try:
                self._silence.look(time.monotonic(), refusals.lasting(time.monotonic()))
            except Exception:  # such as no room for a thread to tell in
                logger.exception("observer failed", extra={"action": "observer_failed"})
                stop.wait(direct.AGAIN)

    def _read(self, stop: threading.Event) -> None:
        while not stop.wait(EVERY):
            try:
                close_old_connections()
                self._broker.ask()
                self.look()
                refusals.ask_for_room()
            except (DatabaseError, InterfaceError) as error:
                refusals.note(error)
                logger.warning("database: %s", error, extra={"action": "observer_database"})
            except Exception:
                logger.exception("observer failed", extra={"action": "observer_failed"})
        connection.close()

    def look(self) -> Verdict:
        """One round: read the signs, tell of who has stopped and of who is back."""
        now = db_now()
        if self._broker.has_answered():
            hosts.beat(liveness.BROKER, now)
        refusal = refusals.lasting(time.monotonic())
        if refusal or self._watch is None:  # at first too: a row that is yet to come may find no room
            refusals.show(refusal, now)
        parts = liveness.parts(now)
        verdict = self._watch_at(now, refusal).judge(parts, now)
        self._tell(verdict, now)
        poison.tell_of_shards(now)
        deadletters.look_after(now)
        signs.show_skew(now)
        if self._pings:
            ping_if_due(not refusal and all(part.is_alive(now) for part in parts), now)
        return verdict

    def _watch_at(self, now: datetime, refusal: str) -> Watch:
        """Who could not leave signs is not missed: while the database was away, the machine slept, or its clock was set."""
        before, self._looked = self._looked or now, now
        if self._watch is None or now < before - timedelta(seconds=BLIND):
            self._watch = Watch(now)
        was_broken = self._silence.was_broken(time.monotonic(), now, refusal)
        if was_broken or now - before >= timedelta(seconds=BLIND):
            self._watch.could_not_see(min(before, now - SILENT) if refusal else before, now)
        self._silence.answered(time.monotonic())
        return self._watch

    def _tell(self, verdict: Verdict, now: datetime) -> None:
        wrong_clocks = signs.skewed(now)
        is_open = troubles.open_trouble_keys(DOWN)
        for part in verdict.stopped:
            if f"{DOWN}{part.name}" not in is_open and not troubles.trouble_since(part.name):
                _begin(part.name, stopped(part, now), now)
        for process, behind in wrong_clocks.items():
            if f"{DOWN}{CLOCK}{process}" not in is_open:
                _begin(f"{CLOCK}{process}", skewed(process, behind), now)
        alive = {part.name for part in verdict.alive}
        lasting = (verdict.names - alive) | {f"{CLOCK}{process}" for process in wrong_clocks}
        for key in is_open - {f"{DOWN}{name}" for name in lasting}:
            if key != f"{DOWN}{liveness.DATABASE}":
                _end(key.removeprefix(DOWN), now)


def _begin(name: str, alert: Alert, now: datetime) -> None:
    with transaction.atomic():
        if not troubles.open_trouble(f"{DOWN}{name}", f"{alert.title}. {alert.body}", now):
            return
        written = direct.write_ahead(alert, now)
    logger.critical(alert.title, extra={"action": "part_silent", "part": name})
    _tell_apart(written, now)


def _end(name: str, now: datetime) -> None:
    title = f"In order again: {name}"
    alert = about(AlertLevel.INFO, title, "", name, kind=AlertKind.RESOLVED)
    with transaction.atomic():
        if not troubles.end_trouble(f"{DOWN}{name}", now):
            return
        written = direct.write_ahead(alert, now)
    logger.warning(title, extra={"action": "part_back", "part": name})
    _tell_apart(written, now)


def _tell_apart(written: Notification | None, now: datetime) -> None:
    """In a thread of its own: a channel that is slow must not keep the next round from looking."""

    def tell() -> None:
        try:
            if written is not None:
                direct.tell_written(written, now)
        finally:
            connection.close()

    threading.Thread(target=tell, name="tell", daemon=True).start()


class Silence:
    """The database's silence: how long it lasts, and what there is to tell of it when nothing can be read.

    Silence, too, is that it answers and lets nothing be written: `refusal` is what it says then (`store.refusals`).
    """

    def __init__(self) -> None:
        self._answered = time.monotonic()
        self._told: direct.WithoutDatabase | None = None
        self._channels: list[Channel] = []
        self._episode = 0
        self._read_at: float | None = None

    def answered(self, at: float) -> None:
        """The database has just answered; now and then, what there may be to tell is read. `at`: a steady clock's seconds."""
        if self._told is None and (self._read_at is None or at - self._read_at >= _REREAD):
            self._channels = direct.enabled_channels()
            self._episode = Trouble.objects.filter(key=f"{DOWN}{liveness.DATABASE}").count()
            self._read_at = at
        self._answered = at

    def look(self, at: float, refusal: str = "") -> None:
        """Tell of it when it has lasted: whoever may be told, each once, as soon as the way to them is open. Touches no database."""
        if self._read_at is None:
            return
        if not refusal and at - self._answered < SILENT.total_seconds():
            return
        told = self._told
        if told is None:
            self._told = told = direct.WithoutDatabase(self._message(refusal), self._channels)
            extra = {"action": "part_silent", "part": liveness.DATABASE}
            logger.critical(told.message.alert.title, extra=extra)
        told.tell(at)

    def was_broken(self, at: float, now: datetime, refusal: str = "") -> bool:
        """The database answers: whether it had not for so long that nobody could leave signs. What was told is recorded."""
        lasted = at - self._answered
        self._answered = at
        if refusal:
            return True
        if self._told is not None:
            self._back(self._told, now)
            self._told = self._read_at = None
        return lasted >= BLIND

    def _message(self, refusal: str) -> Message:
        part = liveness.full_database() if refusal else liveness.database(None)
        said = f"It says: {refusal}." if refusal else f"No answer for {SILENT.total_seconds():.0f} s."
        body = f"{said} {part.advice}"
        details = {"cause": part.what, "evidence": [refusal] if refusal else [], "next": part.advice}
        alert = about(AlertLevel.CRITICAL, part.what, body, part.name, details=details)
        return Message(str(self._id("")), timezone.now(), alert)

    def _id(self, suffix: str) -> uuid.UUID:
        """The same in all observers, which have counted the same troubles before this one, and in no other installation."""
        ours = salted_hmac("healing.observer", f"database {self._episode}{suffix}").hexdigest()
        return uuid.uuid5(_IDS, ours)

    def _back(self, telling: direct.WithoutDatabase, now: datetime) -> None:
        told, title = telling.message, f"In order again: {liveness.DATABASE}"
        over = about(AlertLevel.INFO, title, "", liveness.DATABASE, kind=AlertKind.RESOLVED)
        with transaction.atomic():
            if direct.record_told(told, now, is_told=telling.is_told):
                Trouble.objects.create(
                    key=f"{DOWN}{liveness.DATABASE}",
                    message=f"{told.alert.title}. {told.alert.body}",
                    since=min(told.created_at - SILENT, now - timedelta(seconds=1)),
                    resolved_at=now,
                )
            written = direct.write_ahead(over, now, self._id(" over"))
        logger.warning(title, extra={"action": "part_back", "part": liveness.DATABASE})
        _tell_apart(written, now)


class _Asked:
    """Something that is asked each round, and may hang: at most one question is open."""

    def __init__(self, error: Callable[[], str]) -> None:
        self._error = error
        self._answered = threading.Event()
        self._thread: threading.Thread | None = None

    def ask(self) -> None:
        """Ask, and wait for the answer for a little."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="ask-broker", daemon=True)
            self._thread.start()
        self._thread.join(0.5)

    def has_answered(self) -> bool:
        """Whether it has since this was called last."""
        answered = self._answered.is_set()
        self._answered.clear()
        return answered

    def _run(self) -> None:
        if not self._error():
            self._answered.set()
