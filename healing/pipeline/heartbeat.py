"""The outer heartbeat: an address that is called while all is well, so that somebody else notices when it is not."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from datetime import datetime, timedelta

import httpx
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from healing.models import Heartbeat
from healing.store import signs
from healing.store.clock import db_now

logger = logging.getLogger(__name__)

SLOT = "outer heartbeat"
SECONDS = 10.0
AGAIN = timedelta(seconds=10)
"""So long after a call that failed the next one is due."""
LATER = timedelta(seconds=5)
"""So much later for the process whose call has failed: another one may have a way out."""
_failed: list[str] = []


def ping_if_due(is_well: bool, now: datetime) -> None:
    """Call the address if it is time and all is well; whoever claims the slot does. Returns at once."""
    url = settings.SELFHEAL_HEARTBEAT_URL
    if (
        not url
        or not is_well
        or not signs.claim_slot(SLOT, _every() + (LATER if _failed else timedelta()), now)
    ):
        return
    threading.Thread(target=_run, args=(url, now), name="outer-heartbeat", daemon=True).start()


def _every() -> timedelta:
    return timedelta(seconds=settings.SELFHEAL_HEARTBEAT_EVERY)


def _run(url: str, claimed_at: datetime) -> None:
    try:
        _call(url, claimed_at)
    finally:
        connection.close()


def _call(url: str, claimed_at: datetime) -> None:
    """What goes wrong is logged once, until it goes right again, and gives the slot back."""
    error = _ping(url)
    if error and not _failed:
        logger.warning("outer heartbeat: %s", error, extra={"action": "heartbeat_failed"})
    _failed[:] = [error] if error else []
    if error:
        with suppress(DatabaseError, InterfaceError):  # then one period is lost
            _give_back(claimed_at)


def _ping(url: str) -> str:
    """What went wrong, or nothing. The address may hold a secret and is never logged."""
    try:
        answer = httpx.get(url, timeout=SECONDS, follow_redirects=True, headers={"User-Agent": "selfheal"})
    except (httpx.HTTPError, httpx.InvalidURL) as failed:
        return type(failed).__name__
    return f"answered {answer.status_code}" if answer.status_code >= 400 else ""


def _give_back(claimed_at: datetime) -> None:
    """Let the slot be due again in a little, unless somebody has claimed it meanwhile."""
    due_at = db_now() + min(AGAIN, _every())
    Heartbeat.objects.filter(name=SLOT, at=claimed_at).update(at=due_at - _every())
