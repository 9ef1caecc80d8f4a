"""Where alerts go, what was told, and how each telling went."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from notifications.channels import build
from notifications.core.alert import NAME_LIMIT, TITLE_LIMIT, Alert, AlertKind, AlertLevel, Message
from notifications.core.errors import ConfigError
from notifications.core.ports import Channel as ChannelPort


class NotificationState(StrEnum):
    """`skipped`: no channel was to be told. `sent`: told on at least one, no delivery outstanding."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    SKIPPED = "skipped"


class DeliveryState(StrEnum):
    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


def _choices(enum: type[StrEnum]) -> list[tuple[str, str]]:
    return [(member.value, member.value) for member in enum]


class Channel(models.Model):
    """One configured way to reach people."""

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=50, help_text="log, webhook, or the name of an installed plug-in.")
    config = models.JSONField(
        default=dict,
        blank=True,
        help_text='What the kind needs, such as {"url": "https://example.org/hook"}.',
    )
    min_level = models.CharField(
        max_length=10,
        choices=_choices(AlertLevel),
        default=AlertLevel.INFO.value,
        help_text="Alerts under this level are not sent here.",
    )
    enabled = models.BooleanField(default=True)
    blocked_until = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Nothing is sent until then: the last send failed for now.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        try:
            self.build()
        except ConfigError as error:
            if error.field == "kind":
                raise ValidationError({"kind": error.reason}) from None
            raise ValidationError({"config": str(error)}) from None

    def build(self) -> ChannelPort:
        """Raise ConfigError for a configuration that cannot be used."""
        return build(self.kind, self.config)

    def takes(self, level: str) -> bool:
        """Whether alerts of this level go here."""
        return self.enabled and AlertLevel(level).reaches(AlertLevel(self.min_level))


class Notification(models.Model):
    """One thing that people are told; what it is about is kept as plain text, so that it outlives its subject."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    level = models.CharField(max_length=10, choices=_choices(AlertLevel))
    kind = models.CharField(max_length=10, choices=_choices(AlertKind), default=AlertKind.FIRING.value)
    title = models.CharField(max_length=TITLE_LIMIT)
    body = models.TextField(blank=True)
    host = models.CharField(max_length=NAME_LIMIT, blank=True)
    project = models.CharField(max_length=NAME_LIMIT, blank=True)
    service = models.CharField(max_length=NAME_LIMIT, blank=True)
    container = models.CharField(max_length=NAME_LIMIT, blank=True)
    container_id = models.BigIntegerField(null=True, blank=True)
    failure_id = models.BigIntegerField(null=True, blank=True)
    alert_key = models.CharField(max_length=NAME_LIMIT, blank=True)
    tenant_id = models.BigIntegerField(null=True, blank=True)
    state = models.CharField(
        max_length=10, choices=_choices(NotificationState), default=NotificationState.PENDING.value
    )
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["-created_at"], name="notification_newest"),
            models.Index(fields=["container_id", "-created_at"], name="notification_of_container"),
            models.Index(fields=["failure_id"], name="notification_of_failure"),
            models.Index(fields=["alert_key", "-created_at"], name="notification_of_key"),
            models.Index(
                fields=["created_at"], name="notification_pending", condition=models.Q(state="pending")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.level}: {self.title}"

    def message(self) -> Message:
        """What a channel gets: the same at every repeat."""
        names = ("title", "body", "host", "project", "service", "container", "alert_key")
        ids = ("container_id", "failure_id", "tenant_id")
        fields: dict[str, Any] = {name: getattr(self, name) for name in (*names, *ids)}
        alert = Alert(level=AlertLevel(self.level), kind=AlertKind(self.kind), **fields)
        return Message(str(self.id), self.created_at, alert)


class Delivery(models.Model):
    """One notification on its way through one channel. While pending, `next_try_at` is also the claim's lease."""

    notification = models.ForeignKey(Notification, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.ForeignKey(Channel, null=True, on_delete=models.SET_NULL, related_name="deliveries")
    channel_name = models.CharField(max_length=100)
    state = models.CharField(
        max_length=10, choices=_choices(DeliveryState), default=DeliveryState.PENDING.value
    )
    tries = models.PositiveIntegerField(default=0)
    next_try_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    answer = models.CharField(max_length=500, blank=True)
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["notification", "channel"], name="delivery_once_a_channel")
        ]
        indexes = [
            models.Index(fields=["next_try_at"], name="delivery_due", condition=models.Q(state="pending")),
        ]

    def __str__(self) -> str:
        return f"{self.channel_name}: {self.state}"
