"""Messages, their way through each channel, and what they are made of."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from notifications.core.errors import ConfigError
from notifications.messages import check_template
from notifications.models.alert import AlertGroup, Notification
from notifications.models.channel import Channel
from notifications.models.choices import DeliveryState, Language, MessageKind, choices


class MessageTemplate(models.Model):
    """What a channel's messages say instead of the built-in words; what is empty stays built in."""

    name = models.CharField(max_length=100, unique=True)
    language = models.CharField(
        max_length=10,
        choices=[(Language.ENGLISH.value, "English"), (Language.CHINESE.value, "简体中文")],
        default=Language.ENGLISH.value,
        help_text="Of what stays built in.",
    )
    title = models.TextField(blank=True)
    body = models.TextField(blank=True)
    html = models.TextField(blank=True, help_text="For e-mail.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        errors: dict[str, str] = {}
        for kind, source in self.overrides().items():
            try:
                check_template(source, kind)
            except ConfigError as error:
                errors[kind] = error.reason
        if errors:
            raise ValidationError(errors)

    def overrides(self) -> dict[str, str]:
        sources = {"title": self.title, "body": self.body, "html": self.html}
        return {kind: source for kind, source in sources.items() if source.strip()}


class GroupMessage(models.Model):
    """One message, for one or more channels: a group's alerts at one moment. Its id is the same over all repeats."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=10, choices=choices(MessageKind), default=MessageKind.GROUP.value)
    group = models.ForeignKey(AlertGroup, null=True, on_delete=models.SET_NULL, related_name="messages")
    thread = models.CharField(max_length=100, blank=True)
    lead = models.ForeignKey(Notification, null=True, on_delete=models.CASCADE, related_name="+")
    notifications: models.ManyToManyField[Notification, MessageItem] = models.ManyToManyField(
        Notification, through="MessageItem", related_name="messages"
    )
    receiver = models.CharField(max_length=100, blank=True)
    reason = models.CharField(max_length=300, blank=True, help_text="Why it is sent.")
    created_at = models.DateTimeField()
    text: Any = models.JSONField(
        null=True, blank=True, help_text="A digest's own words; others are made by the channel's template."
    )

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["created_at"], name="message_age")]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class MessageItem(models.Model):
    """An alert within a message."""

    message = models.ForeignKey(GroupMessage, on_delete=models.CASCADE, related_name="items")
    notification = models.ForeignKey(Notification, on_delete=models.CASCADE, related_name="items")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["message", "notification"], name="item_once")]

    def __str__(self) -> str:
        return f"{self.notification_id} in {self.message_id}"


class Delivery(models.Model):
    """One message on its way through one channel. While pending, `next_try_at` is also the claim's lease.

    Without a message it is the notification alone, told directly past the groups.
    """

    message = models.ForeignKey(GroupMessage, null=True, on_delete=models.CASCADE, related_name="deliveries")
    notification = models.ForeignKey(
        Notification, null=True, on_delete=models.CASCADE, related_name="deliveries"
    )
    channel = models.ForeignKey(Channel, null=True, on_delete=models.SET_NULL, related_name="deliveries")
    channel_name = models.CharField(max_length=100)
    state = models.CharField(
        max_length=10, choices=choices(DeliveryState), default=DeliveryState.PENDING.value
    )
    tries = models.PositiveIntegerField(default=0)
    next_try_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(default=timezone.now)
    is_limited = models.BooleanField(
        default=False, help_text="Over the channel's limit: waits for the summary."
    )
    sent_at = models.DateTimeField(null=True, blank=True)
    answer = models.CharField(max_length=500, blank=True)
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["notification", "channel"],
                name="delivery_once_directly",
                condition=models.Q(message__isnull=True),
            ),
            models.UniqueConstraint(fields=["message", "channel"], name="delivery_once_a_message"),
        ]
        indexes = [
            models.Index(fields=["next_try_at"], name="delivery_due", condition=models.Q(state="pending")),
        ]

    def __str__(self) -> str:
        return f"{self.channel_name}: {self.state}"


class UsedLink(models.Model):
    """A link out of a message that has been used: each works once."""

    nonce = models.CharField(max_length=64, unique=True)
    action = models.CharField(max_length=20)
    used_at = models.DateTimeField()
    used_by = models.CharField(max_length=150, blank=True)
    used_from = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return f"{self.action} at {self.used_at}"


class DigestRun(models.Model):
    """A digest that was made: each period once."""

    kind = models.CharField(max_length=10)
    period_start = models.DateTimeField()
    made_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "period_start"], name="digest_once")]

    def __str__(self) -> str:
        return f"{self.kind} from {self.period_start}"
