"""Learning which container needs which: from Compose's `depends_on`, and from networks that are shared.

What is learned is learned anew each time, from what is registered; what a person has written stays. Only containers
of one host can need each other so.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.fields.json import KeyTextTransform

from healing.core.dependencies import OnReturn, Origin, Pair, accepted, in_words
from healing.core.depends_on import Need, read_label
from healing.core.labels import COMPOSE_DEPENDS_ON
from healing.core.types import SHARED_NETWORK, Lifecycle
from healing.models import Container, Dependency
from healing.signals import bump_revision
from healing.store import troubles
from healing.store.clock import db_now

logger = logging.getLogger(__name__)

BATCH = 500
REPLICAS = 20
"""Containers of one service that a dependant is stored as needing: each of many needing each of many is a row for each
pair, and one that is healthy is enough.
"""
_CYCLE = ("dependencies:", {"action": "dependency_cycle"})
_LARGE = ("replicas:", {"action": "dependency_large"})
"""Begin of the trouble's key, and what the log says beside the host."""


@dataclass(frozen=True, slots=True)
class Row:
    """A registered container, as far as its dependencies are told."""

    pk: int
    name: str
    engine_id: str
    project_id: int | None
    service: str | None
    network_mode: str
    lifecycle: str | None
    depends_on: str | None

    @property
    def is_gone(self) -> bool:
        return self.lifecycle == Lifecycle.GONE


OfService = tuple[int | None, str | None]
"""The id of a project, and the name of a service of it."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What is learned of one pair."""

    on_return: OnReturn
    origin: Origin
    is_job: bool = False


@dataclass(slots=True)
class Lesson:
    """All pairs that the rows tell of. Of those in `unclear` the network's container is not known by now.

    `large`: services with more than REPLICAS containers that somebody needs, and how many these are.
    """

    pairs: dict[Pair, Learned] = field(default_factory=dict)
    unclear: set[int] = field(default_factory=set)
    large: dict[OfService, int] = field(default_factory=dict)


def learn_host(host_id: int) -> list[str]:
    """Learn all dependencies of a host's containers; what is therefore not stored, as sentences."""
    rows = Container.objects.filter(host_id=host_id)
    if not _tells(rows).exists() and not _learned(host_id).exists():
        return []
    everything = _read(rows)
    lesson = _lesson(everything, everything)
    refused, large = _store(lesson, [row.pk for row in everything]), _large(lesson)
    _warn(_CYCLE, host_id, refused)
    _warn(_LARGE, host_id, large)
    return refused + large


def learn_around(container: Container) -> None:
    """Learn what a container that is registered, or made anew, needs, and what needs it."""
    near = Container.objects.filter(host_id=container.host_id)
    mode = container.network_mode.removeprefix(SHARED_NETWORK)
    by_network = Q(network_mode__in=[SHARED_NETWORK + each for each in (container.engine_id, container.name)])
    parent = Q(name=mode) | Q(engine_id=mode) if mode != container.network_mode else Q()
    projects = near.filter(Q(pk=container.pk) | by_network, project__isnull=False).values("project_id")
    of_projects = Q(project_id__in=projects)
    rows = _read(near.filter(Q(pk=container.pk) | by_network | parent | of_projects))
    here = [row for row in rows if row.pk == container.pk or _names(row, container)]
    lesson = _lesson(here, rows)
    refused = _store(lesson, [row.pk for row in here])
    for kind, sentences in ((_CYCLE, refused), (_LARGE, _large(lesson))):
        if sentences:
            _warn(kind, container.host_id, sentences)


def _names(row: Row, container: Container) -> bool:
    """Whether the row may need this container."""
    shares = row.network_mode in (SHARED_NETWORK + container.engine_id, SHARED_NETWORK + container.name)
    return shares or (row.project_id == container.project_id and bool(row.depends_on))


def _tells(rows: QuerySet[Container]) -> QuerySet[Container]:
    return rows.filter(Q(labels__has_key=COMPOSE_DEPENDS_ON) | Q(network_mode__startswith=SHARED_NETWORK))


def _learned(host_id: int) -> QuerySet[Dependency]:
    return Dependency.objects.exclude(origin=Origin.MANUAL).filter(dependant__host_id=host_id)


def _read(rows: QuerySet[Container]) -> list[Row]:
    names = ("pk", "name", "engine_id", "project_id", "service__name", "network_mode", "health__lifecycle")
    depends_on = KeyTextTransform(COMPOSE_DEPENDS_ON, "labels")
    return [Row(*values) for values in rows.order_by("pk").values_list(*names, depends_on)]


def _lesson(dependants: Iterable[Row], rows: Sequence[Row]) -> Lesson:
    """What these dependants need among all `rows`."""
    lesson = Lesson()
    of_service: dict[OfService, list[Row]] = defaultdict(list)
    known: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: row.is_gone):
        of_service[row.project_id, row.service].append(row)
        known |= {row.name: row.pk} | ({row.engine_id: row.pk} if row.engine_id else {})
    for row in dependants:
        for need in read_label(row.depends_on or "") if row.project_id is not None else ():
            _need(row, need, of_service, lesson)
        _share(row, known, lesson)
    return lesson


def _need(row: Row, need: Need, of_service: Mapping[OfService, Sequence[Row]], lesson: Lesson) -> None:
    """The row needs the containers of this service: of many the first, and those that were removed last of all."""
    service = (row.project_id, need.service)
    members = [other for other in of_service.get(service, ()) if other.pk != row.pk]
    there = sum(not other.is_gone for other in members)
    if there > REPLICAS:
        lesson.large[service] = there
    for other in members[:REPLICAS]:
        lesson.pairs[row.pk, other.pk] = Learned(need.on_return, Origin.COMPOSE, need.is_job)


def _share(row: Row, known: Mapping[str, int], lesson: Lesson) -> None:
    parent_of = row.network_mode.removeprefix(SHARED_NETWORK)
    if parent_of == row.network_mode:
        return
    parent = known.get(parent_of)
    if parent is None:
        lesson.unclear.add(row.pk)
    elif parent != row.pk:
        by_compose = lesson.pairs.get((row.pk, parent))
        on_return = by_compose.on_return if by_compose else OnReturn.HOLD
        lesson.pairs[row.pk, parent] = Learned(on_return, Origin.NETWORK)


def _store(lesson: Lesson, dependants: Sequence[int]) -> list[str]:
    """Write what is new, remove what is no longer told; the cycles that are not stored."""
    with transaction.atomic():
        before = _existing(dependants)
        gone = [
            row.pk
            for pair, row in before.items()
            if not Origin(row.origin).is_by_hand and pair not in lesson.pairs and not _is_kept(row, lesson)
        ]
        new = [pair for pair in lesson.pairs if pair not in before]
        taken, cycles = _without_cycles(new, gone) if new else ([], [])
        changed = _change(lesson, before)
        for start in range(0, len(gone), BATCH):
            Dependency.objects.filter(pk__in=gone[start : start + BATCH]).delete()
        Dependency.objects.bulk_create(
            [_row(pair, lesson.pairs[pair]) for pair in taken], ignore_conflicts=True, batch_size=BATCH
        )
        if taken or gone or changed:
            bump_revision()
    return _sentences(cycles)


def _existing(dependants: Sequence[int]) -> dict[Pair, Dependency]:
    found: dict[Pair, Dependency] = {}
    for start in range(0, len(dependants), BATCH):
        for row in Dependency.objects.filter(dependant_id__in=dependants[start : start + BATCH]):
            found[row.dependant_id, row.dependency_id] = row
    return found


def _is_kept(row: Dependency, lesson: Lesson) -> bool:
    """A container whose network is shared, and that was replaced, has another id than its dependant names."""
    return Origin(row.origin).shares_network and row.dependant_id in lesson.unclear


def _without_cycles(new: Sequence[Pair], gone: Sequence[int]) -> tuple[list[Pair], list[tuple[int, ...]]]:
    left_out = set(gone)
    rows = Dependency.objects.values_list("pk", "dependant_id", "dependency_id")
    kept = [(dependant, dependency) for pk, dependant, dependency in rows if pk not in left_out]
    return accepted(kept, new)


def _change(lesson: Lesson, before: Mapping[Pair, Dependency]) -> bool:
    """Bring what is there up to date."""
    changed = []
    for pair, row in before.items():
        values = _up_to_date(row, lesson.pairs.get(pair), lesson)
        if values != (row.origin, row.on_return, row.is_job):
            row.origin, row.on_return, row.is_job = values
            changed.append(row)
    Dependency.objects.bulk_update(changed, ["origin", "on_return", "is_job"], batch_size=BATCH)
    return bool(changed)


def _up_to_date(row: Dependency, learned: Learned | None, lesson: Lesson) -> tuple[str, str, bool]:
    """Origin, on_return and is_job. What a person has chosen for a shared network stays, and so does all they wrote."""
    shares = _is_kept(row, lesson) or (learned is not None and learned.origin is Origin.NETWORK)
    if Origin(row.origin).is_by_hand:
        return (Origin.BOTH if shares else Origin.MANUAL).value, row.on_return, row.is_job
    if learned is None:
        return row.origin, row.on_return, row.is_job
    on_return = learned.on_return.value if row.origin == Origin.COMPOSE else row.on_return
    return (Origin.NETWORK if shares else learned.origin).value, on_return, learned.is_job


def _row(pair: Pair, learned: Learned) -> Dependency:
    return Dependency(
        dependant_id=pair[0],
        dependency_id=pair[1],
        on_return=learned.on_return.value,
        origin=learned.origin.value,
        is_job=learned.is_job,
    )


def _sentences(cycles: Sequence[Sequence[int]]) -> list[str]:
    if not cycles:
        return []
    ids = {pk for path in cycles for pk in path}
    names = dict(Container.objects.filter(pk__in=ids).values_list("pk", "name"))
    return [
        f"a dependency is not stored, because it closes a cycle: {in_words(path, names)}" for path in cycles
    ]


def _large(lesson: Lesson) -> list[str]:
    return [
        f"service {name} has {number} containers: what needs it is stored as needing {REPLICAS} of them"
        for (_, name), number in lesson.large.items()
    ]


def _warn(kind: tuple[str, dict[str, str]], host_id: int, sentences: Sequence[str]) -> None:
    """Once, as long as it lasts."""
    begin, extra = kind
    key, now = f"{begin}{host_id}", db_now()
    if not sentences:
        troubles.end_trouble(key, now)
    elif troubles.open_trouble(key, "; ".join(sentences), now):
        logger.warning("%s", "; ".join(sentences), extra={**extra, "host": host_id})
