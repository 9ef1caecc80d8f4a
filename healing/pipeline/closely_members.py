"""Which containers are probed closely, with which probes, and where they are.

Asked by the loop of `closely`, and by the sweep whether there are any.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from healing.core.closely import is_awake, is_close, phase
from healing.core.config import Config
from healing.core.errors import ConfigError
from healing.core.probespec import ProbeSpec
from healing.core.types import EngineState, Health, Lifecycle, ProbeTarget
from healing.effective import ConfigBook
from healing.models import Container, HealthStatus, Host
from healing.pipeline.engines import engine_of, find
from healing.pipeline.look import targets
from healing.probes import build
from healing.probes.rounds import Repeated, Watched
from healing.store import closely as store

_Specs = tuple[ProbeSpec, ...]
_Place = tuple[str, datetime | None]
"""A container keeps its address as long as it has this engine id and start."""


@dataclass(frozen=True, slots=True)
class Member:
    """One container that is to be probed now. `is_failing`: checks have found that already."""

    host_id: int
    threshold: int
    is_failing: bool
    watched: Watched


@dataclass(frozen=True, slots=True)
class _Known:
    book: weakref.ref[ConfigBook]
    containers: Mapping[int, tuple[_Specs, Config]]


_known: dict[int, _Known] = {}
_places: dict[int, tuple[_Place, ProbeTarget]] = {}


def of_container(container_id: int, book: ConfigBook) -> _Specs:
    """The probes that run oftener than the checks of a container that the book knows."""
    specs = book.known_probes(container_id)
    return tuple(spec for spec in specs if is_close(spec, book.known_config(container_id))) if specs else ()


def any_of(host_id: int) -> bool:
    """Whether the host had closely probed containers when `members` was last asked."""
    return host_id not in _known or bool(_known[host_id].containers)


def members(host_ids: Collection[int], book: ConfigBook, now: datetime) -> dict[int, Member]:
    """The containers of these hosts that are to be probed now, by id: one statement while no configuration changes."""
    _learn(host_ids, book)
    known = {pk: found for host_id in host_ids for pk, found in _known[host_id].containers.items()}
    found: dict[int, Member] = {}
    for row in store.rows(known) if known else []:
        if not is_awake(Lifecycle(row.lifecycle)) or book.paused(row.container, now)[0] is not None:
            continue
        specs, config = known[row.pk]
        if repeated := _repeated(row, specs, config):
            found[row.pk] = _member(row, repeated, specs, config)
    return found


def forget_place(container_id: int) -> None:
    """Have a container looked for anew in the next run."""
    _places.pop(container_id, None)


def _learn(host_ids: Collection[int], book: ConfigBook) -> None:
    """Read the labels of all containers of those hosts whose configuration may have changed."""
    new = [pk for pk in host_ids if pk not in _known or _known[pk].book() is not book]
    if not new:
        return
    by_host: dict[int, dict[int, tuple[_Specs, Config]]] = {pk: {} for pk in new}
    containers = store.supervised(new)
    book.learn(containers)
    for container in containers:
        if specs := of_container(container.pk, book):
            by_host[container.host_id][container.pk] = (specs, book.config(container))
    for pk, close in by_host.items():
        _known[pk] = _Known(weakref.ref(book), close)


def _repeated(row: HealthStatus, specs: _Specs, config: Config) -> tuple[Repeated, ...]:
    """What cannot be built is left out here; checks tell it."""
    repeated = []
    for spec in specs:
        interval = spec.interval or config.check_interval
        try:
            probe = build(spec, engine_of(row.container.host))
        except ConfigError:
            continue
        offset = phase(row.pk, interval)
        repeated.append(Repeated(probe, interval, offset, spec.timeout or config.check_timeout))
    return tuple(repeated)


def _member(row: HealthStatus, repeated: tuple[Repeated, ...], specs: _Specs, config: Config) -> Member:
    container = row.container
    place = (container.engine_id, row.started_at)
    before = _places.get(row.pk)
    return Member(
        host_id=container.host_id,
        threshold=config.failure_threshold,
        is_failing=row.status == Health.UNHEALTHY or row.consecutive_failures >= config.failure_threshold,
        watched=Watched(
            marker=(place, specs, config.check_timeout),
            probes=repeated,
            locate=partial(_locate, container.host, container, place),
            target=before[1] if before is not None and before[0] == place else None,
        ),
    )


def _locate(host: Host, container: Container, place: _Place) -> ProbeTarget | None:
    """Ask the engine. In a thread of its own, without the database. Raise PluginError or ConfigError."""
    snapshot = find(engine_of(host), container)
    if snapshot is None or snapshot.state is not EngineState.RUNNING:
        return None
    target = targets(snapshot)
    _places[container.pk] = (place, target)
    return target
