"""Which way an alert goes, and what is kept from going: routes, escalation, time intervals, silences, inhibition."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from notifications.core.errors import ConfigError
from notifications.core.intervals import Interval, parse_intervals
from notifications.core.matchers import Matcher, parse_matchers
from notifications.models.channel import Receiver

MATCHERS_HELP = 'One per line, as in Alertmanager: severity="critical", host=~"web-.*", project!="test".'
_LONGEST = 20_000


def _check_matchers(field: str, text: str) -> tuple[Matcher, ...]:
    try:
        return parse_matchers(text, field)
    except ConfigError as error:
        raise ValidationError({field: error.reason}) from None


class TimeInterval(models.Model):
    """Times of day, week, month and year, in Alertmanager's own shape: a list of `{times, weekdays, …}`."""

    name = models.CharField(max_length=100, unique=True)
    spec = models.JSONField(
        help_text='A list, such as [{"weekdays": ["monday:friday"], "times": [{"start_time": "09:00", '
        '"end_time": "17:00"}], "location": "Europe/Berlin"}].'
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        try:
            self.intervals()
        except ConfigError as error:
            raise ValidationError({"spec": str(error)}) from None

    def intervals(self) -> tuple[Interval, ...]:
        """Raise ConfigError at what cannot be used."""
        return parse_intervals(self.spec, "spec")


class Route(models.Model):
    """One node of the route tree. The root has no parent and no matchers: what no other route takes goes its way.

    Empty: as the parent. `group_by` null: as the parent; `["..."]`: by all labels, which is no grouping.
    """

    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.CASCADE, related_name="children"
    )
    position = models.PositiveIntegerField(default=0, help_text="Siblings are asked in this order.")
    name = models.CharField(max_length=100, unique=True)
    enabled = models.BooleanField(default=True)
    matchers = models.TextField(blank=True, max_length=_LONGEST, help_text=MATCHERS_HELP)
    continue_matching = models.BooleanField(
        default=False, verbose_name="continue", help_text="Ask the following siblings too."
    )
    receiver = models.ForeignKey(
        Receiver,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="routes",
        help_text="Empty: as the parent; at the root: every enabled channel.",
    )
    group_by: Any = models.JSONField(
        null=True,
        blank=True,
        help_text='Label names, such as ["alertname", "project"]. ["..."]: every alert by itself. Empty: as the parent.',
    )
    group_wait = models.DurationField(null=True, blank=True, help_text="Before a new group's first message.")
    group_interval = models.DurationField(
        null=True, blank=True, help_text="Between two messages of a group that has changed."
    )
    repeat_interval = models.DurationField(
        null=True, blank=True, help_text="Until an unchanged group is told again."
    )
    mute_intervals = models.ManyToManyField(
        TimeInterval, blank=True, related_name="muting", help_text="Nothing is told at these times."
    )
    active_intervals = models.ManyToManyField(
        TimeInterval,
        blank=True,
        related_name="activating",
        help_text="Something is told at these times only.",
    )

    class Meta:
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        matchers = _check_matchers("matchers", self.matchers)
        if self.parent is None:
            self._clean_root(matchers)
        elif self.pk and self._is_under_itself():
            raise ValidationError({"parent": "A route cannot be below itself; choose another parent."})
        self._clean_group_by()
        for name in ("group_wait", "group_interval", "repeat_interval"):
            value = getattr(self, name)
            if value is not None and not timedelta(0) <= value <= timedelta(days=366):
                raise ValidationError({name: "Give a duration from 0 to 366 days."})

    def _clean_root(self, matchers: tuple[Matcher, ...]) -> None:
        if matchers:
            raise ValidationError(
                {"matchers": "The root takes every alert; put the matchers on a route below it."}
            )
        if Route.objects.filter(parent=None).exclude(pk=self.pk).exists():
            raise ValidationError(
                {"parent": "There is a root already; choose it, or a route below it, as the parent."}
            )
        if not self.enabled:
            raise ValidationError(
                {"enabled": "The root cannot be switched off; silence what must not be told."}
            )

    def _is_under_itself(self) -> bool:
        seen, node = {self.pk}, self.parent
        while node is not None:
            if node.pk in seen:
                return True
            seen.add(node.pk)
            node = node.parent
        return False

    def _clean_group_by(self) -> None:
        names = self.group_by
        if names is None:
            return
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            raise ValidationError({"group_by": 'Write a list of label names, such as ["alertname", "host"].'})
        if "..." in names and len(names) > 1:
            raise ValidationError({"group_by": '"..." stands for all labels: write it alone.'})


class EscalationStep(models.Model):
    """Whoever else is told when nobody has acknowledged for so long."""

    route = models.ForeignKey(Route, on_delete=models.CASCADE, related_name="escalation")
    after = models.DurationField(
        default=timedelta(minutes=15), help_text="After the first message; an acknowledgement stops it."
    )
    receiver = models.ForeignKey(Receiver, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["after", "id"]
        constraints = [models.UniqueConstraint(fields=["route", "after"], name="escalation_step_once")]

    def __str__(self) -> str:
        return f"{self.receiver} after {self.after}"


class InhibitRule(models.Model):
    """While an alert that the source matchers match fires, those that the target matchers match are muted."""

    name = models.CharField(max_length=100, unique=True)
    enabled = models.BooleanField(default=True)
    source_matchers = models.TextField(max_length=_LONGEST, help_text=MATCHERS_HELP)
    target_matchers = models.TextField(max_length=_LONGEST, help_text=MATCHERS_HELP)
    equal: Any = models.JSONField(
        default=list, blank=True, help_text='Labels that both must have the same, such as ["host"].'
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        for field in ("source_matchers", "target_matchers"):
            if not _check_matchers(field, getattr(self, field)):
                raise ValidationError(
                    {field: "Give at least one matcher; without one it would match everything."}
                )
        if not isinstance(self.equal, list) or not all(isinstance(name, str) and name for name in self.equal):
            raise ValidationError({"equal": 'Write a list of label names, such as ["host"].'})


class Silence(models.Model):
    """What is not told for a while, by whom and why. It ends by itself; ending it early keeps it on record."""

    matchers = models.TextField(max_length=_LONGEST, help_text=MATCHERS_HELP)
    starts_at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField()
    created_by = models.CharField(max_length=150, editable=False)
    comment = models.CharField(max_length=500, verbose_name="reason")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["ends_at"], name="silence_ending")]

    def __str__(self) -> str:
        return f"silence {self.pk} by {self.created_by}"

    def clean(self) -> None:
        matchers = _check_matchers("matchers", self.matchers)
        if all(matcher.matches({}) for matcher in matchers):
            raise ValidationError(
                {
                    "matchers": "This would mute everything; give at least one matcher that does not match an empty value."
                }
            )
        if self.ends_at is not None and self.starts_at is not None and self.ends_at <= self.starts_at:
            raise ValidationError({"ends_at": "The end must come after the start."})

    def is_active(self, now: datetime) -> bool:
        return self.starts_at <= now < self.ends_at
