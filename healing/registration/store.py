"""Registering rows: plan, then write in batches with a fixed number of statements each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

from django.db import transaction

from healing.models import CheckShard, Container, HealthStatus, Host, Project, Service
from healing.registration.adoption import forget_old_container
from healing.registration.learning import learn_host
from healing.registration.planning import BATCH, Change, plan
from healing.registration.preview import previews
from healing.registration.rows import Finding, Place, Reading, Report
from healing.signals import bump_revision

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Told how many containers are written, of how many."""

ServiceKey = tuple[str, str]


def register(
    reading: Reading,
    host: Host | None,
    *,
    dry_run: bool = False,
    atomic: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Register what was read, on `host` where a row names none. Idempotent.

    A refused row is left out; with `atomic` one refusal leaves everything as it was. What people have set
    (a container's own config, a pause, monitoring switched off) is never overwritten.
    """
    planned = plan(reading.rows, host)
    refused = [*reading.refused, *planned.refused]
    report = Report(
        refused=refused,
        warnings=list(reading.warnings),
        skipped=[*reading.skipped, *planned.skipped],
        something_read=reading.files_read > 0,
    )
    if dry_run:
        report.containers = previews(planned.changes)
    if atomic and refused:
        return report
    report.created, report.updated = planned.names(new=True), planned.names(new=False)
    report.unchanged = planned.unchanged()
    if not dry_run:
        changes = [change for change in planned.changes if change.fields]
        cycles = _write(changes, atomic, progress or (lambda done, total: None))
        report.warnings += [Finding(Place(), "depends_on", reason) for reason in cycles]
        _log(report)
    return report


def _write(changes: Sequence[Change], atomic: bool, progress: Progress) -> list[str]:
    """Write the changes; dependencies that are not stored, as sentences."""
    if not changes:
        return []
    with transaction.atomic() if atomic else nullcontext():
        _set_owners(changes)
        for start in range(0, len(changes), BATCH):
            with transaction.atomic():
                _write_batch(changes[start : start + BATCH])
            progress(min(start + BATCH, len(changes)), len(changes))
        hosts = {change.container.host_id for change in changes}
        CheckShard.objects.bulk_create(
            [CheckShard(host_id=pk, number=0) for pk in hosts], ignore_conflicts=True
        )
        CheckShard.objects.filter(host_id__in=hosts).update(next_due_at=None)
        bump_revision()
        return [reason for pk in sorted(hosts) for reason in learn_host(pk)]


def _write_batch(batch: Sequence[Change]) -> None:
    """A fixed number of statements, whatever the number of rows. Bulk writes send no signals, so their work is done here."""
    new = [change.container for change in batch if change.is_new]
    old = [change.container for change in batch if not change.is_new]
    replaced = [change.container for change in batch if change.replaced]
    fields = sorted({name for change in batch for name in change.fields} - {"name"})
    if old:
        updated = sorted({name for change in batch if not change.is_new for name in change.fields})
        Container.objects.bulk_create(old, update_conflicts=True, unique_fields=["id"], update_fields=updated)
    if new:
        Container.objects.bulk_create(
            new, update_conflicts=True, unique_fields=["host", "name"], update_fields=fields
        )
        HealthStatus.objects.bulk_create([HealthStatus(container=row) for row in new], ignore_conflicts=True)
    if replaced:
        forget_old_container(*replaced)


def _set_owners(changes: Sequence[Change]) -> None:
    """Give the containers their projects and services, made where missing."""
    projects = _projects({change.project for change in changes if change.project})
    keys = {(change.project, change.service) for change in changes if change.project and change.service}
    services = _services(keys, projects)
    for change in changes:
        change.container.project = projects.get(change.project)
        change.container.service = services.get((change.project, change.service))


def _projects(names: set[str]) -> dict[str, Project]:
    found = _projects_named(names)
    missing = sorted(names - found.keys())
    if missing:
        Project.objects.bulk_create(
            [Project(name=name) for name in missing], ignore_conflicts=True, batch_size=BATCH
        )
        found |= _projects_named(missing)
    return found


def _projects_named(names: Iterable[str]) -> dict[str, Project]:
    return {
        project.name: project
        for chunk in _chunks(sorted(names))
        for project in Project.objects.filter(name__in=chunk)
    }


def _services(keys: set[ServiceKey], projects: dict[str, Project]) -> dict[ServiceKey, Service]:
    found = _services_of(projects)
    missing = sorted(keys - found.keys())
    if missing:
        rows = [Service(project=projects[project], name=name) for project, name in missing]
        Service.objects.bulk_create(rows, ignore_conflicts=True, batch_size=BATCH)
        found = _services_of(projects)
    return found


def _services_of(projects: dict[str, Project]) -> dict[ServiceKey, Service]:
    return {
        (service.project.name, service.name): service
        for chunk in _chunks([project.pk for project in projects.values()])
        for service in Service.objects.filter(project__in=chunk).select_related("project")
    }


def _chunks(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def _log(report: Report) -> None:
    counts = {f"{name}_count": len(getattr(report, name)) for name in ("created", "updated", "refused")}
    logger.info("containers registered", extra={"action": "containers_registered", **counts})
