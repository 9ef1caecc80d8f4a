"""What readers hand over: rows to register, and what was refused, skipped or noted, each with its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from healing.core.types import Snapshot


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written. `line` counts from 1; None where there are no lines."""

    file: str = ""
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence about one place: why a row or a file is refused, or a warning. `field` may be empty."""

    place: Place
    field: str
    reason: str

    def as_dict(self) -> dict[str, Any]:
        return {"file": self.place.file, "line": self.place.line, "field": self.field, "reason": self.reason}

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.place), self.field, self.reason) if part)


class RegistrationError(Exception):
    """A row, or a whole file, that cannot be used."""

    def __init__(self, place: Place, field: str, reason: str) -> None:
        super().__init__(f"{place}: {field}: {reason}")
        self.finding = Finding(place, field, reason)


@dataclass(frozen=True, slots=True)
class Row:
    """One container to register. An empty `host` means the host of the command.

    `labels` are the container's labels and, as labels, the config fields and probes that the file states for it;
    `mapped` are the config values that follow from its restart policy and health check.
    `network_mode` is "container:" and a container's name where the network of that one is shared.
    `snapshot` is there for a container found on an engine.
    """

    place: Place
    name: str
    host: str = ""
    project: str = ""
    service: str = ""
    image: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    mapped: Mapping[str, Any] = field(default_factory=dict)
    network_mode: str = ""
    snapshot: Snapshot | None = None
    registered_by: str = ""


@dataclass(slots=True)
class Reading:
    """All that one or several inputs gave. `files_read` counts the inputs that could be parsed."""

    rows: list[Row] = field(default_factory=list)
    refused: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    skipped: list[Finding] = field(default_factory=list)
    files_read: int = 0

    def add(self, other: Reading) -> None:
        self.rows += other.rows
        self.refused += other.refused
        self.warnings += other.warnings
        self.skipped += other.skipped
        self.files_read += other.files_read


@dataclass(slots=True)
class Report:
    """What a registration did, or in a dry run would do: names of containers, and findings with their places."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    refused: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    skipped: list[Finding] = field(default_factory=list)
    containers: list[dict[str, Any]] | None = None
    something_read: bool = True

    def as_dict(self) -> dict[str, Any]:
        result: dict[str, Any] = {
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "refused": [finding.as_dict() for finding in self.refused],
            "warnings": [finding.as_dict() for finding in self.warnings],
            "skipped": [finding.as_dict() for finding in self.skipped],
        }
        return result if self.containers is None else result | {"containers": self.containers}

    @property
    def exit_status(self) -> int:
        """0 all fine, 2 something was refused, 1 nothing could be read."""
        if not self.something_read:
            return 1
        return 2 if self.refused else 0
