"""Finding what a person means by a name: one container, service, project, host, tenant or window, or a sentence that helps."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TypeVar

from django.db.models import Model, QuerySet

from healing.models import Container, Host, MaintenanceWindow, Project, Service, Tenant

_CLOSE_MATCHES = 3
_NAMES_COMPARED = 100_000

Row = TypeVar("Row", bound=Model)


class LookupFailed(LookupError):
    """The name leads to nothing, or to more than one thing; the text says what to write instead."""


def find_container(name: str, host: str | None = None) -> Container:
    """The container of that name (or engine id, at least its first 12 digits). Raise LookupFailed."""
    candidates = _containers(host)
    found = list(candidates.filter(name=name)[:10])
    if not found and len(name) >= 12:
        found = list(candidates.filter(engine_id__startswith=name)[:10])
    if not found:
        raise LookupFailed(_unknown("container", name, candidates.values_list("name", flat=True), host))
    if len(found) > 1:
        hosts = ", ".join(sorted(container.host.name for container in found))
        raise LookupFailed(
            f"There is a container {name!r} on more than one host ({hosts}). "
            f"Say which one is meant: --host {found[0].host.name}"
        )
    return found[0]


def find_host(name: str) -> Host:
    """The host of that name. Raise LookupFailed with close matches."""
    return _named(Host, "host", name)


def find_project(name: str) -> Project:
    """The project of that name. Raise LookupFailed with close matches."""
    return _named(Project, "project", name)


def find_tenant(name: str) -> Tenant:
    """The tenant of that name. Raise LookupFailed with close matches."""
    return _named(Tenant, "tenant", name)


def find_window(name: str) -> MaintenanceWindow:
    """The maintenance window of that name. Raise LookupFailed with close matches."""
    return _named(MaintenanceWindow, "maintenance window", name)


def _named(model: type[Row], kind: str, name: str) -> Row:
    rows: QuerySet[Row] = model._default_manager.all()
    found = rows.filter(name=name).first()
    if found is None:
        raise LookupFailed(_unknown(kind, name, rows.values_list("name", flat=True)))
    return found


def find_service(name: str) -> Service:
    """The service, written as project/service, or as its own name where only one has it. Raise LookupFailed."""
    project, _, own = name.rpartition("/")
    services = Service.objects.select_related("project")
    found = list(services.filter(name=own, project__name=project) if project else services.filter(name=own))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(sorted(str(service) for service in found))
        raise LookupFailed(f"More than one project has a service {name!r}. Write one of: {names}")
    raise LookupFailed(_unknown("service", name, (str(service) for service in services[:_NAMES_COMPARED])))


def _containers(host: str | None) -> QuerySet[Container]:
    containers = Container.objects.select_related("host", "project", "service__project", "tenant", "health")
    return containers.filter(host=find_host(host)) if host else containers


def _unknown(kind: str, name: str, known: Iterable[str], host: str | None = None) -> str:
    names = list(dict.fromkeys(known[:_NAMES_COMPARED] if isinstance(known, QuerySet) else known))
    place = f" on host {host!r}" if host else ""
    return f"There is no {kind} {name!r}{place}. {_advice(kind, name, names)}"


def _advice(kind: str, name: str, names: Sequence[str]) -> str:
    if not names:
        return f"No {kind} is registered yet."
    close = difflib.get_close_matches(name, names, n=_CLOSE_MATCHES, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(repr(match) for match in close)}?"
    some = ", ".join(repr(known) for known in sorted(names)[:5])
    return f"Registered: {some}{', …' if len(names) > 5 else ''}."
