"""Our own troubles: opened and ended by conditional statements, so that each is told once whoever sees it."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction

from healing.models import Trouble
from healing.store.violations import is_taken

BLIND = "probe:"
"""The key of our trouble to look at one container begins so, and ends with its id."""
NO_ENGINE = "engines"
"""The key of our trouble that no engine answers."""


def open_trouble(key: str, message: str, now: datetime, *, quietly: bool = False) -> bool:
    """True for the one who is to tell of this trouble: who saw it first, or, where that was `quietly`, first after that."""
    rows = Trouble.objects.filter(key=key, resolved_at__isnull=True)
    told = rows.values_list("told", flat=True).first()
    if told is not None:
        return not told and not quietly and bool(rows.filter(told=False).update(told=True))
    try:
        with transaction.atomic():
            Trouble.objects.create(key=key, message=message, since=now, told=not quietly)
    except IntegrityError as error:
        if not is_taken(error):
            raise
        return False
    return not quietly


def trouble_since(key: str) -> datetime | None:
    """When this trouble began, while it lasts."""
    return Trouble.objects.filter(key=key, resolved_at__isnull=True).values_list("since", flat=True).first()


def end_trouble(key: str, now: datetime) -> bool:
    """True for the one who saw it end, where people had been told of it."""
    rows = Trouble.objects.filter(key=key, resolved_at__isnull=True)
    told = rows.values_list("told", flat=True).first()
    return told is not None and bool(rows.update(resolved_at=now)) and told


def trouble_ended_after(key: str, at: datetime) -> bool:
    """Whether this trouble has ended since then."""
    return Trouble.objects.filter(key=key, resolved_at__gt=at).exists()


def open_trouble_keys(prefix: str) -> set[str]:
    rows = Trouble.objects.filter(key__startswith=prefix, resolved_at__isnull=True)
    return set(rows.values_list("key", flat=True))
