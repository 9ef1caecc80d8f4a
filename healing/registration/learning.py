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
from healing.core.depends_on import read_label
from healing.core.labels import COMPOSE_DEPENDS_ON
from healing.core.types import SHARED_NETWORK
from healing.models import Container, Dependency
from healing.signals import bump_revision
from healing.store import hosts
from healing.store.clock import db_now

logger = logging.getLogger(__name__)

BATCH = 500


@dataclass(frozen=True, slots=True)
class Row:
    """A registered container, as far as its dependencies are told."""

    pk: int
    name: str
    engine_id: str
    project_id: int | None
    service: str | None
    network_mode: str
    depends_on: str | None


@dataclass(frozen=True, slots=True)
class Learned:
    """What is learned of one pair."""

    on_return: OnReturn
    origin: Origin
    is_job: bool = False


@dataclass(slots=True)
class Lesson:
    """All pairs that the rows tell of. Of those in `unclear` the network's container is not known by now."""

    pairs: dict[Pair, Learned] = field(default_factory=dict)
    unclear: set[int] = field(default_factory=set)


def learn_host(host_id: int) -> list[str]:
    """Learn all dependencies of a host's containers; the cycles that are therefore not stored, as sentences."""
    rows = Container.objects.filter(host_id=host_id)
    if not _tells(rows).exists() and not _learned(host_id).exists():
        return []
    everything = _read(rows)
    refused = _store(_lesson(everything, everything), [row.pk for row in everything])
    _warn(host_id, refused)
    return refused


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
    refused = _store(_lesson(here, rows), [row.pk for row in here])
    if refused:
        _warn(container.host_id, refused)


def _names(row: Row, container: Container) -> bool:
    """Whether the row may need this container."""
    shares = row.network_mode in (SHARED_NETWORK + container.engine_id, SHARED_NETWORK + container.name)
    return shares or (row.project_id == container.project_id and bool(row.depends_on))


def _tells(rows: QuerySet[Container]) -> QuerySet[Container]:
    return rows.filter(Q(labels__has_key=COMPOSE_DEPENDS_ON) | Q(network_mode__startswith=SHARED_NETWORK))


def _learned(host_id: int) -> QuerySet[Dependency]:
    return Dependency.objects.exclude(origin=Origin.MANUAL).filter(dependant__host_id=host_id)


def _read(rows: QuerySet[Container]) -> list[Row]:
    names = ("pk", "name", "engine_id", "project_id", "service__name", "network_mode")
    depends_on = KeyTextTransform(COMPOSE_DEPENDS_ON, "labels")
    return [Row(*values) for values in rows.order_by("pk").values_list(*names, depends_on)]


def _lesson(dependants: Iterable[Row], rows: Sequence[Row]) -> Lesson:
    """What these dependants need among all `rows`."""
    lesson = Lesson()
    of_service: dict[tuple[int | None, str | None], list[int]] = defaultdict(list)
    known: dict[str, int] = {}
    for row in rows:
        of_service[row.project_id, row.service].append(row.pk)
        known |= {row.name: row.pk} | ({row.engine_id: row.pk} if row.engine_id else {})
    for row in dependants:
        for need in read_label(row.depends_on or "") if row.project_id is not None else ():
            for pk in of_service.get((row.project_id, need.service), ()):
                if pk != row.pk:
                    lesson.pairs[row.pk, pk] = Learned(need.on_return, Origin.COMPOSE, need.is_job)
        _share(row, known, lesson)
    return lesson


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
        if gone:
            Dependency.objects.filter(pk__in=gone).delete()
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
    kept = Dependency.objects.exclude(pk__in=gone).values_list("dependant_id", "dependency_id")
    return accepted(list(kept), new)


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


def _warn(host_id: int, refused: Sequence[str]) -> None:
    """Once, as long as it lasts."""
    key, now = f"dependencies:{host_id}", db_now()
    if not refused:
        hosts.end_trouble(key, now)
    elif hosts.open_trouble(key, "; ".join(refused), now):
        logger.warning("%s", "; ".join(refused), extra={"action": "dependency_cycle", "host": host_id})
