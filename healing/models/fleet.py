"""What is supervised and where it runs: tenant, host, project, service, container."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Any, ClassVar, Self

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from healing.core.breaker import LEAST, SHARE, BreakerMode
from healing.core.queues import LONGEST_NAME, NAME, WRONG_NAME
from healing.models.choices import choices


class EngineKind(StrEnum):
    DOCKER = "docker"
    PROCESS = "process"
    FAKE = "fake"


class HostState(StrEnum):
    """Whether the engine answers. `new` has not been asked yet."""

    NEW = "new"
    UP = "up"
    DOWN = "down"


class AutoRegister(StrEnum):
    """Which containers of a host are registered by themselves when they start."""

    NONE = "none"
    LABELLED = "labelled"
    ALL = "all"


class Controlled(models.Model):
    """Where a person can hold automation: nothing is looked at while paused, nothing is touched in a dry run."""

    paused_until = models.DateTimeField(
        null=True, blank=True, help_text="Neither checked nor healed until then; goes on by itself."
    )
    paused_reason = models.CharField(max_length=200, blank=True)
    dry_run = models.BooleanField(
        default=False, help_text="Record what would be done, from here on down, and touch nothing."
    )

    class Meta:
        abstract = True


class Breaker(models.Model):
    """The switch that stops automation where much fails at once and acting may not help."""

    breaker_mode = models.CharField(
        max_length=12,
        choices=choices(BreakerMode),
        default=BreakerMode.SLOW_START.value,
        help_text="While too much fails at once: heal slowly, hold everything, or wait for a person's approval.",
    )
    breaker_share = models.FloatField(
        default=SHARE,
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
        help_text=f"More than this share of the containers, and at least {LEAST}, failing at once opens the breaker.",
    )
    breaker_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Open since then; empty while it is closed."
    )
    breaker_calm_since = models.DateTimeField(null=True, blank=True, editable=False)
    breaker_incident = models.ForeignKey(
        "healing.FailureRecord",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    approved_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="A person has let it heal until then."
    )

    class Meta:
        abstract = True


class Tenant(Controlled):
    """Whose containers these are."""

    name = models.CharField(max_length=100, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Scope(Controlled):
    """What a host, a project, a service and a container have in common: their own config and their own pause."""

    config = models.ForeignKey(
        "healing.HealingConfig",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Values that apply from here on down; what it leaves empty is inherited.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True


class Host(Scope, Breaker):
    """One container engine that we talk to."""

    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="hosts")
    name = models.CharField(max_length=100, unique=True)
    engine_kind = models.CharField(
        max_length=20, choices=choices(EngineKind), default=EngineKind.DOCKER.value
    )
    address = models.CharField(
        max_length=300,
        help_text="unix:///var/run/docker.sock, tcp://host:2376, ssh://user@host or process:///folder",
    )
    tls_ca = models.CharField("TLS CA file", max_length=300, blank=True)
    tls_cert = models.CharField("TLS client certificate file", max_length=300, blank=True)
    tls_key = models.CharField("TLS client key file", max_length=300, blank=True)
    tls_verify = models.BooleanField("verify TLS", default=True)
    enabled = models.BooleanField(default=True)
    queue = models.CharField(
        max_length=LONGEST_NAME,
        blank=True,
        default="",
        validators=[RegexValidator(NAME, WRONG_NAME)],
        help_text="Workers near the engine take its work from queues of this name; empty: the common workers do. "
        "Small letters, digits and hyphens.",
    )
    auto_register = models.CharField(
        max_length=20, choices=choices(AutoRegister), default=AutoRegister.LABELLED.value
    )
    start_grace = models.FloatField(
        default=60.0,
        validators=[MinValueValidator(0)],
        help_text="Seconds after the engine came back in which stopped containers are left to the engine.",
    )
    state = models.CharField(
        max_length=10, choices=choices(HostState), default=HostState.NEW.value, editable=False
    )
    state_since = models.DateTimeField(null=True, blank=True, editable=False)
    down_untold = models.BooleanField(
        default=False,
        editable=False,
        help_text="It does not answer, and people are not told before maintenance is over.",
    )
    error = models.TextField(blank=True, editable=False)
    version = models.CharField(max_length=100, blank=True, editable=False)
    last_seen = models.DateTimeField(null=True, blank=True, editable=False)
    stream_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Events are seen without a gap since then."
    )
    last_event_at = models.DateTimeField(null=True, blank=True, editable=False)
    latency = models.FloatField(
        null=True,
        blank=True,
        editable=False,
        help_text="Seconds from connecting until the engine had said who it is: at the last test of the connection, "
        "or when its events were last connected to.",
    )
    latency_at = models.DateTimeField("latency measured at", null=True, blank=True, editable=False)
    grace_until = models.DateTimeField(null=True, blank=True, editable=False)
    heal_window = models.FloatField(
        default=8.0, editable=False, help_text="Heals that may be under way or not yet verified at once."
    )
    heal_window_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Project(Scope):
    """Services that belong together, as in Compose."""

    tenant = models.ForeignKey(
        Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="projects"
    )
    name = models.CharField(max_length=200, unique=True)
    auto_register = models.BooleanField(
        default=False, help_text="Register every container of this project when it starts."
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Service(Scope):
    """Containers that do the same work."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="services")
    name = models.CharField(max_length=200)

    class Meta:
        ordering = ["project__name", "name"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="service_identity")]

    def __str__(self) -> str:
        return f"{self.project.name}/{self.name}"


class Container(Scope):
    """One supervised container. Its identity is host + name, so it outlives being recreated under a new engine id."""

    tenant = models.ForeignKey(
        Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="containers"
    )
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="containers")
    project = models.ForeignKey(
        Project, null=True, blank=True, on_delete=models.SET_NULL, related_name="containers"
    )
    service = models.ForeignKey(
        Service, null=True, blank=True, on_delete=models.SET_NULL, related_name="containers"
    )
    name = models.CharField(max_length=255)
    engine_id = models.CharField(max_length=128, blank=True, db_index=True)
    image = models.CharField(max_length=500, blank=True)
    image_id = models.CharField(max_length=128, blank=True)
    previous_image_id = models.CharField(max_length=128, blank=True, editable=False)
    image_changed_at = models.DateTimeField(null=True, blank=True, editable=False)
    labels = models.JSONField(default=dict, blank=True)
    mapped = models.JSONField(
        default=dict,
        blank=True,
        help_text="Config values derived from the restart policy and the HEALTHCHECK.",
    )
    stop_signal = models.CharField(max_length=20, blank=True, editable=False)
    network_mode = models.CharField(
        max_length=300,
        blank=True,
        default="",
        editable=False,
        help_text="The engine's; container:ID where it shares the network of another container.",
    )
    monitored = models.BooleanField(default=True)
    is_swarm_task = models.BooleanField(default=False, editable=False)
    registered_by = models.CharField(max_length=200, blank=True, editable=False)

    known_revision: ClassVar[int] = -1
    """Of the configuration, the revision that this process knows by now."""
    read_at_revision = -1
    """The one that it knew when it read this row: what the row says is no older."""

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["host", "name"], name="container_identity")]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any], **newer: Any
    ) -> Self:
        row = super().from_db(db, field_names, values, **newer)
        row.read_at_revision = Container.known_revision
        return row
