"""Selfheal's own state: revisions, heartbeats, shards of the sweep."""

from __future__ import annotations

from django.db import models

from healing.models.fleet import Host


class SystemState(models.Model):
    """One row (id 1): what all processes must agree on."""

    config_revision = models.BigIntegerField(default=0, help_text="Grows with every change of configuration.")
    paused_until = models.DateTimeField(null=True, blank=True)
    paused_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "system state"

    def __str__(self) -> str:
        return "system state"


class Heartbeat(models.Model):
    """When a part of Selfheal last showed that it works: `beat`, `worker:<name>`, `watch:<host>`."""

    name = models.CharField(max_length=200, unique=True)
    at = models.DateTimeField()
    details = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class CheckShard(models.Model):
    """A part of a host's containers that one task checks at a time; claimed by a conditional UPDATE."""

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="shards")
    number = models.IntegerField(default=0)
    next_due_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["host_id", "number"]
        constraints = [models.UniqueConstraint(fields=["host", "number"], name="shard_identity")]
        indexes = [models.Index(fields=["next_due_at"], name="shards_due")]

    def __str__(self) -> str:
        return f"{self.host_id}/{self.number}"


class Trouble(models.Model):
    """Something wrong with Selfheal's own sight: told once when it begins and once when it is over."""

    key = models.CharField(max_length=200)
    message = models.TextField()
    since = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-since"]
        constraints = [
            models.UniqueConstraint(
                fields=["key"], condition=models.Q(resolved_at__isnull=True), name="one_open_trouble_per_key"
            )
        ]

    def __str__(self) -> str:
        return self.key
