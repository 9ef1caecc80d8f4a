"""The demo's course: start the services, break one after another, watch until each has ended as it must."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from healing.core.errors import PluginError
from healing.core.types import Health
from healing.demo import stage
from healing.demo.observe import Progress, Seen, observe
from healing.demo.places import Place, choose
from healing.demo.services import SERVICES
from healing.demo.show import Show
from healing.models import Container, HealthStatus, Host
from healing.registration.adoption import adopt

READY_SECONDS = 40.0
BREAK_EVERY = 3.0
END_SECONDS = 75.0
_LOOK_EVERY = 0.1


def play(home: Path, stream: TextIO) -> bool:
    """Run the demo in the empty folder `home`; True where everything ended as it must. Cleans up what it made."""
    show = Show(stream)
    place = choose(home)
    try:
        show.say(f"Engine: {place.told}")
        host = stage.prepare(place.config)
        with stage.running(home):
            return _play(host, place, show)
    except stage.StageFailed as error:
        show.say(str(error))
        return False
    finally:
        show.say("Cleaning up …")
        place.clean()


def _play(host: Host, place: Place, show: Show) -> bool:
    show.say(f"Selfheal is up; starting {len(SERVICES)} services …")
    course = [
        _register(host, place, place.start(service), service_number)
        for service_number, service in enumerate(SERVICES)
    ]
    if not _all_healthy(course):
        show.say("The services did not become healthy: " + "; ".join(_unhealthy(course)))
        return False
    show.say("All of them are healthy. Now they are broken, one after another:\n")
    with show:
        rows = _break_and_watch(course, place, show)
        show.finish(rows)
    return _verdict(rows, show)


def _register(host: Host, place: Place, engine_id: str, number: int) -> Progress:
    container = adopt(host, place.engine.inspect(engine_id), "the demo")
    return Progress(SERVICES[number], container.pk)


def _all_healthy(course: Sequence[Progress]) -> bool:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if not _unhealthy(course):
            return True
        time.sleep(_LOOK_EVERY)
    return False


def _unhealthy(course: Sequence[Progress]) -> list[str]:
    rows = HealthStatus.objects.filter(container__in=[p.container_id for p in course]).exclude(
        status=Health.HEALTHY
    )
    return [
        f"{row.container.name} is {row.status}: {row.message}" for row in rows.select_related("container")
    ]


def _break_and_watch(course: Sequence[Progress], place: Place, show: Show) -> list[tuple[Progress, Seen]]:
    begin = time.monotonic()
    while True:
        now = time.monotonic() - begin
        for number, progress in enumerate(course):
            if progress.broken_at is None and now >= number * BREAK_EVERY:
                _break(progress, place)
        rows = [(progress, observe(progress)) for progress in course]
        show.update(rows)
        if all(seen.outcome for _, seen in rows) or now > END_SECONDS:
            return rows
        time.sleep(_LOOK_EVERY)


def _break(progress: Progress, place: Place) -> None:
    engine_id = Container.objects.get(pk=progress.container_id).engine_id
    progress.broken_at = datetime.now(UTC)
    with contextlib.suppress(PluginError):  # the command may die with what it breaks
        place.engine.exec(engine_id, ("sh", "-c", progress.service.sabotage), 10.0)


def _verdict(rows: Sequence[tuple[Progress, Seen]], show: Show) -> bool:
    wrong = [progress.service.name for progress, seen in rows if not seen.as_expected]
    if wrong:
        show.say(f"\nNot as it must be: {', '.join(wrong)}.")
        return False
    show.say("\nEvery failure was found, diagnosed and healed, and every recovery verified;")
    show.say(
        "the one that nothing can cure was restarted within its budget, then left alone, and reported once."
    )
    return True
