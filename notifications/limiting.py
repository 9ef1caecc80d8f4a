"""How much a channel may be sent: a sliding window, and one summary of what is over it.

The window is counted in Redis where that is the broker, so that all workers share it; else in this process's memory.
Where Redis does not answer, nothing is held back: telling is worth more than a limit.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import MovingWindowRateLimiter

from notifications import messaging
from notifications.channels import sentinels
from notifications.core.alert import AlertLevel
from notifications.models import Channel, Delivery, DeliveryState, MessageItem, MessageKind, Notification

REDIS_SECONDS = 2
UNCOUNTED_SECONDS = 10.0
"""For so long nothing is counted after the store has failed."""
SUMMARY_ALERTS = 5_000
"""Alerts in one summary; the messages of what is more come in the next."""
BY_KEY = frozenset({"pagerduty", "opsgenie"})
"""Kinds of channels that open and close by key."""

logger = logging.getLogger(__name__)


def counts(delivery: Delivery) -> bool:
    """Whether it counts against its channel's limit. A repeat, a summary, a digest and what is told directly do not; nor
    does anything for a service that has to be told of each begin by its key, or could not close it."""
    channel, message = delivery.channel, delivery.message
    if channel is None or not channel.rate_limit or channel.kind in BY_KEY or delivery.tries:
        return False
    return message is not None and message.kind in (MessageKind.GROUP, MessageKind.ESCALATION)


def allows(delivery: Delivery, now: datetime) -> bool:
    """Count it, and say whether its channel may be sent one more message now. What is critical is counted apart, so that
    no noise keeps it back."""
    channel = delivery.channel
    assert channel is not None
    if time.monotonic() < _uncounted.until:
        return True
    try:
        return _limiter().hit(_limit(channel), _who(delivery))
    except Exception as error:
        _uncounted.until = time.monotonic() + UNCOUNTED_SECONDS
        extra = {"action": "limit_uncounted", "channel": channel.name}
        logger.warning(
            "the channel's limit could not be counted, so it is not applied: %s", error, extra=extra
        )
        return True


class _Uncounted:
    """Until when (monotonic) the store is not asked, so that one which hangs does not delay each message."""

    until = float("-inf")


_uncounted = _Uncounted()


def _who(delivery: Delivery) -> str:
    lead = delivery.notification
    is_critical = lead is not None and lead.level == AlertLevel.CRITICAL
    return f"{delivery.channel_id}/critical" if is_critical else str(delivery.channel_id)


def _room_in(delivery: Delivery, channel: Channel) -> timedelta:
    """How long until the window has room again."""
    try:
        stats = _limiter().get_window_stats(_limit(channel), _who(delivery))
    except Exception:
        return timedelta(seconds=channel.rate_window)
    return timedelta(seconds=min(max(stats.reset_time - time.time(), 1.0), float(channel.rate_window)))


def put_off(deliveries: Sequence[Delivery], now: datetime) -> None:
    """Have these wait until the channel's window has room, for one summary."""
    channel = deliveries[0].channel
    assert channel is not None
    ids = [delivery.pk for delivery in deliveries]
    pending = Delivery.objects.filter(pk__in=ids, state=DeliveryState.PENDING, next_try_at__lte=now)
    count = pending.update(is_limited=True, next_try_at=now + _room_in(deliveries[0], channel))
    extra = {"action": "channel_limited", "channel": channel.name, "messages": count}
    logger.info("channel is at its limit; what is more comes in one summary", extra=extra)


def summarise_due(now: datetime) -> None:
    """Make one summary of what each channel has waiting over its limit, once that wait is over."""
    due = Delivery.objects.filter(state=DeliveryState.PENDING, is_limited=True, next_try_at__lte=now)
    for channel in Channel.objects.filter(pk__in=due.values("channel")):
        _summarise(channel, now)


def _summarise(channel: Channel, now: datetime) -> None:
    with transaction.atomic():
        rows = list(
            _waiting(channel).select_related("message").select_for_update(of=("self",)).order_by("id")
        )
        if len(rows) < 2:
            Delivery.objects.filter(pk__in=[row.pk for row in rows]).update(is_limited=False, next_try_at=now)
            return
        told, alerts = _as_many_as_fit(rows)
        over = f"summary of {len(told)} messages over the limit of {channel.rate_limit} in {channel.rate_window} s"
        reason = "; ".join([over, *_flaps_in(rows, told)])
        summary = messaging.write(
            notifications=alerts,
            lead=_gravest(alerts),
            channels=[channel],
            now=now,
            kind=MessageKind.SUMMARY,
            reason=reason,
        )
        Delivery.objects.filter(pk__in=told).update(
            state=DeliveryState.MERGED, answer=f"in the summary {summary}"
        )


def _waiting(channel: Channel) -> QuerySet[Delivery]:
    """What is over the limit, and what waits behind it in the same groups and was not sent yet."""
    mine = Delivery.objects.filter(channel=channel, state=DeliveryState.PENDING)
    groups = mine.filter(is_limited=True).values("message__group")
    return mine.filter(Q(is_limited=True) | Q(tries=0, message__group__in=groups))


def _as_many_as_fit(rows: Sequence[Delivery]) -> tuple[list[int], list[UUID]]:
    """The first of the deliveries, and the alerts in them, `SUMMARY_ALERTS` or somewhat more."""
    items = MessageItem.objects.filter(message__in=[row.message_id for row in rows]).order_by("id")
    of_message: dict[UUID, list[UUID]] = {}
    for message, notification in items.values_list("message_id", "notification_id"):
        of_message.setdefault(message, []).append(notification)
    taken: list[int] = []
    alerts: dict[UUID, None] = {}
    for row in rows:
        if len(alerts) >= SUMMARY_ALERTS:
            break
        taken.append(row.pk)
        alerts |= dict.fromkeys(of_message.get(row.message_id, ()) if row.message_id else ())
    return taken, list(alerts)


def _flaps_in(rows: Sequence[Delivery], told: Sequence[int]) -> list[str]:
    """How what is in the messages flaps, of the first few: each of them would have said so in its own reason."""
    reasons = [row.message.reason for row in rows if row.pk in told and row.message is not None]
    parts = [part for reason in reasons for part in reason.split("; ") if part.startswith("flapping")]
    return list(dict.fromkeys(parts))[:3]


def _gravest(ids: Sequence[UUID]) -> UUID | None:
    rows = list(Notification.objects.filter(pk__in=ids).only("pk", "level", "created_at"))
    gravest = max(rows, key=lambda row: (AlertLevel(row.level).rank, row.created_at), default=None)
    return gravest.pk if gravest else None


def _limit(channel: Channel) -> RateLimitItem:
    return RateLimitItemPerSecond(channel.rate_limit, channel.rate_window, namespace="selfheal-channel")


@cache
def _limiter() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(
        _storage(settings.CELERY_BROKER_URL, settings.CELERY_BROKER_TRANSPORT_OPTIONS)
    )


def _storage(broker_url: str, broker_options: Mapping[str, Any]) -> Storage:
    limits: dict[str, Any] = {"socket_timeout": REDIS_SECONDS, "socket_connect_timeout": REDIS_SECONDS}
    if broker_url.startswith(("redis://", "rediss://")):
        return cast(Storage, storage_from_string(broker_url, **limits))
    if broker_url.startswith("sentinel://"):
        return _under_sentinels(broker_url, broker_options, limits)
    return MemoryStorage()


def _under_sentinels(broker_url: str, broker_options: Mapping[str, Any], limits: dict[str, Any]) -> Storage:
    """In the master that the Sentinels name. The URL's user and password are the servers', not the Sentinels'."""
    where = ",".join(f"{host}:{port}" for host, port in sentinels.places_of(broker_url))
    first = urlsplit(broker_url.partition(";")[0])
    account = {"username": first.username, "password": first.password}
    account = {name: unquote(value) for name, value in account.items() if value}
    of_sentinels = dict.fromkeys(account) | dict(broker_options.get("sentinel_kwargs") or {})
    url = f"redis+sentinel://{where}/{broker_options['master_name']}"
    options = {"use_replicas": False, "sentinel_kwargs": of_sentinels, **account, **limits}
    return cast(Storage, storage_from_string(url, **options))
