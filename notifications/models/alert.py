"""What was told of, what is firing now, and which groups it is in."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from notifications.core.alert import (
    NAME_LIMIT,
    TITLE_LIMIT,
    Alert,
    AlertKind,
    AlertLevel,
    Message,
    Outcome,
    Told,
)
from notifications.models.channel import Channel
from notifications.models.choices import NotificationState, choices
from notifications.models.routing import Route

_TEXTS = (
    "title",
    "body",
    "host",
    "project",
    "service",
    "container",
    "alert_key",
    "alertname",
    "failure_type",
    "tenant",
)
_REST = ("container_id", "failure_id", "tenant_id", "labels", "depends_on", "details", "is_event")


class Notification(models.Model):
    """One thing that people are told; what it is about is kept as plain text, so that it outlives its subject."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    level = models.CharField(max_length=10, choices=choices(AlertLevel))
    kind = models.CharField(max_length=10, choices=choices(AlertKind), default=AlertKind.FIRING.value)
    alertname = models.CharField(max_length=NAME_LIMIT, blank=True)
    title = models.CharField(max_length=TITLE_LIMIT)
    body = models.TextField(blank=True)
    host = models.CharField(max_length=NAME_LIMIT, blank=True)
    project = models.CharField(max_length=NAME_LIMIT, blank=True)
    service = models.CharField(max_length=NAME_LIMIT, blank=True)
    container = models.CharField(max_length=NAME_LIMIT, blank=True)
    tenant = models.CharField(max_length=NAME_LIMIT, blank=True)
    failure_type = models.CharField(max_length=NAME_LIMIT, blank=True)
    outcome = models.CharField(max_length=20, blank=True, default="")
    container_id = models.BigIntegerField(null=True, blank=True)
    failure_id = models.BigIntegerField(null=True, blank=True)
    alert_key = models.CharField(max_length=NAME_LIMIT, blank=True)
    tenant_id = models.BigIntegerField(null=True, blank=True)
    labels: Any = models.JSONField(default=dict, blank=True)
    depends_on: Any = models.JSONField(default=list, blank=True)
    details: Any = models.JSONField(default=dict, blank=True)
    is_event = models.BooleanField(default=False)
    written_at = models.DateTimeField(
        db_default=Now(), editable=False, help_text="By the database's clock: what orders begins and ends."
    )
    route_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When it is to be routed; empty once it has been."
    )
    state = models.CharField(
        max_length=10, choices=choices(NotificationState), default=NotificationState.PENDING.value
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
            models.Index(
                fields=["route_at"], name="notification_unrouted", condition=models.Q(route_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.level}: {self.title}"

    def alert(self) -> Alert:
        """As its writer handed it over."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in (*_TEXTS, *_REST)}
        return Alert(
            level=AlertLevel(self.level), kind=AlertKind(self.kind), outcome=Outcome(self.outcome), **fields
        )

    def told(self) -> Told:
        return Told(str(self.id), self.created_at, self.alert())

    def message(self) -> Message:
        """It alone, as a channel gets it: the same at every repeat."""
        return Message(str(self.id), self.created_at, self.alert())


class ActiveAlert(models.Model):
    """What is told of under one key: it fires, or has ended a moment ago. `level` is the highest since it began."""

    alert_key = models.CharField(max_length=NAME_LIMIT, unique=True)
    notification = models.ForeignKey(Notification, on_delete=models.CASCADE, related_name="+")
    alertname = models.CharField(max_length=NAME_LIMIT, blank=True)
    level = models.CharField(max_length=10, choices=choices(AlertLevel))
    outcome = models.CharField(max_length=20, blank=True, default="")
    labels: Any = models.JSONField(default=dict, help_text="What matchers see.")
    depends_on: Any = models.JSONField(default=list, blank=True)
    is_event = models.BooleanField(default=False)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    changes: Any = models.JSONField(
        default=list, blank=True, help_text="When it began lately, for telling flapping."
    )
    is_flapping = models.BooleanField(default=False)
    tenant_id = models.BigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["-starts_at"]
        indexes = [
            models.Index(fields=["starts_at"], name="alert_firing", condition=models.Q(ends_at__isnull=True)),
            models.Index(fields=["ends_at"], name="alert_ended", condition=models.Q(ends_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.alert_key


class AlertGroup(models.Model):
    """Alerts of one route with the same values of its `group_by`: told in one message. Open while it has members."""

    route = models.ForeignKey(Route, null=True, on_delete=models.SET_NULL, related_name="groups")
    route_name = models.CharField(max_length=300)
    key = models.CharField(max_length=64)
    labels: Any = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    flush_at = models.DateTimeField(null=True, blank=True, help_text="When it is looked at next.")
    flushed_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["key"], name="group_open_once", condition=models.Q(closed_at__isnull=True)
            )
        ]
        indexes = [
            models.Index(fields=["flush_at"], name="group_due", condition=models.Q(flush_at__isnull=False)),
            models.Index(fields=["closed_at"], name="group_closed"),
        ]

    def __str__(self) -> str:
        names = ", ".join(f"{name}={value}" for name, value in sorted(self.labels.items()))
        return f"{self.route_name}: {names}" if names else self.route_name

    @property
    def thread(self) -> str:
        """The same for all its messages."""
        return f"selfheal-{self.key[:16]}-{self.pk}"


class GroupMember(models.Model):
    """An alert within a group, until its end has been told. `escalated`: how many steps have told of it."""

    group = models.ForeignKey(AlertGroup, on_delete=models.CASCADE, related_name="members")
    alert = models.ForeignKey(ActiveAlert, on_delete=models.CASCADE, related_name="memberships")
    told_at = models.DateTimeField(null=True, blank=True, help_text="When the group first told of it.")
    escalated = models.PositiveIntegerField(default=0)
    is_moved = models.BooleanField(
        default=False, help_text="Another group tells of it now; this one of its end only."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["group", "alert"], name="member_once")]

    def __str__(self) -> str:
        return f"{self.alert_id} in {self.group_id}"


class LogEntry(models.Model):
    """Alertmanager's notification log: what a group last told a channel, by token; and the thread that was opened there."""

    group = models.ForeignKey(AlertGroup, on_delete=models.CASCADE, related_name="log")
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="+")
    firing: Any = models.JSONField(default=list)
    resolved: Any = models.JSONField(default=list)
    sent_at = models.DateTimeField()
    thread_ref = models.CharField(max_length=255, blank=True)

    class Meta:
        verbose_name_plural = "log entries"
        constraints = [models.UniqueConstraint(fields=["group", "channel"], name="log_entry_once")]

    def __str__(self) -> str:
        return f"{self.group_id} to {self.channel_id}"

    @classmethod
    def owe(cls, group: AlertGroup, channel: Channel, tokens: Iterable[str], now: datetime) -> None:
        """Note that the channel is told of these past the group's own turn, so that it is told their ends. The group's row
        is to be locked."""
        firing = sorted(set(tokens))
        entry, is_new = cls.objects.get_or_create(
            group=group, channel=channel, defaults={"firing": firing, "sent_at": now}
        )
        if not is_new:
            entry.firing = sorted({*entry.firing, *firing})
            entry.save(update_fields=["firing"])
