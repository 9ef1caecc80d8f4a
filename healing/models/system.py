"""Selfheal's own state: revisions, heartbeats, shards of the sweep."""

from __future__ import annotations

from django.db import models

from healing.core.shedding import HOLD, Level
from healing.models.choices import rank_choices
from healing.models.fleet import Breaker, Controlled, Host


class SystemState(Controlled, Breaker):
    """One row (id 1): what all processes must agree on."""

    config_revision = models.BigIntegerField(default=0, help_text="Grows with every change of configuration.")

    class Meta:
        verbose_name = verbose_name_plural = "system state"

    def __str__(self) -> str:
        return "system state"


class Heartbeat(models.Model):
    """When a part of Selfheal last showed that it works: `beat`, `broker`, `started`, `watch:<host>`, `queue:<name>`, `unserved:<name>`."""

    name = models.CharField(max_length=200, unique=True)
    at = models.DateTimeField()
    details = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class DeadLetter(models.Model):
    """A message that cannot be worked off, or that kills whoever tries, kept aside so that the others flow."""

    at = models.DateTimeField()
    queue = models.CharField(max_length=200, blank=True)
    task = models.CharField(max_length=200, blank=True)
    task_id = models.CharField(max_length=200, blank=True)
    reason = models.TextField()
    body = models.TextField(blank=True, help_text="What it said, cut to 4,096 characters.")

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["-at"], name="dead_letters_newest")]

    def __str__(self) -> str:
        return f"{self.task or 'unreadable'}: {self.reason[:80]}"


class CheckShard(models.Model):
    """A part of a host's containers that one task checks at a time; claimed by a conditional UPDATE."""

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="shards")
    number = models.IntegerField(default=0)
    next_due_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    begun_at = models.DateTimeField(
        null=True, blank=True, help_text="When a worker took it up; empty while nobody has."
    )
    priority = models.SmallIntegerField(
        choices=rank_choices(),
        default=0,
        help_text="That of its most important container; critical as long as that is not known.",
    )
    lost_claims = models.IntegerField(
        default=0,
        help_text="Workers in a row that took it and never came back: what it checks may kill them.",
    )
    is_cut_short = models.BooleanField(default=False, help_text="Its last sweep had no time for everything.")

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
    told = models.BooleanField(
        default=True, help_text="People were told; not yet where maintenance is under way."
    )
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


class Overload(models.Model):
    """How late the checks of one queue's hosts are, and what is shed because of it. No row: it was never late."""

    queue = models.CharField(max_length=100, unique=True)
    level = models.SmallIntegerField(
        "shed",
        choices=[(level.value, level.name.lower().replace("_", "-")) for level in Level],
        default=Level.NONE.value,
        help_text="Checks of this priority and below are put off.",
    )
    lateness = models.FloatField(default=0.0, help_text="Seconds that checks wait for a worker.")
    heals_waiting = models.IntegerField(default=0, help_text="Heals that were due and that nobody had.")
    measured_at = models.DateTimeField()
    late_since = models.DateTimeField(null=True, blank=True)
    calm_since = models.DateTimeField(null=True, blank=True)
    raised_at = models.DateTimeField(null=True, blank=True)
    lowered_at = models.DateTimeField(null=True, blank=True)
    hold = models.FloatField(default=HOLD.total_seconds(), help_text="Seconds of calm before less is shed.")
    told_at = models.DateTimeField(
        null=True, blank=True, help_text="When people were told; empty once it is over."
    )
    counted_before = models.JSONField(
        default=dict, blank=True, help_text="Checks put off by priority before this overload began."
    )

    class Meta:
        ordering = ["queue"]

    def __str__(self) -> str:
        return self.queue


class PutOff(models.Model):
    """Checks of a host that were put off for more important ones, counted by the hour and by priority."""

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="put_off")
    hour = models.DateTimeField(help_text="The beginning of the hour.")
    priority = models.SmallIntegerField(choices=rank_choices())
    checks = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["-hour", "host_id", "priority"]
        verbose_name = verbose_name_plural = "checks put off"
        constraints = [models.UniqueConstraint(fields=["host", "hour", "priority"], name="put_off_identity")]

    def __str__(self) -> str:
        return f"{self.host_id}: {self.checks}"
