"""Which config and which probes apply to a container, with where each value came from; cached by configuration revision."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from healing.controls import Controls, Placed
from healing.core.config import Ceiling, Config, Effective, Layer, parse_value, resolve
from healing.core.decide import Hold
from healing.core.dependencies import Edge, Graph, OnReturn, Origin
from healing.core.errors import ConfigError
from healing.core.labels import LabelSettings, read_labels
from healing.core.probespec import ProbeSpec
from healing.models import (
    ConfigCeiling,
    Container,
    Dependency,
    HealingConfig,
    Host,
    Probe,
    Project,
    Scope,
    Service,
    SystemState,
    Tenant,
)
from healing.probes import parse as parse_probe

DEFAULT_PROFILE = "default"


class ConfigBook:
    """All configuration at one revision. Reads of containers that were asked for before cost nothing."""

    def __init__(self, state: SystemState) -> None:
        self.revision = Container.known_revision = state.config_revision
        self.system = state
        """As it was read last: the fleet's breaker moves without a new revision."""
        self._profiles = {config.pk: config for config in HealingConfig.objects.all()}
        self._by_name = {config.name: config for config in self._profiles.values()}
        hosts, projects, services = (
            Host.objects.in_bulk(),
            Project.objects.in_bulk(),
            Service.objects.in_bulk(),
        )
        self._scopes: dict[type[Scope], Mapping[int, Scope]] = {
            Host: hosts,
            Project: projects,
            Service: services,
        }
        self._controls = Controls(state, hosts, projects, services)
        self._ceilings = list(ConfigCeiling.objects.all())
        self._probes: dict[tuple[str, int], list[Probe]] = defaultdict(list)
        for probe in Probe.objects.filter(enabled=True):
            key = (
                ("container", probe.container_id)
                if probe.container_id
                else ("service", probe.service_id or 0)
            )
            self._probes[key].append(probe)
        self.dependencies = Graph(_edges())
        """Which container needs which."""
        self._effective: dict[int, Effective] = {}
        self._specs: dict[int, tuple[ProbeSpec, ...]] = {}

    def knows(self, container_id: int) -> bool:
        return container_id in self._effective

    def effective(self, container: Container) -> Effective:
        found = self._effective.get(container.pk)
        if found is None:
            found = self._resolve(container)
            if self._is_of_now(container):
                self._effective[container.pk] = found
        return found

    def config(self, container: Container) -> Config:
        return self.effective(container).config

    def known_config(self, container_id: int) -> Config:
        """The config of a container that this book knows. Raise KeyError where it does not."""
        return self._effective[container_id].config

    def known_probes(self, container_id: int) -> tuple[ProbeSpec, ...]:
        return self._specs.get(container_id, ())

    def learn(self, containers: Iterable[Container]) -> None:
        """Know these containers' config and probes."""
        for container in containers:
            self.effective(container)
            self.probes(container)

    def probes(self, container: Container) -> tuple[ProbeSpec, ...]:
        """Our own probes of this container: its labels', its own rows', its service's; the nearest wins by name."""
        found = self._specs.get(container.pk)
        if found is None:
            shortest = self._shortest_interval(container.host_id)
            specs = self._probe_specs(container).values()
            found = tuple(spec.no_oftener_than(shortest) for spec in specs)
            if self._is_of_now(container):
                self._specs[container.pk] = found
        return found

    def _is_of_now(self, container: Container) -> bool:
        """Whether the row was read after this book: one of before may have labels that no longer stand."""
        return container.read_at_revision >= self.revision

    def _shortest_interval(self, host_id: int) -> float:
        """What ceilings allow: who may label a container must not have it asked oftener by a probe than by checks."""
        lowest = [
            row.minimum or 0.0
            for row in self._ceilings
            if row.field == "check_interval" and row.host_id in (None, host_id)
        ]
        return max(lowest, default=0.0)

    def paused(self, container: Placed, now: datetime) -> tuple[datetime | None, str]:
        """Until when, and by whom, this container is paused; (None, "") where it is not."""
        return self._controls.paused(container, now)

    def dry_run_by(self, container: Container) -> str:
        """The widest scope whose dry run holds for this container, such as "host h1"; empty where none does."""
        return self._controls.dry_run_by(container)

    def tenant_of(self, container: Placed) -> Tenant | None:
        """Whose this container is: its own tenant, else its project's, else its host's."""
        return self._controls.tenant_of(container)

    def tenant(self, tenant_id: int | None) -> Tenant | None:
        return self._controls.tenant(tenant_id)

    def maintenance(self, container: Placed, now: datetime) -> Hold | None:
        """The open maintenance window of this container that ends last, with its real end; None where none is open."""
        return self._controls.maintenance(container, now)

    def host_maintenance(self, host: Host, now: datetime) -> Hold | None:
        """The same for a host: its own window, its tenant's, or one of everything."""
        return self._controls.host_maintenance(host, now)

    def _scope(self, model: type[Scope], pk: int | None) -> Scope | None:
        return self._scopes[model].get(pk) if pk is not None else None

    def _resolve(self, container: Container) -> Effective:
        labels = read_labels(container.labels)
        warnings = list(labels.warnings)
        layers = [*self._written_layers(container), *self._label_layers(labels, warnings)]
        ceilings = [
            Ceiling(row.field, row.minimum, row.maximum)
            for row in self._ceilings
            if row.host_id is None or row.host_id == container.host_id
        ]
        return resolve(layers, ceilings, warnings)

    def _written_layers(self, container: Container) -> list[Layer]:
        layers = []
        if (default := self._by_name.get(DEFAULT_PROFILE)) is not None:
            layers.append(Layer("profile default", default.values()))
        layers.append(Layer("restart policy and HEALTHCHECK", _parsed(container.mapped)))
        scopes: list[tuple[str, Scope | None]] = [
            ("host", self._scope(Host, container.host_id)),
            ("project", self._scope(Project, container.project_id)),
            ("service", self._scope(Service, container.service_id)),
            ("container", container),
        ]
        for word, scope in scopes:
            config = self._profiles.get(scope.config_id) if scope is not None and scope.config_id else None
            if config is not None:
                layers.append(Layer(f"{word} {scope}: config {config.name}", config.values()))
        return layers

    def _label_layers(self, labels: LabelSettings, warnings: list[str]) -> list[Layer]:
        layers = []
        if labels.profile:
            profile = self._by_name.get(labels.profile)
            if profile is None:
                known = ", ".join(sorted(self._by_name))
                warnings.append(f"label selfheal.config={labels.profile!r} is ignored: there are {known}")
            else:
                layers.append(Layer(f"label selfheal.config={labels.profile}", profile.values()))
        layers.extend(Layer(f"label selfheal.{name}", {name: value}) for name, value in labels.values.items())
        return layers

    def _probe_specs(self, container: Container) -> dict[str, ProbeSpec]:
        specs: dict[str, ProbeSpec] = {}
        rows = [
            *self._probes[("service", container.service_id or 0)],
            *self._probes[("container", container.pk)],
        ]
        for row in rows:
            try:
                specs[row.name] = parse_probe(row.name, row.target, row.options)
            except ConfigError:
                continue  # refused by the admin's form; a row written past it must not stop the sweep
        labels = read_labels(container.labels)
        for name, text in labels.probes.items():
            specs[name] = parse_probe(name, text, labels.probe_options.get(name))
        return specs


def _edges() -> list[Edge]:
    """All dependencies, oldest first. The network that is shared is that of one container, whatever others its service has."""
    names = ("dependant_id", "dependency_id", "on_return", "origin", "dependency__service_id", "is_job")
    return [
        Edge(a, b, OnReturn(on_return), by := Origin(origin), None if by.shares_network else group, is_job)
        for a, b, on_return, origin, group, is_job in Dependency.objects.order_by("pk").values_list(*names)
    ]


def _parsed(raw: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in raw.items():
        try:
            values[name] = parse_value(name, value)
        except ConfigError:
            continue  # the engine's own values can lie outside our ranges; the layer before then counts
    return values


_lock = threading.Lock()
_current: ConfigBook | None = None


def config_book() -> ConfigBook:
    """The book at the newest revision: one query where nothing has changed."""
    global _current
    state = SystemState.objects.filter(pk=1).first() or SystemState(pk=1)
    book = _current
    if book is not None and book.revision == state.config_revision:
        book.system = state
        return book
    with _lock:
        if _current is None or _current.revision != state.config_revision:
            _current = ConfigBook(state)
        return _current


def known_book() -> ConfigBook:
    """The newest book that this process knows, without a statement where it knows any."""
    return _current or config_book()


def forget_book() -> None:
    """For tests, whose databases are emptied behind the book's back."""
    global _current
    _current = None


def effective_config(container: Container) -> Effective:
    """The config that applies to one container now, with the origin of each value and the warnings."""
    return config_book().effective(container)
