"""What a dry run shows of each container: what would be stored, and the config that would apply to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from healing.core.config import FIELD_NAMES
from healing.effective import ConfigBook, config_book
from healing.models import Container, Project, Service
from healing.registration.planning import Change


def previews(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """The containers as they would be, with each value of the effective config and where that comes from."""
    book = config_book()
    projects = {project.name: project for project in Project.objects.exclude(config=None)}
    services = {
        (service.project.name, service.name): service
        for service in Service.objects.exclude(config=None).select_related("project")
    }
    return [
        _preview(change, book, projects.get(change.project), services.get((change.project, change.service)))
        for change in changes
    ]


def _preview(
    change: Change, book: ConfigBook, project: Project | None, service: Service | None
) -> dict[str, Any]:
    container = change.container
    unsaved = Container(
        host_id=container.host_id,
        config_id=container.config_id,
        project=project,
        service=service,
        name=container.name,
        labels=container.labels,
        mapped=container.mapped,
    )
    effective = book.effective(unsaved)
    return {
        "name": container.name,
        "host": container.host.name,
        "project": change.project,
        "service": change.service,
        "image": container.image,
        "labels": dict(container.labels),
        "mapped": dict(container.mapped),
        "monitored": container.monitored,
        "config": {name: getattr(effective.config, name) for name in FIELD_NAMES},
        "origins": dict(effective.origins),
        "warnings": list(effective.warnings),
    }
