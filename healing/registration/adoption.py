"""Registering one container of an engine: whether, and how its row follows it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from healing.core.config import parse_value
from healing.core.errors import ConfigError
from healing.core.labels import COMPOSE_DEPENDS_ON, COMPOSE_PROJECT, COMPOSE_SERVICE, PREFIX, read_labels
from healing.core.mapping import values_from_engine
from healing.core.recreation import is_successor, lasting_name
from healing.core.types import Lifecycle, Snapshot
from healing.models import AutoRegister, Container, HealthStatus, Host, Project, Service
from healing.registration.learning import learn_around

FILE_PREFIX = "file "
"""`registered_by` of rows whose values come from a file begins with this; an engine does not overwrite those."""

STACK_PROJECT = "com.docker.stack.namespace"
STACK_SERVICE = "com.docker.swarm.service.name"
COMPOSE_NUMBER = "com.docker.compose.container-number"

_TELLING = {"name", "engine_id", "labels", "network_mode", "project", "service"}
"""The fields from which dependencies are learned."""

# Compose sets a container aside under this name while it recreates it.
_SET_ASIDE = re.compile(r"[0-9a-f]{12}_(.+)")


def wanted(host: Host, labels: Mapping[str, str]) -> str | None:
    """Why a container with these labels is registered by itself on this host, or None where it is not.

    A label that says no, and a host whose automatic registration is `none`, outrank everything.
    """
    enabled = read_labels(labels).enabled
    if enabled is False or host.auto_register == AutoRegister.NONE:
        return None
    if enabled:
        return "label " + ("selfheal.enable" if "selfheal.enable" in labels else "autoheal")
    if host.auto_register == AutoRegister.ALL:
        return f"all containers of host {host.name}"
    project = project_of(labels)
    if project and Project.objects.filter(name=project, auto_register=True).exists():
        return f"project {project}"
    return None


def project_of(labels: Mapping[str, str]) -> str:
    """The Compose or Swarm project that the labels name, or the empty string."""
    return labels.get(COMPOSE_PROJECT) or labels.get(STACK_PROJECT) or ""


def service_of(labels: Mapping[str, str]) -> str:
    """The Compose or Swarm service that the labels name, or the empty string."""
    return labels.get(COMPOSE_SERVICE) or labels.get(STACK_SERVICE) or ""


def stable_name(snapshot_name: str, labels: Mapping[str, str]) -> str:
    """The container's lasting name: without what Compose, or we, give it while recreating."""
    name = lasting_name(snapshot_name.removeprefix("/"))
    found = _SET_ASIDE.fullmatch(name) if COMPOSE_PROJECT in labels else None
    return found[1] if found else name


def is_set_aside(name: str, labels: Mapping[str, str], names: Collection[str]) -> bool:
    """Whether this container is being replaced, or was, by another that is there under its name; or is still to replace one.

    `names` are those of the engine's containers.
    """
    if is_successor(name):
        return True
    lasting = stable_name(name, labels)
    return lasting != name and lasting in names


def mapped_values(snapshot: Snapshot) -> dict[str, Any]:
    """The config values that follow from restart policy and HEALTHCHECK; what we cannot use is left to the profile."""
    usable: dict[str, Any] = {}
    for name, value in values_from_engine(snapshot.restart_policy, snapshot.health_command).items():
        try:
            usable[name] = parse_value(name, value)
        except ConfigError:
            continue
    return usable


def adopt(host: Host, snapshot: Snapshot, registered_by: str) -> Container:
    """Register one container of an engine, or bring its row up to date. Safe to repeat and to run concurrently.

    The row follows the name through a recreate: a new engine id clears what was known of the old container and
    keeps the counters. What people set (config, pause, monitored) stays; values from a file outrank the engine's.
    """
    try:
        with transaction.atomic():
            return _adopt(host, snapshot, registered_by)
    except IntegrityError:
        with transaction.atomic():
            return _adopt(host, snapshot, registered_by)


def _adopt(host: Host, snapshot: Snapshot, registered_by: str) -> Container:
    row = find_row(host, snapshot)
    if row is None:
        row = Container(host=host, tenant_id=host.tenant_id, registered_by=registered_by[:200])
        _follow(row, snapshot)
        row.save()
        learn_around(row)
        return row
    old_engine_id = row.engine_id
    changed = _follow(row, snapshot)
    if changed:
        row.save(update_fields=changed)
    if _TELLING & {*changed}:
        learn_around(row)
    if row.engine_id != old_engine_id:
        forget_old_container(row)
    return row


def find_row(host: Host, snapshot: Snapshot) -> Container | None:
    """The row of this container: by name; renamed, by engine id; or registered from a Compose file before it ran."""
    rows = Container.objects.select_for_update(no_key=True).filter(host=host)
    by_name = rows.filter(name=stable_name(snapshot.name, snapshot.labels)).first()
    return by_name or rows.filter(engine_id=snapshot.id).first() or _announced(host, snapshot)


def _announced(host: Host, snapshot: Snapshot) -> Container | None:
    names = announced_names(snapshot.labels)
    return Container.objects.filter(host=host, engine_id="", name__in=names).first() if names else None


def announced_names(labels: Mapping[str, str]) -> list[str]:
    """The names under which a Compose file may have registered this container before it ran."""
    parts = project_of(labels), service_of(labels), labels.get(COMPOSE_NUMBER, "")
    return [separator.join(parts) for separator in "-_"] if all(parts) else []


def _follow(row: Container, snapshot: Snapshot) -> list[str]:
    """Write the snapshot's facts into the row; return the names of the fields that changed."""
    values = facts(row, snapshot)
    project = project_of(snapshot.labels)
    if project and (row.project is None or row.project.name != project):
        values["project"] = Project.objects.get_or_create(name=project)[0]
        values["service"] = None
    owner = values.get("project", row.project)
    service = service_of(snapshot.labels)
    current = values.get("service", row.service)
    if owner is not None and service and (current is None or current.name != service):
        values["service"] = Service.objects.get_or_create(project=owner, name=service)[0]
    changed = [name for name, value in values.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, values[name])
    return changed


def facts(row: Container, snapshot: Snapshot) -> dict[str, Any]:
    """The row's fields as this snapshot of it makes them, project and service apart."""
    labels = dict(snapshot.labels)
    from_file = row.registered_by.startswith(FILE_PREFIX)
    if from_file:
        stated = (name for name in row.labels if name.startswith(PREFIX) or name == COMPOSE_DEPENDS_ON)
        labels = {name: row.labels[name] for name in stated} | labels
    values: dict[str, Any] = {
        "name": stable_name(snapshot.name, snapshot.labels),
        "engine_id": snapshot.id,
        "image": snapshot.image,
        "image_id": snapshot.image_id,
        "labels": labels,
        "mapped": row.mapped if from_file else mapped_values(snapshot),
        "stop_signal": snapshot.stop_signal,
        "is_swarm_task": snapshot.is_swarm_task,
        "network_mode": snapshot.network_mode[:300],
        "monitored": monitored_after(row, labels),
    }
    if row.image_id and snapshot.image_id and row.image_id != snapshot.image_id:
        values |= {"previous_image_id": row.image_id, "image_changed_at": timezone.now()}
    return values


def monitored_after(row: Container, labels: Mapping[str, str]) -> bool:
    """Whether the row is monitored under new labels: a label that says no turns it off, and its going turns it on."""
    if read_labels(labels).enabled is False:
        return False
    return row.monitored or read_labels(row.labels).enabled is False


def forget_old_container(*rows: Container) -> None:
    """Clear what was known of containers that have been replaced under a new engine id; counters stay."""
    HealthStatus.objects.filter(container__in=rows).update(
        lifecycle=Lifecycle.NEW.value,
        started_at=None,
        ended_at=None,
        unpaused_at=None,
        stop_signal_at=None,
        stopped_by_hand_at=None,
        interrupted_at=None,
        healthy_since=None,
        next_check_at=None,
        exits=[],
        version=F("version") + 1,
    )
