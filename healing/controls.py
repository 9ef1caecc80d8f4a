"""Where people hold automation: pauses, dry runs and maintenance windows, on any scope. Kept by the ConfigBook."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from healing.core.decide import Hold
from healing.core.errors import ConfigError
from healing.core.maintenance import MAINTENANCE, Schedule, open_until
from healing.models import (
    Container,
    Controlled,
    Host,
    MaintenanceWindow,
    Project,
    Service,
    SystemState,
    Tenant,
)
from healing.models.maintenance import SCOPES
from healing.store.clock import db_now

logger = logging.getLogger(__name__)


class Pausable(Protocol):
    """What can be paused."""

    @property
    def paused_until(self) -> datetime | None: ...

    @property
    def paused_reason(self) -> str: ...


class Placed(Pausable, Protocol):
    """A container, as far as the scopes that it is in."""

    @property
    def pk(self) -> int: ...

    @property
    def host_id(self) -> int: ...

    @property
    def tenant_id(self) -> int | None: ...

    @property
    def project_id(self) -> int | None: ...

    @property
    def service_id(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class _Above:
    """What the scopes above a container say: the pauses that were written, the widest dry run, the windows."""

    pauses: tuple[tuple[str, Controlled], ...]
    dry_run_by: str
    windows: tuple[Schedule, ...]


_Place = tuple[int | None, int | None, int | None, int | None]


class Controls:
    """All of them at one revision; whatever is asked costs no statement."""

    def __init__(
        self,
        state: SystemState,
        hosts: Mapping[int, Host],
        projects: Mapping[int, Project],
        services: Mapping[int, Service],
    ) -> None:
        self._state, self._hosts, self._projects, self._services = state, hosts, projects, services
        self._tenants: Mapping[int, Tenant] = Tenant.objects.in_bulk()
        self._windows = _read_windows()
        self._above_of: dict[_Place, _Above] = {}

    def paused(self, container: Placed, now: datetime) -> tuple[datetime | None, str]:
        """Until when, and by whom, this container is paused; (None, "") where it is not."""
        until, by = None, ""
        scopes: list[tuple[str, Pausable]] = [*self._above(container).pauses, ("the container", container)]
        for name, scope in scopes:
            end = scope.paused_until
            if end is not None and end > now and (until is None or end > until):
                until = end
                by = f"{name} is paused" + (f" ({scope.paused_reason})" if scope.paused_reason else "")
        return until, by

    def tenant_of(self, placed: Placed) -> Tenant | None:
        """Whose this container is: its own tenant, else its project's, else its host's."""
        host = self._hosts.get(placed.host_id)
        project = self._projects.get(placed.project_id or 0)
        owners = (placed, project, host)
        return self.tenant(next((each.tenant_id for each in owners if each and each.tenant_id), None))

    def tenant(self, tenant_id: int | None) -> Tenant | None:
        return self._tenants.get(tenant_id or 0)

    def dry_run_by(self, container: Container) -> str:
        """The widest scope whose dry run holds for this container, such as "host h1"; empty where none does."""
        above = self._above(container).dry_run_by
        return above or (f"container {container.name}" if container.dry_run else "")

    def maintenance(self, container: Placed, now: datetime) -> Hold | None:
        """The open maintenance window of this container that ends last; None where none is open."""
        if not self._windows:
            return None
        return _longest((*self._above(container).windows, *self._of("container", container.pk)), now)

    def host_maintenance(self, host: Host, now: datetime) -> Hold | None:
        """The open maintenance window of this host, its tenant or everything that ends last."""
        if not self._windows:
            return None
        windows = (
            *self._of("everything", 0),
            *self._of("tenant", host.tenant_id),
            *self._of("host", host.pk),
        )
        return _longest(windows, now)

    def _of(self, scope: str, pk: int | None) -> Iterable[Schedule]:
        return self._windows.get((scope, pk or 0), ())

    def _above(self, placed: Placed) -> _Above:
        place = (placed.host_id, placed.tenant_id, placed.project_id, placed.service_id)
        found = self._above_of.get(place)
        if found is None:
            found = self._above_of[place] = self._resolve(placed)
        return found

    def _resolve(self, placed: Placed) -> _Above:
        scopes = list(self._scopes(placed))
        windows = [*self._of("everything", 0)]
        windows += [window for kind, _, scope in scopes for window in self._of(kind, scope.pk)]
        return _Above(
            pauses=tuple((label, scope) for _, label, scope in scopes if scope.paused_until is not None),
            dry_run_by=next((label for _, label, scope in scopes if scope.dry_run), ""),
            windows=tuple(windows),
        )

    def _scopes(self, placed: Placed) -> Iterator[tuple[str, str, Controlled]]:
        """What lies above a container, the widest first: its kind, what it is called, and itself."""
        host = self._hosts.get(placed.host_id)
        project = self._projects.get(placed.project_id or 0)
        service = self._services.get(placed.service_id or 0)
        tenant = self.tenant_of(placed)
        yield "", "everything", self._state
        if tenant is not None:
            yield "tenant", f"tenant {tenant.name}", tenant
        if host is not None:
            yield "host", f"host {host.name}", host
        if project is not None:
            yield "project", f"project {project.name}", project
        if service is not None:
            owner = self._projects.get(service.project_id)
            yield (
                "service",
                f"service {owner.name}/{service.name}" if owner else f"service {service.name}",
                service,
            )


def _longest(windows: Iterable[Schedule], now: datetime) -> Hold | None:
    found: Hold | None = None
    for window in windows:
        until = open_until(window, now)
        if until is not None and (found is None or until > found.until):
            why = f" ({window.reason})" if window.reason else ""
            found = Hold(f"{MAINTENANCE} {window.name} until {until:%Y-%m-%d %H:%M:%S} UTC{why}", until)
    return found


def _read_windows() -> Mapping[tuple[str, int], list[Schedule]]:
    """The enabled windows that are not over, by what they are for: `everything` and 0, or a scope and its id."""
    windows: dict[tuple[str, int], list[Schedule]] = defaultdict(list)
    for row in MaintenanceWindow.objects.filter(enabled=True).exclude(ends_at__lte=db_now()):
        try:
            schedule = row.schedule()
        except ConfigError as error:
            # Refused by the admin's form; a row written past it must not stop the sweep.
            extra = {"action": "maintenance_ignored", "window": row.name}
            logger.warning("maintenance window %s is ignored: %s", row.name, error, extra=extra)
            continue
        if row.everything:
            windows["everything", 0].append(schedule)
        for name in SCOPES:
            pk = getattr(row, f"{name}_id")
            if pk is not None:
                windows[name, pk].append(schedule)
    return dict(windows)
