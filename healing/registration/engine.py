"""Registration from what an engine has: all that are selected, or (adopt) one that has just started."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from healing.core.errors import ConfigError, ContainerNotFound
from healing.core.labels import read_labels
from healing.core.ports import Engine
from healing.core.types import Snapshot
from healing.models import Host
from healing.registration.adoption import (
    adopt,
    is_set_aside,
    project_of,
    service_of,
    stable_name,
    wanted,
)
from healing.registration.rows import Finding, Place, Reading, Report, Row
from healing.registration.store import Progress, register

__all__ = ["Selection", "adopt", "parse_selection", "register_from_engine", "register_snapshots", "wanted"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which containers of an engine are meant: those that fit everything that is given. Nothing given, nothing meant.

    `labels` are NAME=VALUE, or NAME for any value.
    """

    all: bool = False
    labels: tuple[str, ...] = ()
    project: str = ""

    def __bool__(self) -> bool:
        return self.all or bool(self.labels) or bool(self.project)

    def matches(self, labels: Mapping[str, str]) -> bool:
        if not self:
            return False
        if self.project and project_of(labels) != self.project:
            return False
        return all(_has(labels, wanted_label) for wanted_label in self.labels)


def parse_selection(all_: bool, labels: Sequence[str], project: str) -> Selection:
    """Raise ConfigError for a label without a name."""
    for label in labels:
        if not label.partition("=")[0].strip():
            raise ConfigError("label", f"{label!r} has no name; write NAME=VALUE or NAME")
    return Selection(all_, tuple(labels), project)


def _has(labels: Mapping[str, str], text: str) -> bool:
    name, equals, value = text.partition("=")
    return name in labels and (not equals or labels[name] == value)


def register_from_engine(
    host: Host,
    engine: Engine,
    selection: Selection,
    *,
    dry_run: bool = False,
    atomic: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Register the selected containers of the host's engine. Engine errors pass through."""
    return register_snapshots(
        host, select(engine, selection), dry_run=dry_run, atomic=atomic, progress=progress
    )


def register_snapshots(
    host: Host,
    snapshots: Iterable[Snapshot],
    *,
    dry_run: bool = False,
    atomic: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Register containers as inspected. One whose label says no is skipped."""
    place = Place(f"engine {host.name}")
    reading = Reading(files_read=1)
    for snapshot in snapshots:
        reading.rows.append(_row(snapshot, place))
        warnings = read_labels(snapshot.labels).warnings
        reading.warnings += [Finding(place, "labels", f"{snapshot.name}: {text}") for text in warnings]
    return register(reading, host, dry_run=dry_run, atomic=atomic, progress=progress)


def select(engine: Engine, selection: Selection) -> list[Snapshot]:
    """List, choose, inspect. What disappears meanwhile is left out."""
    listed = engine.list() if selection else []
    names = {summary.name for summary in listed}
    found = []
    for summary in listed:
        if not selection.matches(summary.labels) or is_set_aside(summary.name, summary.labels, names):
            continue
        try:
            found.append(engine.inspect(summary.id))
        except ContainerNotFound:
            continue
    return found


def _row(snapshot: Snapshot, place: Place) -> Row:
    return Row(
        place=place,
        name=stable_name(snapshot.name, snapshot.labels),
        project=project_of(snapshot.labels),
        service=service_of(snapshot.labels) if project_of(snapshot.labels) else "",
        image=snapshot.image,
        labels=snapshot.labels,
        snapshot=snapshot,
        registered_by=str(place),
    )
