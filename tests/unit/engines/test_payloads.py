"""Payloads recorded from a real engine (20.10), and what older, newer and other engines leave out or change."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healing.core.types import (
    EngineHealth,
    EngineState,
    Event,
    EventKind,
    HealthCommand,
    RestartPolicy,
    Snapshot,
    Summary,
)
from healing.engines.docker_payloads import (
    parse_event,
    parse_info,
    parse_snapshot,
    parse_summary,
    parse_time,
)
from healing.engines.signals import signal_name

RECORDED = Path(__file__).parents[2] / "data/engines/docker-20.10"


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text())


def recorded_events(name: str) -> list[Any]:
    return [json.loads(line) for line in (RECORDED / f"{name}.jsonl").read_text().splitlines()]


def test_list_of_a_real_engine() -> None:
    """State, health and exit code are read from each kind of row."""
    rows = {row.name: row for row in map(parse_summary, recorded("list"))}
    seen = {name: (row.state.value, row.health.value, row.exit_code) for name, row in rows.items()}
    assert seen == {
        "healthy": ("running", "healthy", None),
        "unhealthy": ("running", "starting", None),  # it had just been restarted
        "starting": ("running", "starting", None),
        "plain": ("running", "none", None),
        "paused": ("paused", "none", None),
        "oom": ("exited", "none", 137),
        "crashed2": ("exited", "none", 3),
        "looping": ("restarting", "none", 1),
        "created": ("created", "none", None),
        "notfound": ("created", "none", None),
        "stopped": ("exited", "none", 0),
    }
    assert rows["healthy"].labels == {"com.docker.compose.service": "web"}
    assert rows["healthy"].image_id.startswith("sha256:")
    assert rows["healthy"].created_at.tzinfo is UTC


def test_inspect_of_a_healthy_container() -> None:
    """Everything that a decision rests upon is read."""
    seen = parse_snapshot(recorded("inspect-healthy"))
    assert (seen.name, seen.state, seen.health) == ("healthy", EngineState.RUNNING, EngineHealth.HEALTHY)
    assert seen.restart_policy == RestartPolicy("on-failure", 3)
    assert (seen.stop_signal, seen.stop_timeout, seen.memory_limit) == ("SIGINT", 7.0, 64 * 1024 * 1024)
    assert seen.health_command == HealthCommand(("/bin/sh", "-c", "echo fine"), 1.0, 2.0, 1.0, 1)
    assert seen.health_log[-1].output == "fine\n"
    assert seen.health_log[-1].start.tzinfo is UTC
    assert seen.network_mode == "none"
    assert seen.finished_at is None
    assert seen.started_at is not None
    assert seen.pid > 0
    assert seen.command[0] == "sh"
    assert seen.is_running
    assert not seen.is_swarm_task


@pytest.mark.parametrize(
    ("name", "state", "exit_code", "oom"),
    [
        ("crashed", EngineState.EXITED, 3, False),
        ("oom", EngineState.EXITED, 137, True),
        ("stopped", EngineState.EXITED, 0, False),
        ("looping", EngineState.RESTARTING, 1, False),
        ("created", EngineState.CREATED, 0, False),
        ("notfound", EngineState.CREATED, 127, False),
        ("paused", EngineState.PAUSED, 0, False),
    ],
)
def test_inspect_of_containers_that_do_not_run(
    name: str, state: EngineState, exit_code: int, oom: bool
) -> None:
    """How each ended, or why it never began."""
    seen = parse_snapshot(recorded(f"inspect-{name}"))
    assert (seen.state, seen.exit_code, seen.oom_killed) == (state, exit_code, oom)


def test_a_container_that_never_ran_has_no_times() -> None:
    """Go's zero time is no time."""
    seen = parse_snapshot(recorded("inspect-created"))
    assert (seen.started_at, seen.finished_at) == (None, None)
    assert "executable file not found" in parse_snapshot(recorded("inspect-notfound")).error


def test_the_engine_says_unhealthy_through_a_pause() -> None:
    """A fact that detection must know: recorded so that it is not forgotten."""
    assert parse_snapshot(recorded("inspect-paused")).health is EngineHealth.UNHEALTHY


def test_events_of_a_real_engine() -> None:
    """Exec and network noise is passed over; signals and exit codes are read."""
    events = [event for event in map(parse_event, recorded_events("events")) if event is not None]
    stopped = [event for event in events if event.name == "stopped"]
    assert [event.kind.value for event in stopped] == [
        *("create", "start", "health_status: healthy", "kill", "die", "stop")
    ]
    assert [event.signal for event in stopped if event.signal] == ["SIGTERM"]
    assert [event.exit_code for event in stopped if event.exit_code is not None] == [0]
    assert {event.kind for event in events} == set(EventKind) - {EventKind.OOM}
    assert events[0].labels == {"com.docker.compose.service": "web"}


def test_out_of_memory_comes_before_the_death() -> None:
    """The oom event is evidence for the die that follows."""
    events = [event for event in map(parse_event, recorded_events("events-oom")) if event is not None]
    assert [event.kind.value for event in events] == ["create", "start", "oom", "die"]
    assert events[-1].exit_code == 137


def test_info_of_a_real_engine() -> None:
    """The engine's name and versions, and its count of containers."""
    info = parse_info(recorded("version"), recorded("info"))
    assert (info.kind, info.api_version, info.name, info.containers) == ("docker", "1.41", "engine", 11)


def test_podman_is_recognised() -> None:
    """Podman answers the same API and says who it is."""
    assert parse_info({"Components": [{"Name": "Podman Engine"}], "Version": "4.3"}, {}).kind == "podman"


def test_podmans_words_are_understood() -> None:
    """Podman's own names for states and events, and its missing keys."""
    assert parse_snapshot({"Id": "1", "State": {"Status": "stopped"}}).state is EngineState.EXITED
    died = parse_event(
        {"Action": "died", "Actor": {"ID": "1", "Attributes": {"containerExitCode": "2"}}, "time": 5}
    )
    assert died is not None
    assert (died.kind, died.exit_code, died.at) == (EventKind.DIE, 2, datetime.fromtimestamp(5, UTC))
    sick = {"Type": "container", "Action": "health_status", "HealthStatus": "unhealthy", "time": 5}
    healthy = parse_event({**sick, "HealthStatus": "healthy"})
    unhealthy = parse_event(sick)
    assert healthy is not None
    assert unhealthy is not None
    assert (healthy.kind, unhealthy.kind) == (EventKind.HEALTHY, EventKind.UNHEALTHY)


def test_newer_engines_give_health_in_the_list() -> None:
    """Where the list has a Health of its own it counts, also for a paused container."""
    row = {"Id": "1", "State": "paused", "Status": "Up 1 second (Paused)", "Health": {"Status": "healthy"}}
    assert parse_summary(row).health is EngineHealth.HEALTHY


def test_a_linked_containers_own_name_is_taken() -> None:
    """Links add names of other containers' views ("/web/db")."""
    assert parse_summary({"Names": ["/web/db", "/db"]}).name == "db"


def test_addresses_of_all_networks() -> None:
    """A probe tries each network's address; IPv4 first, none twice."""
    networks = {
        "a": {"IPAddress": "172.18.0.2", "GlobalIPv6Address": "fd00::2"},
        "b": {"IPAddress": "172.19.0.2", "GlobalIPv6Address": ""},
    }
    body = {"NetworkSettings": {"IPAddress": "172.18.0.2", "Networks": networks}}
    assert parse_snapshot(body).addresses == ("172.18.0.2", "172.19.0.2", "fd00::2")


@pytest.mark.parametrize(
    ("test", "argv"),
    [
        (["CMD", "curl", "-f", "http://localhost"], ("curl", "-f", "http://localhost")),
        (["CMD-SHELL", "curl localhost || exit 1"], ("/bin/sh", "-c", "curl localhost || exit 1")),
        (["NONE"], ()),
        ([], ()),
        (None, ()),
    ],
)
def test_health_commands(test: list[str] | None, argv: tuple[str, ...]) -> None:
    """Every form of HEALTHCHECK becomes what can be run; zeros are the engine's defaults."""
    seen = parse_snapshot({"Config": {"Healthcheck": {"Test": test}}}).health_command
    assert (seen.argv, seen.interval, seen.timeout, seen.retries) == (argv, 30.0, 30.0, 3)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-05-01T10:20:30.123456789Z", datetime(2024, 5, 1, 10, 20, 30, 123456, UTC)),
        ("2024-05-01T10:20:30Z", datetime(2024, 5, 1, 10, 20, 30, 0, UTC)),
        ("2024-05-01T12:20:30.5+02:00", datetime(2024, 5, 1, 10, 20, 30, 500000, UTC)),
        ("0001-01-01T00:00:00Z", None),
        (1714558830, datetime(2024, 5, 1, 10, 20, 30, 0, UTC)),
        ("", None),
        (None, None),
        (0, None),
        (True, None),
        ("yesterday", None),
    ],
)
def test_times(value: object, expected: datetime | None) -> None:
    """All forms of time that engines write, in UTC."""
    assert parse_time(value) == expected


@pytest.mark.parametrize(
    ("value", "name"),
    [
        *(("15", "SIGTERM"), ("9", "SIGKILL"), (1, "SIGHUP"), ("TERM", "SIGTERM"), ("sigterm", "SIGTERM")),
        *(
            ("37", "SIGRTMIN+3"),
            ("SIGRTMIN+3", "SIGRTMIN+3"),
            ("RTMIN+3", "SIGRTMIN+3"),
            ("", ""),
            (None, ""),
        ),
        *(("31", "SIGSYS"), ("33", "33"), ("0", "0")),
    ],
)
def test_signal_names(value: object, name: str) -> None:
    """A kill event's number and a stop signal's name can be compared."""
    assert signal_name(value) == name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        "Id",
        "Names",
        "State",
        "Config",
        "HostConfig",
        "NetworkSettings",
        "Status",
        "Actor",
        "Action",
        "Created",
        "time",
    ]
)


@given(st.dictionaries(KEYS, JSON, max_size=8))
def test_missing_and_strange_keys_break_nothing(body: dict[str, Any]) -> None:
    """An engine's odd answer makes an odd record, never a crash of the loop that reads all others."""
    assert isinstance(parse_summary(body), Summary)
    assert isinstance(parse_snapshot(body), Snapshot)
    assert isinstance(parse_event(body), Event | None)


def test_event_times_are_exact_to_the_microsecond() -> None:
    """`since` is made of them: rounding up would lose an event."""
    nanoseconds = 1_795_671_140_693_127_870
    event = parse_event({"Action": "die", "Actor": {"ID": "1"}, "timeNano": nanoseconds})
    assert event is not None
    assert event.at == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
