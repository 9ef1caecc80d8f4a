"""What follows from saving configuration: caches everywhere are told by a higher revision."""

from __future__ import annotations

from typing import Any

from django.db.models import F
from django.db.models.signals import post_delete, post_save

from healing.models import (
    CheckShard,
    ConfigCeiling,
    Container,
    Dependency,
    HealingConfig,
    HealthStatus,
    Host,
    MaintenanceWindow,
    Probe,
    Project,
    Service,
    SystemState,
    Tenant,
)

_CONFIGURATION = (
    HealingConfig,
    ConfigCeiling,
    Probe,
    Tenant,
    Host,
    Project,
    Service,
    Container,
    Dependency,
    MaintenanceWindow,
)


def connect() -> None:
    """Called once when the app is ready."""
    for model in _CONFIGURATION:
        post_save.connect(bump_revision, sender=model, dispatch_uid=f"revision-save-{model.__name__}")
        post_delete.connect(bump_revision, sender=model, dispatch_uid=f"revision-delete-{model.__name__}")
    post_save.connect(add_status, sender=Container, dispatch_uid="status-of-container")
    post_save.connect(add_shard, sender=Host, dispatch_uid="shard-of-host")


def bump_revision(**_: Any) -> None:
    """Tell every process that configuration has changed. Call it after changes that bypass `save()`."""
    if not SystemState.objects.filter(pk=1).update(config_revision=F("config_revision") + 1):
        SystemState.objects.get_or_create(pk=1, defaults={"config_revision": 1})


def add_status(instance: Container, created: bool, raw: bool = False, **_: Any) -> None:
    if created and not raw:
        HealthStatus.objects.get_or_create(container=instance)


def add_shard(instance: Host, created: bool, raw: bool = False, **_: Any) -> None:
    if created and not raw:
        CheckShard.objects.get_or_create(host=instance, number=0)
