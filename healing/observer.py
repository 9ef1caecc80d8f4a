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
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError, close_old_connections, connection, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from healing.core.alertnames import AlertName
from healing.core.liveness import SILENT, Part, Verdict, Watch
from healing.models import Trouble
from healing.pipeline import alert_details, deadletters, liveness, poison
from healing.pipeline.brokercheck import broker_error
from healing.pipeline.heartbeat import ping_if_due
from healing.store import hosts, refusals, signs, troubles
from healing.store.clock import db_now
from notifications import direct
from notifications.core.alert import Alert, AlertKind, AlertLevel, Message
from notifications.models import Channel, Notification

logger = logging.getLogger(__name__)

EVERY = 3.0
DOWN = "down:"
"""The key of our trouble with one of our parts begins so."""
CLOCK = "clock:"
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
            self._silence.look(time.monotonic(), refusals.lasting(time.monotonic()))

    def _read(self, stop: threading.Event) -> None:
        while not stop.wait(EVERY):
            close_old_connections()
            try:
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
        parts = liveness.parts(now)
        verdict = self._watch_at(now).judge(parts, now)
        self._tell(verdict, now)
        poison.tell_of_shards(now)
        deadletters.look_after(now)
        signs.show_skew(now)
        if self._pings:
            ping_if_due(all(part.is_alive(now) for part in parts), now)
        return verdict

    def _watch_at(self, now: datetime) -> Watch:
        """Who could not leave signs is not missed: while the database was away, the machine slept, or its clock was set."""
        before, self._looked = self._looked or now, now
        if self._watch is None or now < before - timedelta(seconds=BLIND):
            self._watch = Watch(now)
        was_broken = self._silence.was_broken(time.monotonic(), now, refusals.lasting(time.monotonic()))
        if was_broken or now - before >= timedelta(seconds=BLIND):
            self._watch.could_not_see(now)
        self._silence.answered(time.monotonic())
        return self._watch

    def _tell(self, verdict: Verdict, now: datetime) -> None:
        wrong_clocks = signs.skewed(now)
        is_open = troubles.open_trouble_keys(DOWN)
        for part in verdict.stopped:
            if f"{DOWN}{part.name}" not in is_open and not troubles.trouble_since(part.name):
                _begin(part.name, _stopped(part, now), now)
        for process, behind in wrong_clocks.items():
            if f"{DOWN}{CLOCK}{process}" not in is_open:
                _begin(f"{CLOCK}{process}", _skewed(process, behind), now)
        alive = {part.name for part in verdict.alive}
        lasting = (verdict.names - alive) | {f"{CLOCK}{process}" for process in wrong_clocks}
        for key in is_open - {f"{DOWN}{name}" for name in lasting}:
            if key != f"{DOWN}{liveness.DATABASE}":
                _end(key.removeprefix(DOWN), now)


def _stopped(part: Part, now: datetime) -> Alert:
    silent = (now - part.sign_at).total_seconds() if part.sign_at is not None else 0.0
    body = f"No sign of life for {silent:.0f} s. {part.details} {part.advice}".replace("  ", " ")
    details = {
        "since": part.sign_at.isoformat() if part.sign_at is not None else "",
        "cause": f"no sign of life for {silent:.0f} s",
        "evidence": [part.details] if part.details else [],
        "next": part.advice,
    }
    return _alert(AlertLevel.CRITICAL, part.what, body, part.name, needs=part.needs, details=details)


def _alert(
    level: AlertLevel,
    title: str,
    body: str,
    name: str,
    *,
    kind: AlertKind = AlertKind.FIRING,
    needs: Iterable[str] = (),
    details: Mapping[str, Any] | None = None,
) -> Alert:
    """About the part of this name; it is a symptom while one that it `needs` is told of."""
    return Alert(
        level=level,
        title=title,
        body=body,
        kind=kind,
        alertname=_alertname(name).value,
        alert_key=f"self:{name}",
        depends_on=tuple(f"self:{each}" for each in needs),
        details={**(details or {}), "path": alert_details.page("trouble")},
    )


def _alertname(name: str) -> AlertName:
    """A queue's silence is told under the name and key that the tick tells it under as well."""
    if name.startswith(CLOCK):
        return AlertName.CLOCK_SKEWED
    return AlertName.QUEUE_UNSERVED if name.startswith(liveness.QUEUE) else AlertName.SELFHEAL_SILENT


def _skewed(process: str, behind: float) -> Alert:
    title = f"The clock of process {process} is {abs(behind):.0f} s {'behind' if behind > 0 else 'ahead'}"
    body = "Than the database's. What orders things is not taken from it; set it right: messages and logs bear its time."
    return _alert(AlertLevel.ERROR, title, body, f"{CLOCK}{process}", details={"cause": title})


def _begin(name: str, alert: Alert, now: datetime) -> None:
    with transaction.atomic():
        if not troubles.open_trouble(f"{DOWN}{name}", f"{alert.title}. {alert.body}", now):
            return
        written = direct.write_ahead(alert, now)
    logger.critical(alert.title, extra={"action": "part_silent", "part": name})
    _tell_apart(written, now)


def _end(name: str, now: datetime) -> None:
    title = f"In order again: {name}"
    alert = _alert(AlertLevel.INFO, title, "", name, kind=AlertKind.RESOLVED)
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
        alert = _alert(AlertLevel.CRITICAL, part.what, body, part.name, details=details)
        return Message(str(self._id("")), timezone.now(), alert)

    def _id(self, suffix: str) -> uuid.UUID:
        """The same in all observers, which have counted the same troubles before this one, and in no other installation."""
        ours = salted_hmac("healing.observer", f"database {self._episode}{suffix}").hexdigest()
        return uuid.uuid5(_IDS, ours)

    def _back(self, telling: direct.WithoutDatabase, now: datetime) -> None:
        told, title = telling.message, f"In order again: {liveness.DATABASE}"
        over = _alert(AlertLevel.INFO, title, "", liveness.DATABASE, kind=AlertKind.RESOLVED)
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
