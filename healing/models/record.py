"""What was seen and what was done: health status, failure record, attempt."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from django.db import models
from django.db.models import Q

from healing.core.shedding import DEFAULT_RANK
from healing.core.types import ActionKind, ActionResult, FailureType, Health, Lifecycle
from healing.models.choices import choices, rank_choices
from healing.models.fleet import Container, Tenant


class HealthStatus(models.Model):
    """The newest verdict about one container: hot rows, apart from its configuration."""

    container = models.OneToOneField(
        Container, primary_key=True, on_delete=models.CASCADE, related_name="health"
    )
    status = models.CharField(max_length=10, choices=choices(Health), default=Health.UNKNOWN.value)
    lifecycle = models.CharField(max_length=20, choices=choices(Lifecycle), default=Lifecycle.NEW.value)
    consecutive_failures = models.IntegerField(default=0)
    consecutive_successes = models.IntegerField(default=0)
    total_restarts = models.IntegerField(default=0)
    last_check_time = models.DateTimeField(
        null=True, blank=True, help_text="When it was last looked at by itself; see last_checked_at."
    )
    last_restart_time = models.DateTimeField(null=True, blank=True)
    message = models.TextField(blank=True)
    warnings = models.JSONField(default=list, blank=True)
    next_check_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When to look at it by itself again; empty: with each sweep of its host.",
    )
    priority = models.SmallIntegerField(
        choices=rank_choices(),
        default=DEFAULT_RANK,
        help_text="Its config's, as the last sweep of its host found it.",
    )
    healthy_since = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(
        null=True, blank=True, help_text="The engine's StartedAt when last inspected."
    )
    ended_at = models.DateTimeField(
        null=True, blank=True, help_text="The engine's FinishedAt of the exit last counted."
    )
    unpaused_at = models.DateTimeField(null=True, blank=True)
    stop_signal_at = models.DateTimeField(
        null=True, blank=True, help_text="When somebody else's stop signal was seen last."
    )
    stopped_by_hand_at = models.DateTimeField(null=True, blank=True)
    interrupted_at = models.DateTimeField(
        null=True, blank=True, help_text="When its engine went away while it was running."
    )
    exits = models.JSONField(
        default=list, blank=True, help_text="Recent quick exits: [started, finished] pairs."
    )
    quarantined_at = models.DateTimeField(null=True, blank=True)
    quarantine_until = models.DateTimeField(null=True, blank=True)
    released_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When a person released it last: attempts before are no longer in a row.",
    )
    version = models.BigIntegerField(
        default=0, help_text="Grows with every write; a verdict about an older version is dropped."
    )

    class Meta:
        verbose_name = "health status"
        verbose_name_plural = "health statuses"
        indexes = [models.Index(fields=["status", "lifecycle"], name="health_by_status")]

    def __str__(self) -> str:
        return f"{self.container_id}: {self.status}"

    @property
    def last_checked_at(self) -> datetime | None:
        """When it was checked last: looked at by itself, or found as it was by a sweep of its host, which writes nothing."""
        swept = self.container.host.last_seen if self.next_check_at is None else None
        if self.last_check_time is None or swept is None:
            return self.last_check_time
        return max(self.last_check_time, swept)


class Stage(StrEnum):
    """Where a heal is. A closed record has stage `closed`."""

    DIAGNOSE = "diagnose"
    RESTART = "restart"
    RECREATE = "recreate"
    VERIFY = "verify"
    OBSERVE = "observe"
    CLOSED = "closed"


class FailureRecord(models.Model):
    """One failure from detection to resolution (`is_found`), or what automation did about its parent.

    A found failure with a parent belongs to the incident that the parent stands for.
    """

    tenant = models.ForeignKey(
        Tenant, null=True, blank=True, on_delete=models.SET_NULL, related_name="failures"
    )
    container = models.ForeignKey(Container, on_delete=models.CASCADE, related_name="failures")
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="children"
    )
    engine_id = models.CharField(max_length=128, blank=True)
    container_name = models.CharField(max_length=255)
    host_name = models.CharField(max_length=100, blank=True)
    service_name = models.CharField(max_length=200, blank=True)
    project_name = models.CharField(max_length=200, blank=True)
    failure_type = models.CharField(max_length=30, choices=choices(FailureType))
    is_found = models.BooleanField(
        default=True, help_text="Found by a check, and not a record of what was done."
    )
    cause = models.CharField(max_length=100, blank=True)
    error_message = models.TextField(blank=True)
    details = models.JSONField(default=dict, blank=True)
    action = models.CharField(max_length=20, choices=choices(ActionKind), default=ActionKind.NONE.value)
    action_result = models.CharField(
        max_length=10, choices=choices(ActionResult), default=ActionResult.PENDING.value
    )
    reason = models.TextField(blank=True, help_text="Why that was done, or why nothing was.")
    detected_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    priority = models.SmallIntegerField(
        choices=rank_choices(), default=DEFAULT_RANK, help_text="Its container's when it was found."
    )
    put_off_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When it had to wait for others because too many heals were under way.",
    )
    is_trial = models.BooleanField(default=False, help_text="The one silent attempt after a quarantine.")
    in_success_rate = models.BooleanField(default=True)
    alert_level = models.CharField(max_length=10, blank=True, help_text="The highest level told so far.")

    stage = models.CharField(max_length=10, choices=choices(Stage), default=Stage.DIAGNOSE.value)
    due_at = models.DateTimeField(null=True, blank=True)
    fence = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_owner = models.CharField(max_length=200, blank=True)
    lost_claims = models.IntegerField(
        default=0, help_text="Workers in a row that took it and never came back: it may kill them."
    )
    forced = models.BooleanField(
        default=False, help_text="A person asked: back-off and quarantine are skipped."
    )
    forced_at = models.DateTimeField(null=True, blank=True, help_text="When a person asked last.")

    class Meta:
        ordering = ["-detected_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["container"],
                condition=Q(resolved_at__isnull=True, is_found=True),
                name="one_open_failure_per_container",
            )
        ]
        indexes = [
            models.Index(
                fields=["due_at"], condition=Q(resolved_at__isnull=True, is_found=True), name="failures_due"
            ),
            models.Index(fields=["container", "-detected_at"], name="failures_of_container"),
            models.Index(fields=["detected_at"], name="failures_by_time"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.container_name} {self.failure_type}"


class AttemptState(StrEnum):
    """How far one attempt came. Intent is committed before the engine is called."""

    INTENDED = "intended"
    CALLED = "called"
    VERIFYING = "verifying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


class Attempt(models.Model):
    """One try of an action. `withdrawn` never reached the engine, and still has spent its budget."""

    failure = models.ForeignKey(FailureRecord, on_delete=models.CASCADE, related_name="attempts")
    container = models.ForeignKey(Container, on_delete=models.CASCADE, related_name="attempts")
    number = models.IntegerField()
    action = models.CharField(max_length=20, default=ActionKind.RESTART.value)
    state = models.CharField(
        max_length=12, choices=choices(AttemptState), default=AttemptState.INTENDED.value
    )
    fence = models.BigIntegerField()
    reason = models.TextField(blank=True)
    budget_spent = models.IntegerField(help_text="Attempts within the window, this one included.")
    budget_limit = models.IntegerField()
    row_number = models.IntegerField(
        default=1, help_text="Attempts in a row without a lasting recovery, this included."
    )
    backoff = models.FloatField(default=0.0, help_text="Seconds of pause before this attempt.")
    stop_timeout = models.FloatField(default=10.0)
    guard_engine_id = models.CharField(max_length=128)
    guard_started_at = models.DateTimeField(null=True, blank=True)
    intent_at = models.DateTimeField()
    called_at = models.DateTimeField(null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    verify_until = models.DateTimeField(null=True, blank=True)
    looks = models.IntegerField(default=0, help_text="How often verification has looked.")
    answer = models.TextField(blank=True, help_text="The engine's answer to the call.")
    outcome = models.TextField(blank=True, help_text="What verification found, or why nothing was called.")

    class Meta:
        ordering = ["failure_id", "number"]
        constraints = [models.UniqueConstraint(fields=["failure", "number"], name="attempt_number")]
        indexes = [models.Index(fields=["container", "-intent_at"], name="attempts_of_container")]

    def __str__(self) -> str:
        return f"attempt {self.number} of failure #{self.failure_id}"
