"""What every engine's event stream promises: order, signals, exit codes, replay, an end."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from healing.core.types import EngineHealth, EngineState
from healing.pipeline.comeback import still_knows
from tests.contract.engines.labs import Lab, Listener
from tests.contract.engines.test_engine_contract import wait_health, wait_state
from tests.testbed.wait import until


def test_a_life_from_create_to_destroy(lab: Lab) -> None:
    """Each event names its container and labels, in the order in which things happened."""
    listener = Listener(lab.engine)
    container = lab.run("web", labels={"tier": "front"})
    listener.wait_for(container, "create", "start")
    lab.remove(container)
    until(lambda: listener.of(container)[-1:] == ["destroy"], 15, "destroyed")
    events = [event for event in listener.events if event.container_id == container]
    assert "die" in listener.of(container)
    assert {event.name for event in events} == {lab.full_name("web")}
    assert {event.labels.get("tier") for event in events} == {"front"}
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert all(event.at.tzinfo is not None for event in events)


def test_a_stop_by_hand_is_kill_die_stop(lab: Lab) -> None:
    """A manual stop is recognised by its kill event, which comes first."""
    container = lab.run("web")
    listener = Listener(lab.engine)
    lab.stop_by_hand(container)
    kill, die, _ = listener.wait_for(container, "kill", "die", "stop")
    assert kill.signal == "SIGTERM"
    assert die.exit_code is not None


def test_a_kill_by_hand_is_kill_die(lab: Lab) -> None:
    """`docker kill` is told from a crash by the kill before the die."""
    container = lab.run("web")
    listener = Listener(lab.engine)
    lab.kill_by_hand(container, "SIGKILL")
    kill, die = listener.wait_for(container, "kill", "die")
    assert (kill.signal, die.exit_code) == ("SIGKILL", 137)


def test_a_signal_that_does_not_end_it_is_only_a_kill(lab: Lab) -> None:
    """`docker kill -s HUP` is no stop: the event says which signal it was."""
    container = lab.run("web", ["sh", "-c", "trap : HUP; while :; do sleep 0.1; done"])
    time_to_trap = lab.engine.inspect(container)
    assert time_to_trap.state is EngineState.RUNNING
    listener = Listener(lab.engine)
    lab.kill_by_hand(container, "SIGHUP")
    assert listener.wait_for(container, "kill")[0].signal == "SIGHUP"


def test_a_death_from_outside_is_only_a_die(lab: Lab) -> None:
    """No kill event: nobody asked for this."""
    container = lab.run("web")
    listener = Listener(lab.engine)
    lab.kill_from_outside(container)
    assert listener.wait_for(container, "die")[0].exit_code == 137


def test_an_engine_knows_of_a_death_that_it_has_told_and_of_no_other(lab: Lab) -> None:
    """One that has started anew has forgotten it: so it is told from one that has lived on."""
    container = lab.run("web")
    listener = Listener(lab.engine)
    lab.kill_from_outside(container)
    (die,) = listener.wait_for(container, "die")
    assert still_knows(lab.engine, die.at)
    assert not still_knows(lab.engine, die.at + timedelta(microseconds=1))


def test_our_restart_ends_with_start_and_restart(lab: Lab) -> None:
    """The engine's start event is where a heal's latency ends."""
    container = lab.run("web")
    listener = Listener(lab.engine)
    lab.engine.restart(container, 5, 20)
    assert listener.wait_for(container, "kill", "die", "stop", "start", "restart")


def test_health_events(lab: Lab) -> None:
    """A turn of health is told at once, once."""
    container = lab.run("web", health=True)
    wait_health(lab, container, EngineHealth.HEALTHY)
    listener = Listener(lab.engine)
    lab.sicken(container)
    listener.wait_for(container, "health_status: unhealthy")
    lab.cure(container)
    assert listener.wait_for(container, "health_status: unhealthy", "health_status: healthy")


def test_who_hears_a_die_sees_it_exited(lab: Lab) -> None:
    """An event is a hint to look: what it tells is true by then."""
    container = lab.run("web")
    stream = lab.engine.events(None, 10)
    lab.kill_from_outside(container)
    next(event for event in stream if event.container_id == container and event.kind.value == "die")
    assert lab.engine.inspect(container).state is EngineState.EXITED


def test_since_replays_what_was_missed(lab: Lab) -> None:
    """After a gap the stream goes on where it broke off, the event at that very time included."""
    container = lab.run("web")
    first = Listener(lab.engine, since=lab.engine.inspect(container).created_at)
    lab.kill_from_outside(container)
    wait_state(lab, container, EngineState.EXITED)
    die = first.wait_for(container, "start", "die")[-1]
    again = Listener(lab.engine, since=die.at)
    assert again.wait_for(container, "die") == [die]


def test_without_since_nothing_old_is_told(lab: Lab) -> None:
    """A first look does not take yesterday's events for today's."""
    container = lab.run("web")
    listener = Listener(lab.engine)
    lab.kill_by_hand(container, "SIGKILL")
    listener.wait_for(container, "kill", "die")
    assert listener.of(container) == ["kill", "die"]


def test_a_since_in_the_future_still_hears_what_happens_now(lab: Lab) -> None:
    """A clock that was set back does not make us deaf."""
    container = lab.run("web")
    future = datetime(2200, 1, 1, tzinfo=UTC)
    listener = Listener(lab.engine, since=future)
    lab.kill_by_hand(container, "SIGKILL")
    assert listener.wait_for(container, "kill", "die")


def test_close_ends_a_waiting_stream(lab: Lab) -> None:
    """The watcher stops when it is asked to, not at the next event."""
    listener = Listener(lab.engine, idle_timeout=60)
    begun = time.monotonic()
    lab.engine.close()
    assert listener.ended(5)
    assert time.monotonic() - begun < 2
    assert listener.error is None


def test_two_streams_hear_the_same(lab: Lab) -> None:
    """One watcher does not take events from another."""
    one, two = Listener(lab.engine), Listener(lab.engine)
    container = lab.run("web")
    one.wait_for(container, "create", "start")
    assert two.wait_for(container, "create", "start")
