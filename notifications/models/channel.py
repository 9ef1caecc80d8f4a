"""Channels, and who is reached by which: receivers, and rotations of receivers."""

from __future__ import annotations

import logging
from datetime import datetime
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from notifications.channels import build
from notifications.channels.guard import Policy
from notifications.channels.stores import last_known, never_called
from notifications.core.alert import AlertLevel
from notifications.core.duty import on_duty
from notifications.core.errors import ConfigError
from notifications.core.noise import Tell
from notifications.core.ports import Sender
from notifications.models.choices import Digest, Language, choices
from notifications.secrets import EncryptedJSONField, Undecryptable

logger = logging.getLogger(__name__)

RATE_LIMIT = 30
RATE_WINDOW = 60
_DEEPEST = 5
"""Rotations within rotations."""


class Channel(models.Model):
    """One configured way to reach people."""

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=50, help_text="log, webhook, or the name of an installed plug-in.")
    config = EncryptedJSONField(
        default=dict,
        blank=True,
        help_text='What the kind needs, such as {"url": "https://example.org/hook"}. Encrypted in the database.',
    )
    min_level = models.CharField(
        max_length=10,
        choices=choices(AlertLevel),
        default=AlertLevel.INFO.value,
        help_text="Alerts under this level are not sent here.",
    )
    tell = models.CharField(
        max_length=20,
        choices=[
            (Tell.ALL.value, "everything"),
            (Tell.FIRST_HEALS_IN_DIGEST.value, "heals that work at the first attempt in the digest only"),
            (Tell.GAVE_UP.value, "only when healing gave up"),
        ],
        default=Tell.ALL.value,
        verbose_name="about healing tell",
    )
    send_resolved = models.BooleanField(default=True, help_text="Tell the end of what was told here.")
    language = models.CharField(
        max_length=10,
        choices=[(Language.ENGLISH.value, "English"), (Language.CHINESE.value, "简体中文")],
        default=Language.ENGLISH.value,
    )
    template = models.ForeignKey(
        "notifications.MessageTemplate", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    digest = models.CharField(max_length=10, choices=choices(Digest), default=Digest.NONE.value)
    backup = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Takes over what this channel has not been able to send for five minutes.",
    )
    rate_limit = models.PositiveIntegerField(
        default=RATE_LIMIT,
        help_text="Messages within the window below; what is over it comes as one summary. 0: no limit.",
    )
    rate_window = models.PositiveIntegerField(
        default=RATE_WINDOW,
        validators=[MinValueValidator(1), MaxValueValidator(86_400)],
        help_text="Seconds.",
    )
    allow_private = models.BooleanField(
        default=False,
        verbose_name="private addresses allowed",
        help_text="Whether it may call private networks and this machine. Link-local addresses and Selfheal's own "
        "database and broker are never called.",
    )
    enabled = models.BooleanField(default=True)
    blocked_until = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Nothing is sent until then: the last send failed for now.",
    )
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    disabled_reason = models.CharField(max_length=300, blank=True, editable=False)
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
        if self.backup_id is not None and self.backup_id == self.pk:
            raise ValidationError({"backup": "A channel cannot be its own backup; choose another."})

    def build(self, *, asks_database: bool = True) -> Sender:
        """Raise ConfigError for a configuration that cannot be used, or no longer be read."""
        if isinstance(self.config, Undecryptable):
            raise ConfigError(
                "config",
                "cannot be decrypted with the present SELFHEAL_SECRET_KEY; "
                "give the former one in SELFHEAL_SECRET_KEY_FALLBACKS, or enter it anew",
            )
        refused = never_called() if asks_database else last_known()
        policy = Policy(allow_private=self.allow_private, refused=refused)
        return build(self.kind, self.config, policy=policy)

    def takes(self, level: str) -> bool:
        """Whether alerts of this level go here."""
        return self.enabled and AlertLevel(level).reaches(AlertLevel(self.min_level))


class Receiver(models.Model):
    """Who is told. With members it is a rotation: the one on duty is told, its own channels are not used."""

    name = models.CharField(max_length=100, unique=True)
    channels = models.ManyToManyField(Channel, blank=True, related_name="receivers")
    rotation_start = models.DateTimeField(
        null=True, blank=True, help_text="When the first member's first shift begins."
    )
    rotation_days = models.PositiveIntegerField(
        default=7, validators=[MinValueValidator(1), MaxValueValidator(366)], help_text="Days a shift lasts."
    )
    rotation_timezone = models.CharField(
        max_length=64,
        default="UTC",
        help_text="Shifts change at the same time of day there, such as Asia/Shanghai.",
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.rotation_timezone not in available_timezones():
            raise ValidationError(
                {"rotation_timezone": "No such time zone; write one such as Europe/Berlin."}
            )

    def on_duty(self, now: datetime, depth: int = 0) -> Receiver:
        """Itself, or the member whose shift it is."""
        members = list(self.members.all())
        if not members or depth >= _DEEPEST:
            return self
        start = self.rotation_start or members[0].member_since
        try:
            index = on_duty(start, self.rotation_days, self.rotation_timezone, len(members), now)
        except ConfigError as error:
            extra = {"action": "rotation_unreadable", "receiver": self.name}
            logger.error("rotation %s stands still at its first member: %s", self.name, error, extra=extra)
            index = 0
        return members[index].member.on_duty(now, depth + 1)

    def channels_now(self, now: datetime) -> list[Channel]:
        """The enabled channels of who is on duty."""
        return list(self.on_duty(now).channels.filter(enabled=True))


class RotationMember(models.Model):
    """A receiver's place in a rotation."""

    rotation = models.ForeignKey(Receiver, on_delete=models.CASCADE, related_name="members")
    position = models.PositiveIntegerField(default=0)
    member = models.ForeignKey(Receiver, on_delete=models.CASCADE, related_name="rotations")
    member_since = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(rotation=models.F("member")), name="rotation_not_of_itself"
            )
        ]

    def __str__(self) -> str:
        return f"{self.position}. {self.member}"
