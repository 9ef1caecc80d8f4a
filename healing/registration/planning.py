"""What registering rows would change, found out without changing anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q

from healing.core.labels import COMPOSE_DEPENDS_ON, read_labels
from healing.models import Container, Host
from healing.registration.adoption import FILE_PREFIX, announced_names, facts, monitored_after
from healing.registration.declare import is_ours
from healing.registration.hosts import HOW_TO_ADD
from healing.registration.rows import Finding, Row

BATCH = 500


@dataclass(slots=True)
class Change:
    """One container as it will be. `fields` are those that differ from the database; project and service by name."""

    row: Row
    container: Container
    project: str
    service: str
    fields: list[str] = field(default_factory=list)
    replaced: bool = False
    """True where the row now follows another engine id."""

    @property
    def is_new(self) -> bool:
        return self.container.pk is None


@dataclass(slots=True)
class Plan:
    changes: list[Change] = field(default_factory=list)
    refused: list[Finding] = field(default_factory=list)
    skipped: list[Finding] = field(default_factory=list)

    def names(self, *, new: bool) -> list[str]:
        return [c.container.name for c in self.changes if c.is_new == new and (new or c.fields)]

    def unchanged(self) -> list[str]:
        return [c.container.name for c in self.changes if not c.is_new and not c.fields]


def plan(rows: Sequence[Row], default_host: Host | None) -> Plan:
    """Compare rows with the database: one query for a batch of 500."""
    result = Plan()
    for host, batch in _batches(_placed(rows, default_host, result)):
        existing = Existing(host, batch)
        for row in batch:
            _plan_row(row, host, existing, result)
    return result


def _placed(rows: Sequence[Row], default_host: Host | None, result: Plan) -> dict[Host, list[Row]]:
    """The rows by host; refused are rows of unknown hosts, and the second of two rows for one container."""
    hosts = {host.name: host for host in Host.objects.all()}
    seen: dict[tuple[int, str], Row] = {}
    placed: dict[Host, list[Row]] = defaultdict(list)
    for row in rows:
        host = hosts.get(row.host) if row.host else default_host
        if host is None:
            known = ", ".join(hosts) or "none yet"
            reason = (
                f"there is no host {row.host!r} (there are: {known}); {HOW_TO_ADD}"
                if row.host
                else (f"the row names no host and there are several ({known}); write one, or give --host")
            )
            result.refused.append(Finding(row.place, "host", reason))
            continue
        first = seen.setdefault((host.pk, row.name), row)
        if first is not row:
            reason = (
                f"{row.name!r} on host {host.name} is there already, at {first.place}; remove or rename one"
            )
            result.refused.append(Finding(row.place, "name", reason))
            continue
        placed[host].append(row)
    return placed


def _batches(placed: Mapping[Host, list[Row]]) -> Iterator[tuple[Host, list[Row]]]:
    for host, rows in placed.items():
        for start in range(0, len(rows), BATCH):
            yield host, rows[start : start + BATCH]


class Existing:
    """The containers that a batch of rows may mean: by name, by engine id, or announced by a Compose file."""

    def __init__(self, host: Host, batch: Sequence[Row]) -> None:
        names = {row.name for row in batch}
        engine_ids = {row.snapshot.id for row in batch if row.snapshot}
        for row in batch:
            names.update(announced_names(row.snapshot.labels) if row.snapshot else ())
        wanted = Q(name__in=names) | Q(engine_id__in=engine_ids) if engine_ids else Q(name__in=names)
        found = Container.objects.filter(wanted, host=host).select_related("project", "service")
        self._by_name = {container.name: container for container in found}
        self._by_engine_id = {container.engine_id: container for container in found if container.engine_id}

    def take(self, row: Row) -> Container | None:
        """The container of this row; each is given once."""
        found = self._by_name.get(row.name)
        if found is None and row.snapshot is not None:
            found = self._by_engine_id.get(row.snapshot.id) or self._announced(row.snapshot.labels)
        if found is not None:
            self._by_name.pop(found.name, None)
            self._by_engine_id.pop(found.engine_id, None)
        return found

    def _announced(self, labels: Mapping[str, str]) -> Container | None:
        candidates = [self._by_name.get(name) for name in announced_names(labels)]
        return next((found for found in candidates if found is not None and not found.engine_id), None)


def _plan_row(row: Row, host: Host, existing: Existing, result: Plan) -> None:
    container = existing.take(row)
    if container is None:
        if read_labels(row.labels).enabled is False:
            reason = f"{row.name}: its label says that it is not to be supervised"
            result.skipped.append(Finding(row.place, "labels", reason))
            return
        container = Container(host=host, tenant_id=host.tenant_id)
    result.changes.append(_change(row, container))


def _change(row: Row, container: Container) -> Change:
    values = facts(container, row.snapshot) if row.snapshot else _file_values(row, container)
    changed = [name for name, value in values.items() if getattr(container, name) != value]
    if row.registered_by and _takes_over(row, container, bool(changed)):
        values["registered_by"] = row.registered_by[:200]
        changed.append("registered_by")
    project, service = _owners(row, container)
    change = Change(row, container, project, service)
    change.replaced = "engine_id" in changed and bool(container.engine_id)
    for name in changed:
        setattr(container, name, values[name])
    if change.project != _name(container.project):
        changed += ["project", "service"]
    elif change.service != _name(container.service):
        changed.append("service")
    change.fields = changed
    return change


def _owners(row: Row, container: Container) -> tuple[str, str]:
    """The names of project and service: the row's, else the container's; a service never outlives its project."""
    project = row.project or _name(container.project)
    kept = _name(container.service) if project == _name(container.project) else ""
    return project, row.service or kept


def _takes_over(row: Row, container: Container, changed: bool) -> bool:
    """Whether the row's origin replaces the container's: a file's does, an engine's only where there is none."""
    if row.snapshot is not None or not container.registered_by:
        return not container.registered_by
    other_file = changed and container.registered_by != row.registered_by[:200]
    return other_file or not container.registered_by.startswith(FILE_PREFIX)


def _file_values(row: Row, container: Container) -> dict[str, Any]:
    """The fields as a file makes them. What an engine has said about a container that it runs is kept."""
    labels = dict(row.labels)
    if container.engine_id:
        kept = (name for name in container.labels if not is_ours(name) and name != COMPOSE_DEPENDS_ON)
        labels = {name: container.labels[name] for name in kept} | labels
    values: dict[str, Any] = {
        "name": row.name,
        "labels": labels,
        "mapped": dict(row.mapped),
        "monitored": monitored_after(container, labels),
    }
    if row.image and not container.engine_id:
        values["image"] = row.image
    if not container.engine_id:
        values["network_mode"] = row.network_mode
    return values


def _name(thing: Any) -> str:
    return thing.name if thing is not None else ""
