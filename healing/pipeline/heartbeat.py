"""The outer heartbeat: an address that is called while all is well, so that somebody else notices when it is not."""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta

import httpx
from django.conf import settings

from healing.store import signs

logger = logging.getLogger(__name__)

SLOT = "outer heartbeat"
SECONDS = 10.0
_failed: list[str] = []


def ping_if_due(is_well: bool, now: datetime) -> None:
    """Call the address if it is time and all is well; whoever claims the slot does. Returns at once."""
    url = settings.SELFHEAL_HEARTBEAT_URL
    if (
        not url
        or not is_well
        or not signs.claim_slot(SLOT, timedelta(seconds=settings.SELFHEAL_HEARTBEAT_EVERY), now)
    ):
        return
    threading.Thread(target=_ping, args=(url,), name="outer-heartbeat", daemon=True).start()


def _ping(url: str) -> None:
    """What goes wrong is logged once, until it goes right again. The address may hold a secret and is never logged."""
    error = ""
    try:
        answer = httpx.get(url, timeout=SECONDS, follow_redirects=True, headers={"User-Agent": "selfheal"})
        if answer.status_code >= 400:
            error = f"answered {answer.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL) as failed:
        error = type(failed).__name__
    if error and not _failed:
        logger.warning("outer heartbeat: %s", error, extra={"action": "heartbeat_failed"})
    _failed[:] = [error] if error else []
