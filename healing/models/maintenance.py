"""When people work on something: checks go on, healing and paging wait."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models

from healing.core.errors import ConfigError
from healing.core.maintenance import Recurrence, Schedule, parse
from healing.models.choices import choices
from healing.models.fleet import Container, Controlled, Host, Project, Service, Tenant

__all__ = ["SCOPES", "MaintenanceWindow", "Recurrence"]

SCOPES = ("tenant", "host", "project", "service", "container")
"""What a window may be for, the widest first."""


class MaintenanceWindow(models.Model):
    """One window, of one scope or of everything.

    Once: from `starts_at` to `ends_at`. Else from `start_time` to `end_time` on the wall clock of `time_zone`,
    past midnight where the end is not after the start.
    """

    name = models.CharField(max_length=100, unique=True)
    enabled = models.BooleanField(default=True)
    reason = models.CharField(max_length=200, blank=True)
    everything = models.BooleanField(default=False, help_text="For the whole fleet; else choose one scope.")
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    host = models.ForeignKey(Host, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    service = models.ForeignKey(Service, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    container = models.ForeignKey(
        Container, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    recurrence = models.CharField(max_length=10, choices=choices(Recurrence), default=Recurrence.ONCE.value)
    starts_at = models.DateTimeField(null=True, blank=True, help_text="Once: its begin; else not before.")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Once: its end; else not after.")
    time_zone = models.CharField(max_length=64, default="UTC", help_text="Such as Europe/Berlin.")
    start_time = models.TimeField(null=True, blank=True)
    end_time = models.TimeField(null=True, blank=True)
    weekdays = models.CharField(max_length=40, blank=True, help_text="Weekly: such as mon,wed,sun.")
    days = models.CharField(
        max_length=100, blank=True, help_text="Monthly: such as 1,15; -1 is the last day of the month."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "maintenance window"

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """One scope or everything, and a time that can be used."""
        chosen = sum(getattr(self, f"{name}_id") is not None for name in SCOPES)
        if chosen + self.everything != 1:
            why = (
                "nothing is chosen, and nothing means nothing"
                if not chosen
                else "more than one thing is chosen"
            )
            raise ValidationError(
                f"{why}: choose one {', '.join(SCOPES[:-1])} or {SCOPES[-1]}, or everything"
            )
        try:
            self.schedule()
        except ConfigError as error:
            raise ValidationError({error.field: error.reason}) from None

    def schedule(self) -> Schedule:
        """When it is open. Raise ConfigError for values that cannot be used."""
        return parse(
            self.name,
            self.recurrence,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            time_zone=self.time_zone,
            start_time=self.start_time,
            end_time=self.end_time,
            weekdays=self.weekdays,
            days=self.days,
            reason=self.reason,
        )

    @property
    def scope(self) -> Controlled | None:
        """What it is for; None for everything, and where a row says nothing."""
        return next((found for name in SCOPES if (found := getattr(self, name)) is not None), None)
