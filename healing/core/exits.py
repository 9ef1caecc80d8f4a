"""Judging a container that has exited: stopped by hand, finished, left to its engine, or a failure. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from healing.core import lifecycle
from healing.core.config import Config, FoundStopped
from healing.core.exitcodes import meaning
from healing.core.finding import FAILED, NO_VERDICT, Finding
from healing.core.status import Seen, Status
from healing.core.types import FailureType, Lifecycle, Snapshot

EVENT_SLACK = 1.5
"""Seconds that an exit may be old and its events still be under way to us."""
REPLAY = 3.0
"""Seconds after which a watcher that has connected has taken in what happened before, as far as the engine still knows it."""
SHUTDOWN_LASTS = 30.0
"""An engine that shuts down has stopped its containers by then (its default is 15 s)."""
PATIENCE = 60.0
"""Seconds for which the events of an exit are waited for, where the watcher is behind with them."""
CLOCKS_APART = 5.0
"""An exit that lies farther in our future is not fresh: the engine's clock is wrong, and waiting would not end."""


def judge_exited(
    status: Status, seen: Seen, snapshot: Snapshot, config: Config, now: datetime, known: bool
) -> Finding:
    """`known`: this very exit has been judged a failure before."""
    if lifecycle.was_stopped_by_hand(status, snapshot):
        return Finding(
            NO_VERDICT, Lifecycle.STOPPED_BY_HAND, "stopped by hand; left alone until it is started again"
        )
    if status.lifecycle is Lifecycle.STOPPED_BY_HAND or (
        status.lifecycle is Lifecycle.FINISHED and not config.always_running
    ):
        return Finding(NO_VERDICT, status.lifecycle, status.message)
    if seen.grace_until is not None and now < seen.grace_until:
        return _wait_exited("stopped; the engine has just come back and goes first", seen.grace_until, now)
    if status.interrupted_at is not None and not _ended_meanwhile(snapshot, status.interrupted_at, config):
        return _stopped(snapshot, "stopped together with its engine, and not started again by it")
    ended = snapshot.finished_at
    was_seen = ended is not None and seen.stream_since is not None and ended >= seen.stream_since
    nobody_knows = not was_seen and status.lifecycle is not Lifecycle.NEW
    if not config.always_running and is_finished(snapshot) and not nobody_knows:
        return Finding(NO_VERDICT, Lifecycle.FINISHED, "finished: " + meaning(0))
    waits = untold_for(ended, seen.events_until, now)
    if waits is not None and not known and (was_seen or nobody_knows):
        if waits < PATIENCE:
            text = "stopped; the engine's events of that time are not worked off yet"
            return _wait_exited(text, now + timedelta(seconds=EVENT_SLACK), now)
        was_seen = was_seen and waits < PATIENCE
    if was_seen and ended is not None:
        return _judge_seen_exit(seen, snapshot, ended, now)
    if known:
        return _stopped(snapshot, "")
    return _judge_found_stopped(status, seen, snapshot, config, now)


def untold_for(ended: datetime | None, events_until: datetime | None, now: datetime) -> float | None:
    """Seconds since an exit of which the engine's events, a stop signal above all, may still wait to be worked off.

    None where they are worked off, or where none are, and where the exit lies too far in our future to be waited for.
    """
    if ended is None or events_until is None or ended <= events_until:
        return None
    age = (now - ended).total_seconds()
    return age if age > -CLOCKS_APART else None


def _ended_meanwhile(snapshot: Snapshot, interrupted_at: datetime, config: Config) -> bool:
    """Whether a job has come to its end while we could not see its engine, too late for the engine's shutdown."""
    if config.always_running or not is_finished(snapshot) or snapshot.finished_at is None:
        return False
    return snapshot.finished_at > interrupted_at + timedelta(seconds=SHUTDOWN_LASTS)


def _judge_seen_exit(seen: Seen, snapshot: Snapshot, ended: datetime, now: datetime) -> Finding:
    """An exit while its events were being watched: nobody stopped it."""
    age = (now - ended).total_seconds()
    if not seen.by_event and -CLOCKS_APART < age < EVENT_SLACK:
        return _wait_exited("has just exited", ended + timedelta(seconds=EVENT_SLACK), now)
    engine_first = ended + timedelta(seconds=lifecycle.ENGINE_FIRST)
    if (
        lifecycle.engine_restarts(snapshot.restart_policy, snapshot.exit_code, snapshot.restart_count)
        and -CLOCKS_APART < age < lifecycle.ENGINE_FIRST
    ):
        return _wait_exited("exited; the engine's restart policy goes first", engine_first, now)
    return _stopped(snapshot, "")


def _judge_found_stopped(
    status: Status, seen: Seen, snapshot: Snapshot, config: Config, now: datetime
) -> Finding:
    """Nobody saw it stop: judged by exit code and restart policy, or as the config says."""
    if config.found_stopped is FoundStopped.HEAL:
        return _stopped(snapshot, "found stopped")
    policy = snapshot.restart_policy
    by_hand = snapshot.exit_code in (0, 143) or (snapshot.exit_code == 137 and not snapshot.oom_killed)
    engine_would = lifecycle.engine_restarts(policy, snapshot.exit_code, snapshot.restart_count)
    if config.found_stopped is FoundStopped.LEAVE or by_hand or (engine_would and not snapshot.oom_killed):
        why = f"restart policy {policy.name}" if engine_would and not by_hand else meaning(snapshot.exit_code)
        text = f"found stopped ({why}), taken as stopped by hand and left alone"
        is_new = status.lifecycle is Lifecycle.NEW
        told_by = seen.stream_since + timedelta(seconds=REPLAY) if seen.stream_since is not None else now
        if now < told_by and not is_new:
            return _wait_exited("stopped; the engine's events of that time may be on their way", told_by, now)
        return Finding(NO_VERDICT, Lifecycle.STOPPED_BY_HAND, text, left_alone=not is_new)
    return _stopped(snapshot, "found stopped")


def is_finished(snapshot: Snapshot) -> bool:
    """Whether an exited container has ended as a job ends: exit 0, and nothing that would run it again."""
    return snapshot.exit_code == 0 and snapshot.restart_policy.name in ("no", "on-failure", "")


def _wait_exited(message: str, until: datetime, now: datetime) -> Finding:
    seconds = max((until - now).total_seconds(), 0.1)
    return Finding(NO_VERDICT, Lifecycle.EXITED, message, look_again_in=seconds)


def _stopped(snapshot: Snapshot, prefix: str) -> Finding:
    text = "; ".join(part for part in (prefix, meaning(snapshot.exit_code)) if part)
    if snapshot.oom_killed:
        text = "; ".join(part for part in (prefix, "out of memory") if part)
        return Finding(FAILED, Lifecycle.EXITED, text, FailureType.CONTAINER_ERROR, at_once=True)
    return Finding(FAILED, Lifecycle.EXITED, text, FailureType.CONTAINER_STOPPED, at_once=True)
