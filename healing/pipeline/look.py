"""Looking at containers: one list call for a host, an inspection only of what is not as it was, probes all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from healing.core.config import Config
from healing.core.errors import ConfigError, EngineRefused, EngineUnreachable, PluginError
from healing.core.ports import Engine, Probe
from healing.core.probespec import ProbeSpec
from healing.core.status import Seen
from healing.core.types import (
    EngineHealth,
    EngineState,
    Health,
    Lifecycle,
    ProbeResult,
    ProbeTarget,
    ProbeVerdict,
    Snapshot,
    Summary,
)
from healing.core.wording import storable
from healing.effective import ConfigBook
from healing.models import HealthStatus, Host
from healing.pipeline.engines import find
from healing.probes import build, run_probes
from healing.store import hosts
from healing.store.clock import db_now
from healing.store.roster import Entry

MANY_SILENT = 3
"""So many inspections without an answer in one pass are the engine's silence, whatever else it answers."""

_AT_REST = frozenset({Lifecycle.FINISHED, Lifecycle.STOPPED_BY_HAND, Lifecycle.QUARANTINED})
SETTLED = _AT_REST | {Lifecycle.GONE, Lifecycle.PAUSED}
"""States that the list confirms by itself."""


@dataclass(slots=True)
class Listing:
    """The engine's list, by id and by name."""

    by_id: Mapping[str, Summary] = field(default_factory=dict)
    by_name: Mapping[str, Summary] = field(default_factory=dict)

    @classmethod
    def of(cls, engine: Engine) -> Listing:
        summaries = engine.list()
        return cls({s.id: s for s in summaries}, {s.name: s for s in summaries})

    def find(self, entry: Entry) -> Summary | None:
        return self.by_id.get(entry.engine_id) or self.by_name.get(entry.name)


def is_as_before(row: Entry, summary: Summary | None, now: datetime) -> bool:
    """Whether the list alone shows that there is nothing to decide."""
    if summary is None or summary.id != row.engine_id:
        return row.lifecycle == Lifecycle.GONE and summary is None
    if summary.state is EngineState.RUNNING:
        settled = row.status == Health.HEALTHY and row.lifecycle == Lifecycle.RUNNING
        settled = settled and not row.consecutive_failures
        return settled and summary.health in (EngineHealth.NONE, EngineHealth.HEALTHY)
    if summary.state is EngineState.PAUSED:
        return row.lifecycle == Lifecycle.PAUSED
    if summary.state is not EngineState.EXITED or row.lifecycle not in _AT_REST:
        return False
    if row.lifecycle == Lifecycle.FINISHED and summary.exit_code:
        return False
    released = row.quarantine_until is not None and row.quarantine_until <= now
    return not (row.lifecycle == Lifecycle.QUARANTINED and released)


def targets(snapshot: Snapshot | Summary) -> ProbeTarget:
    """Where the probes of a container go; on the host's own network that is this machine."""
    if snapshot.network_mode == "host" or not snapshot.addresses:
        return ProbeTarget(
            snapshot.id, snapshot.addresses or ("127.0.0.1",) * (snapshot.network_mode == "host")
        )
    return ProbeTarget(snapshot.id, snapshot.addresses)


ProbeJob = tuple[ProbeSpec, ProbeTarget, Config]


def probe_all(jobs: Mapping[int, Sequence[ProbeJob]], engine: Engine) -> dict[int, tuple[ProbeResult, ...]]:
    """Run the probes of many containers concurrently; results by container. Never raises."""
    flat: list[tuple[int, Probe, ProbeTarget, float]] = []
    results: dict[int, list[ProbeResult]] = {key: [] for key in jobs}
    for key, specs in jobs.items():
        for spec, target, config in specs:
            try:
                flat.append((key, build(spec, engine), target, spec.timeout or config.check_timeout))
            except ConfigError as error:
                results[key].append(ProbeResult(spec.name, ProbeVerdict.UNKNOWN, str(error)))
    if flat:
        answers = asyncio.run(run_probes([(probe, target, timeout) for _, probe, target, timeout in flat]))
        for (key, *_), answer in zip(flat, answers, strict=True):
            results[key].append(answer)
    return {key: tuple(found) for key, found in results.items()}


def look_at(
    engine: Engine,
    host: Host,
    rows: Iterable[HealthStatus],
    book: ConfigBook,
    *,
    by_event: bool = False,
    with_probes: bool = True,
    probed: Mapping[int, tuple[ProbeResult, ...]] | None = None,
    before_each: Callable[[], None] | None = None,
) -> dict[int, Seen]:
    """Inspect each container and ask its probes. An engine that stops answering raises; one bad answer is `unknown`.

    An engine can be silent about one container only, whose lock it waits for; then the others are not lost with it.
    `probed` has what probes have answered just before, which are not asked again.
    """
    rows = list(rows)
    found = _inspect_all(engine, rows, before_each)
    snapshots = {pk: one for pk, one in found.items() if not isinstance(one, PluginError)}
    probed = probed or {}
    due = [row for row in rows if with_probes and row.pk not in probed]
    answers = {**probed, **probe_all(_probe_jobs(due, snapshots, book), engine)}
    at_rest = any(snapshot is None or not snapshot.is_running for snapshot in snapshots.values())
    watched = hosts.watched(host, db_now()) if at_rest else hosts.Watched()
    seen = {pk: Seen(unknown=f"could not look: {e}") for pk, e in found.items() if isinstance(e, PluginError)}
    for row in rows:
        if row.pk not in snapshots:
            continue
        snapshot = snapshots[row.pk]
        seen[row.pk] = Seen(
            snapshot=snapshot,
            probes=answers.get(row.pk, ()) if snapshot is not None and snapshot.is_running else (),
            stream_since=watched.since,
            events_until=watched.until,
            grace_until=host.grace_until,
            by_event=by_event,
            partial=not with_probes and bool(book.probes(row.container)),
        )
    return seen


def _inspect_all(
    engine: Engine, rows: Sequence[HealthStatus], before_each: Callable[[], None] | None
) -> dict[int, Snapshot | PluginError | None]:
    """Each container as inspected, None where the engine has none, or why it could not be. Raise where all is silent."""
    found: dict[int, Snapshot | PluginError | None] = {}
    silent = 0
    for row in rows:
        if before_each is not None:
            before_each()
        try:
            found[row.pk] = find(engine, row.container)
        except PluginError as error:
            is_silent = isinstance(error, (EngineUnreachable, EngineRefused))
            silent += is_silent
            if is_silent and (silent >= MANY_SILENT or not _answers(engine)):
                raise
            found[row.pk] = error
    return found


def _probe_jobs(
    rows: Sequence[HealthStatus], snapshots: Mapping[int, Snapshot | None], book: ConfigBook
) -> dict[int, list[ProbeJob]]:
    """The probes of those of these containers that run."""
    jobs: dict[int, list[ProbeJob]] = {}
    for row in rows:
        snapshot, specs = snapshots.get(row.pk), book.probes(row.container)
        if specs and snapshot is not None and snapshot.state is EngineState.RUNNING:
            config = book.config(row.container)
            jobs[row.pk] = [(spec, targets(snapshot), config) for spec in specs]
    return jobs


def _answers(engine: Engine) -> bool:
    """Whether the engine as a whole answers."""
    try:
        engine.list()
    except PluginError:
        return False
    return True


def logs(engine: Engine, snapshot: Snapshot, tail: int = 20) -> tuple[str, ...]:
    """The last log lines, as evidence; empty where the engine cannot say."""
    try:
        return tuple(storable(line) for line in engine.logs(snapshot.id, tail))
    except PluginError as error:
        return (f"(logs could not be read: {error})",)
