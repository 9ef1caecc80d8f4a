"""Which silence is told: what has stopped by itself, once everything has had the time to begin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from healing.core.liveness import GRACE, SILENT, Part, Watch

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
LATER = BEGIN + timedelta(hours=1)


def part(name: str, silent_for: float | None, *needs: str, now: datetime = LATER) -> Part:
    at = None if silent_for is None else now - timedelta(seconds=silent_for)
    return Part(name, at, f"{name} is silent", "start it", needs)


def stopped(watch: Watch, *parts: Part, now: datetime = LATER) -> list[str]:
    return [one.name for one in watch.judge(parts, now).stopped]


def test_silence_is_told_and_signs_are_not() -> None:
    """20 seconds are the line; what has never given a sign may not be wanted here."""
    watch = Watch(BEGIN)
    parts = (part("beat", 21), part("sweeper", 19), part("queue heal.rack-7", None))
    assert stopped(watch, *parts) == ["beat"]
    assert [one.name for one in watch.judge(parts, LATER).alive] == ["sweeper"]


def test_causes_are_told_and_what_follows_from_them_is_not() -> None:
    """Without a broker everything that comes by it is silent: one alert, not six."""
    watch = Watch(BEGIN)
    parts = (part("broker", 30), part("tick", 30, "broker"), part("queue heal", 30, "broker", "tick"))
    assert stopped(watch, *parts, part("watcher", 30)) == ["broker", "watcher"]


def test_what_never_gave_a_sign_excuses_nobody() -> None:
    """A part that is not told itself must not hide those that need it."""
    parts = (part("beat", None), part("queue heal", 30, "beat"))
    assert stopped(Watch(BEGIN), *parts) == ["queue heal"]


def test_what_was_excused_gets_time_to_come_back() -> None:
    """A broker that is back is no alarm for queues whose workers are still connecting; later it is."""
    watch = Watch(BEGIN)
    stopped(watch, part("broker", 30), part("tick", 30, "broker"))
    soon, late = LATER + GRACE - timedelta(seconds=1), LATER + GRACE
    alive = part("broker", 0, now=soon)
    assert stopped(watch, alive, part("tick", 60, "broker", now=soon), now=soon) == []
    assert stopped(watch, alive, part("tick", 60, "broker", now=late), now=late) == ["tick"]


def test_a_start_alarms_nobody() -> None:
    """Signs from before a long stop are old, and so is nothing else than they."""
    watch = Watch(LATER)
    soon = LATER + GRACE - timedelta(seconds=1)
    assert stopped(watch, part("beat", 3600, now=soon), now=soon) == []
    assert stopped(watch, part("beat", 3600, now=LATER + GRACE), now=LATER + GRACE) == ["beat"]


def test_a_database_that_was_away_kept_everybody_from_leaving_signs() -> None:
    """All get the time for one, and who gives none is told 20 seconds later."""
    watch = Watch(BEGIN)
    watch.could_not_see(LATER - timedelta(seconds=45), LATER)
    assert stopped(watch, part("beat", 45)) == []
    then = LATER + SILENT
    assert stopped(watch, part("beat", 65, now=then), now=then) == ["beat"]


def slow_rounds(watch: Watch, seconds: float, since: datetime, until: datetime) -> list[datetime]:
    """When beat, which has been silent all along, is told by rounds that take so long each."""
    told, now = [], since
    while now < until:
        before, now = now, now + timedelta(seconds=seconds)
        watch.could_not_see(before, now)
        if stopped(watch, part("beat", 3600, now=now), now=now):
            told.append(now)
    return told


def test_what_is_slow_for_ever_is_excused_for_a_minute() -> None:
    """Else nobody is told anything while each round takes seconds; afterwards they are judged in all rounds."""
    watch = Watch(BEGIN)
    told = slow_rounds(watch, 8, LATER, LATER + 2 * GRACE)
    assert LATER + GRACE <= told[0] <= LATER + GRACE + timedelta(seconds=16)
    assert told == [told[0] + number * timedelta(seconds=8) for number in range(len(told))]
    healed = LATER + 3 * GRACE
    assert slow_rounds(watch, 8, healed, healed + GRACE) == [], "a new one, after a while without any"


def test_what_lasts_long_is_excused_each_time() -> None:
    """A machine that sleeps time and again; a database whose own silence is told each time."""
    watch = Watch(BEGIN)
    assert slow_rounds(watch, SILENT.total_seconds(), LATER, LATER + 5 * GRACE) == []
