"""No engine answers: with two or more of them the fault is more likely ours, and that is what people are told.

A host that went down before the last one was told by itself; those that go with it, and those still down when the first
is back, are not, until it is clear that the fault is theirs.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction

from healing.core.alertnames import AlertName
from healing.pipeline import alert_details
from healing.store import hosts, troubles
from healing.store.troubles import NO_ENGINE
from notifications.core.alert import Alert, AlertKind, AlertLevel
from notifications.outbox import write

logger = logging.getLogger(__name__)

FEWEST = 2
"""A single engine that does not answer is taken to be at fault itself."""
SETTLED = timedelta(seconds=60)
"""A host that is still down so long after the first has answered again is down by itself."""
_KEY = "self:engines"


def is_suspected(now: datetime) -> bool:
    """Whether a host that is down is not to be told by itself, because the fault may be ours. Looks anew."""
    return look(now) or troubles.trouble_ended_after(NO_ENGINE, now - SETTLED)


def look(now: datetime) -> bool:
    """Whether all of two or more enabled hosts are down. Told once when it begins and once when it is over."""
    number, up = hosts.enabled_and_up()
    is_blind = number >= FEWEST and not up
    with transaction.atomic():
        if is_blind and troubles.open_trouble(NO_ENGINE, f"none of {number} engines answers", now):
            _begun(number, now)
        elif not is_blind and troubles.end_trouble(NO_ENGINE, now):
            _over(number, up)
    return is_blind


def _begun(number: int, now: datetime) -> None:
    title = f"No engine answers: none of {number}. It may be me"
    text = (
        "All hosts went out of sight together, so the fault is more likely Selfheal's own network, credentials or machine "
        "than every engine's. Nothing is known of any container, and nothing is healed. Look at the network of the "
        "machine that Selfheal runs on first, then run: manage.py doctor. Hosts that are still down "
        f"{SETTLED.total_seconds():g} s after the first has answered again are told one by one."
    )
    details = {
        "since": now.isoformat(),
        "cause": "none of the engines answers",
        "next": "Selfheal goes on asking them; checks and heals go on with the first that answers.",
        "path": alert_details.page("host"),
    }
    _tell(AlertLevel.CRITICAL, title, text, AlertKind.FIRING, details)
    logger.error("no engine answers", extra={"action": "no_engine", "hosts": number})


def _over(number: int, up: int) -> None:
    title = f"{up} of {number} engines answer{'s' * (up == 1)} again"
    _tell(AlertLevel.INFO, title, "", AlertKind.RESOLVED, {"path": alert_details.page("host")})
    logger.info("engines answer again", extra={"action": "engines_back", "hosts": up})


def _tell(level: AlertLevel, title: str, body: str, kind: AlertKind, details: dict[str, str]) -> None:
    name = AlertName.NO_ENGINE_ANSWERS.value
    write(Alert(level, title, body, kind, alert_key=_KEY, alertname=name, details=details))
