"""How containers are checked and healed: profiles, probes, ceilings."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from healing.core.config import FIELD_NAMES, EngineVerdicts, FoundStopped, Priority, parse_value
from healing.core.errors import ConfigError
from healing.core.probespec import parse_probe
from healing.models.choices import choices
from healing.models.fleet import Container, Host, Service


class HealingConfig(models.Model):
    """A named set of values. An empty value is inherited from the next farther layer. Durations are seconds."""

    name = models.CharField(max_length=100, unique=True)
    description = models.CharField(max_length=300, blank=True)
    check_interval = models.FloatField(
        null=True, blank=True, help_text="Seconds between checks (default 30)."
    )
    check_timeout = models.FloatField(
        null=True, blank=True, help_text="Seconds a check may take (default 10)."
    )
    failure_threshold = models.IntegerField(
        null=True, blank=True, help_text="Failed checks in a row that make a failure (default 3)."
    )
    max_restarts = models.IntegerField(
        null=True, blank=True, help_text="Restarts within the window, and in a row (default 5)."
    )
    restart_window = models.FloatField(
        null=True, blank=True, help_text="Seconds of the window (default 300)."
    )
    auto_restart = models.BooleanField(
        null=True, blank=True, help_text="Whether to act at all (default yes)."
    )
    send_alert = models.BooleanField(null=True, blank=True, help_text="Whether to tell people (default yes).")
    start_period = models.FloatField(
        null=True, blank=True, help_text="Seconds after a start in which failures do not count (default 0)."
    )
    success_threshold = models.IntegerField(
        null=True, blank=True, help_text="Passed checks in a row that make a recovery (default 1)."
    )
    stop_timeout = models.FloatField(
        null=True,
        blank=True,
        help_text="Seconds to stop in before the kill (default: the container's own, else 10).",
    )
    backoff_initial = models.FloatField(
        null=True, blank=True, help_text="Pause before the second attempt in a row; doubles (default 10)."
    )
    backoff_max = models.FloatField(null=True, blank=True, help_text="Longest pause (default 300).")
    verify_timeout = models.FloatField(
        null=True, blank=True, help_text="Seconds a restarted container has to become healthy (default 120)."
    )
    quarantine_release = models.FloatField(
        null=True,
        blank=True,
        help_text="Seconds until one silent trial after quarantine; 0 is never (default 3600).",
    )
    always_running = models.BooleanField(
        null=True, blank=True, help_text="Whether exit code 0 is a failure too (default no)."
    )
    found_stopped = models.CharField(max_length=10, blank=True, choices=choices(FoundStopped))
    engine_verdicts = models.CharField(max_length=10, blank=True, choices=choices(EngineVerdicts))
    priority = models.CharField(max_length=20, blank=True, choices=choices(Priority))
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "healing config"

    def __str__(self) -> str:
        return self.name

    def values(self) -> dict[str, Any]:
        """The fields that are set, as `healing.core.config` reads them."""
        written = {name: getattr(self, name) for name in FIELD_NAMES}
        return {name: parse_value(name, value) for name, value in written.items() if value not in (None, "")}

    def clean(self) -> None:
        errors: dict[str, str] = {}
        for name in FIELD_NAMES:
            value = getattr(self, name)
            if value in (None, ""):
                continue
            try:
                parse_value(name, value)
            except ConfigError as error:
                errors[name] = error.reason
        if errors:
            raise ValidationError(errors)


class ConfigCeiling(models.Model):
    """A limit that outranks every config and label; for one host, or for all where no host is set."""

    field = models.CharField(max_length=50, choices=[(n, n) for n in FIELD_NAMES])
    host = models.ForeignKey(Host, null=True, blank=True, on_delete=models.CASCADE, related_name="ceilings")
    minimum = models.FloatField(null=True, blank=True)
    maximum = models.FloatField(null=True, blank=True)

    class Meta:
        ordering = ["field", "id"]
        verbose_name = "ceiling"

    def __str__(self) -> str:
        return f"{self.minimum if self.minimum is not None else '…'} ≤ {self.field} ≤ {self.maximum or '…'}"

    def clean(self) -> None:
        if self.minimum is None and self.maximum is None:
            raise ValidationError("Set a minimum, a maximum or both; with neither it limits nothing.")
        for side in ("minimum", "maximum"):
            value = getattr(self, side)
            if value is None:
                continue
            try:
                parse_value(self.field, value)
            except ConfigError as error:
                raise ValidationError({side: error.reason}) from error
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValidationError({"minimum": f"{self.minimum:g} is more than the maximum {self.maximum:g}"})


class Probe(models.Model):
    """One of our own questions to a container, or to every container of a service."""

    container = models.ForeignKey(
        Container, null=True, blank=True, on_delete=models.CASCADE, related_name="probes"
    )
    service = models.ForeignKey(
        Service, null=True, blank=True, on_delete=models.CASCADE, related_name="probes"
    )
    name = models.CharField(max_length=100)
    target = models.CharField(
        max_length=1000, help_text="http://:8080/path, https://host/path, tcp://:5432 or exec:command"
    )
    options = models.JSONField(
        default=dict,
        blank=True,
        help_text='Such as {"status": "200-299", "body_match": "ok", "tls_verify": false, "timeout": 2}.',
    )
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name} ({self.target})"

    def clean(self) -> None:
        if (self.container_id is None) == (self.service_id is None):
            raise ValidationError("A probe belongs to either a container or a service: choose one of them.")
        try:
            parse_probe(self.name, self.target, self.options)
        except ConfigError as error:
            raise ValidationError(
                {"target" if error.field == self.name else "options": error.reason}
            ) from error
