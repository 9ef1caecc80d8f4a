"""From evidence to a cause that a person understands."""

from __future__ import annotations

from typing import Any

import pytest

from healing.core.diagnose import (
    CAME_BACK,
    PARENT_GONE,
    PARENT_REPLACED,
    Diagnosis,
    diagnose,
)
from healing.core.evidence import Evidence, NetworkParent
from healing.core.types import ActionKind, AlertLevel, EngineHealth, EngineState, FailureType, RestartPolicy
from tests.unit.core.build import NOW, at, exited, healthy_status, probe, running, unhealthy

STOPPED, ERROR, CHECK = (
    FailureType.CONTAINER_STOPPED,
    FailureType.CONTAINER_ERROR,
    FailureType.HEALTH_CHECK_FAILED,
)
LOOP = tuple((at(-s - 1).timestamp(), at(-s).timestamp()) for s in (90, 60, 30))


def cause_of(snapshot: Any, failure_type: FailureType = STOPPED, **facts: Any) -> Diagnosis:
    base: dict[str, Any] = {"detected_message": "seen", "status": healthy_status(), "now": NOW}
    return diagnose(Evidence(failure_type=failure_type, snapshot=snapshot, **(base | facts)))


@pytest.mark.parametrize(
    ("snapshot", "facts", "cause", "words"),
    [
        (unhealthy(output="db: refused"), {}, "health check failing", "db: refused"),
        (exited(137), {}, "killed", "not out of memory"),
        (exited(139), {}, "killed", "SIGSEGV"),
        (exited(137, oom_killed=True, memory_limit=64 * 1024**2), {}, "out of memory", "64 MiB"),
        (exited(137, oom_killed=True), {}, "out of memory", "Out of memory"),
        (exited(1), {"logs": ["KeyError: 'x'"]}, "exit code 1", "exit code 1"),
        (exited(1), {"status": healthy_status(exits=LOOP)}, "crash loop", "3 times"),
        (
            exited(1),
            {"status": healthy_status(exits=LOOP[:1]), "attempts_in_row": 3},
            "crash loop",
            "1 time soon",
        ),
        (exited(1), {"status": healthy_status(), "attempts_in_row": 3}, "exit code 1", "exit code 1"),
        (exited(1), {"status": healthy_status(exits=LOOP[:2])}, "exit code 1", "exit code 1"),
        (exited(127), {}, "command not found", "not found"),
        (exited(126), {}, "command not found", "cannot be executed"),
        (exited(1), {"logs": ["bind: address already in use"]}, "port in use", "already in use"),
        (exited(1), {"logs": ["write: No space left on device"]}, "disk full", "No space left"),
        (
            exited(137),
            {"start_error": "the engine answered 500: task d93ae463: already exists", "attempts_in_row": 3},
            "held by its engine",
            "remove and recreate it",
        ),
        (
            exited(137, oom_killed=True),
            {"start_error": "the engine answered 500: task d93ae463: already exists"},
            "held by its engine",
            "remove and recreate it",
        ),
        (
            exited(128, error="OCI runtime create failed: container with id exists: d47acb85: unknown"),
            {},
            "held by its engine",
            "container with id exists",
        ),
        (
            exited(
                128, error="mkdir /run/containerd/io.containerd.runtime.v2.task/moby/d47acb85: file exists"
            ),
            {},
            "held by its engine",
            "file exists",
        ),
        (exited(1), {"start_error": "Bind for :80 failed: port is already allocated"}, "port in use", ":80"),
        (exited(1), {"start_error": "No such image: web:1"}, "missing image", "web:1"),
        (
            exited(127),
            {"start_error": 'exec: "srv": executable file not found in $PATH'},
            "command not found",
            "srv",
        ),
        (
            running(),
            {"probes": (probe("failed", "no answer in 5 s", hung=True),)},
            "hung",
            "no answer in 5 s",
        ),
        (running(), {"probes": (probe("failed", "500"), probe("unknown"))}, "probe failing", "http: 500"),
        (running(), {}, "unknown", "Seen."),
        (
            exited(143),
            {"status": healthy_status(interrupted_at=at(-11))},
            "stopped with its engine",
            "engine",
        ),
    ],
)
def test_causes(snapshot: Any, facts: Any, cause: str, words: str) -> None:
    """Each kind of evidence has its cause, and the summary carries what a person needs (scenarios 1-5, 18, 34)."""
    diagnosis = cause_of(snapshot, **facts)
    assert diagnosis.cause == cause
    assert words.lower() in diagnosis.summary.lower()
    assert diagnosis.may_act
    assert diagnosis.evidence


@pytest.mark.parametrize(
    "line",
    [
        "GET /missing: not found",
        "image avatar.png not found",
        "exec of query: row not found",
        "task 7: already exists",
    ],
)
def test_an_applications_own_words_are_no_engine_errors(line: str) -> None:
    """What a program logs about its own business is not taken for a missing command or image."""
    assert cause_of(exited(1), logs=[line]).cause == "exit code 1"


def test_a_shells_complaint_is_quoted() -> None:
    """With exit code 127 the shell's own line says which command is missing."""
    diagnosis = cause_of(exited(127), logs=["sh: 1: serve: not found"])
    assert (diagnosis.cause, "serve" in diagnosis.summary) == ("command not found", True)


def test_old_log_lines_say_nothing() -> None:
    """Only the last lines are looked at for a cause and kept as evidence."""
    diagnosis = cause_of(exited(1), logs=["No space left on device", *["fine"] * 20])
    assert diagnosis.cause == "exit code 1"
    assert diagnosis.evidence["logs"] == ["fine"] * 20


def test_a_past_oom_kill_is_not_the_cause_of_what_runs_now() -> None:
    """A stale OOM flag on a running container does not name the cause."""
    assert cause_of(unhealthy(oom_killed=True), CHECK).cause == "health check failing"


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
def test_a_loop_of_the_engine_is_not_ours(policy: str) -> None:
    """While the engine's own policy loops, people are told at level error and nothing is done (scenario 8)."""
    snapshot = running(state=EngineState.RESTARTING, exit_code=1, restart_policy=RestartPolicy(policy))
    diagnosis = cause_of(snapshot, ERROR, status=healthy_status(exits=LOOP))
    assert (diagnosis.cause, diagnosis.may_act, diagnosis.failure_type) == ("crash loop", False, ERROR)
    assert diagnosis.level is AlertLevel.ERROR
    assert policy in diagnosis.why_not


def test_a_loop_that_the_engine_has_given_up_is_ours() -> None:
    """An exited container in a crash loop may be restarted, within its budget."""
    status = healthy_status(exits=LOOP)
    diagnosis = cause_of(exited(1, policy="on-failure"), status=status)
    assert (diagnosis.cause, diagnosis.may_act, diagnosis.level) == ("crash loop", True, AlertLevel.ERROR)


def test_a_full_disk_is_tried_once() -> None:
    """A full disk is critical, an error of the container, and restarting is tried once only (scenario 34)."""
    diagnosis = cause_of(exited(1), start_error="mkdir: no space left on device")
    assert (diagnosis.level, diagnosis.max_attempts) == (AlertLevel.CRITICAL, 1)
    assert diagnosis.failure_type is ERROR


def test_dead() -> None:
    """A dead container is not started; the engine's own error is told (scenario 35)."""
    diagnosis = cause_of(running(state=EngineState.DEAD, error="device busy"), ERROR)
    assert (diagnosis.cause, diagnosis.may_act, diagnosis.level) == ("dead", False, AlertLevel.ERROR)
    assert "device busy" in diagnosis.summary
    assert "409" in diagnosis.why_not


@pytest.mark.parametrize(
    ("minutes", "previous", "told"), [(1, "sha256:0", True), (31, "sha256:0", False), (1, "", False)]
)
def test_a_change_of_image_is_evidence(minutes: int, previous: str, told: bool) -> None:
    """An image changed less than half an hour ago is named, at level error (scenario 16)."""
    diagnosis = cause_of(unhealthy(), CHECK, previous_image_id=previous, image_changed_at=at(-60 * minutes))
    assert ("image" in diagnosis.summary) is told
    assert ("image_change" in diagnosis.evidence) is told
    assert diagnosis.level is (AlertLevel.ERROR if told else AlertLevel.WARNING)


def test_the_evidence_can_be_written_down() -> None:
    """The evidence holds state, codes, health output, probes and log lines, as JSON can carry them."""
    import json

    snapshot = unhealthy(output="o" * 5000, memory_limit=1, health=EngineHealth.UNHEALTHY)
    evidence = cause_of(snapshot, CHECK, logs=["last words"], probes=(probe("failed", "500"),)).evidence
    assert json.loads(json.dumps(evidence)) == evidence
    assert (evidence["health"], evidence["logs"]) == ("unhealthy", ["last words"])
    assert evidence["probes"] == [{"name": "http", "verdict": "failed", "message": "500"}]
    assert len(evidence["health_output"]) == 2000


@pytest.mark.parametrize("snapshot", [unhealthy(), exited(1), exited(0, policy="always")])
def test_a_replaced_network_parent_asks_for_a_recreate(snapshot: Any) -> None:
    """A restart would fail: the engine no longer has the container whose network is named."""
    found = cause_of(snapshot, CHECK, network_parent=NetworkParent("a" * 64, "vpn", "b" * 64))
    assert (found.cause, found.action, found.failure_type) == (PARENT_REPLACED, ActionKind.RECREATE, ERROR)
    assert (found.level, found.may_act) == (AlertLevel.WARNING, True)
    assert "aaaaaaaaaaaa (vpn)" in found.summary
    assert "replaced by bbbbbbbbbbbb" in found.summary


def test_a_network_parent_without_a_successor_is_for_a_person() -> None:
    """Nothing is known that could be shared instead, and a restart would fail."""
    found = cause_of(exited(1), network_parent=NetworkParent("a" * 64))
    assert (found.cause, found.may_act, found.level) == (PARENT_GONE, False, AlertLevel.ERROR)


def test_a_restart_along_with_a_dependency_names_it() -> None:
    """The record says why a container was restarted that did not fail."""
    found = cause_of(running(), CHECK, came_back="db")
    assert (found.cause, found.action) == (CAME_BACK, ActionKind.RESTART)
    assert found.summary.startswith("db has come back")
