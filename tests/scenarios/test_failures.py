"""Scenarios 1 to 5, 8, 16, 23 to 26, 33 to 35: containers that fail, and what follows."""

from __future__ import annotations

import itertools
import json
from typing import Any

from tests.scenarios.labels import quick
from tests.scenarios.stack import Stack, engine_events
from tests.testbed import faults
from tests.testbed.containers import Containers, healthcheck
from tests.testbed.wait import until

LATE = 6.0
"""Seconds by which a pause may be longer than planned on a machine that has other things to do."""


def details(row: dict[str, Any]) -> dict[str, Any]:
    return json.loads(row["details"]) if isinstance(row["details"], str) else dict(row["details"])


def healed(failure_type: str) -> list[str]:
    return [f"{failure_type} / restart / success", "auto_restart / restart / success"]


def test_01_an_unhealthy_container_is_restarted_and_verified(stack: Stack, made: Containers) -> None:
    """A container whose HEALTHCHECK fails is restarted once, verified by its health, and the cause is on record."""
    container, name = made.run_web("web", labels=quick()), made.name("web")
    stack.wait_known(name)
    made.exec(container, faults.BREAK_HEALTH)
    stack.wait_records(name, healed("health_check_failed"))
    stack.wait_alerts(name, ["warning", "info"])
    found = stack.found(name)
    assert "/tmp/ok is missing" in found["error_message"]
    assert found["cause"] == "health check failing"
    assert found["resolved_at"] is not None
    assert "passed" in found["reason"]
    assert len(engine_events(made.client, container, "restart")) == 1


def test_02_a_process_killed_from_outside_is_not_called_out_of_memory(stack: Stack, made: Containers) -> None:
    """Exit 137 without a kill event and without the OOM flag is healed as "killed"."""
    container, name = made.run("plain", labels=quick()), made.name("plain")
    stack.wait_known(name)
    made.kill_from_outside(container)
    stack.wait_records(name, healed("container_stopped"), timeout=40)
    stack.wait_alerts(name, ["warning", "info"])
    assert stack.found(name)["cause"] == "killed"


def test_03_out_of_memory_names_its_limit(stack: Stack, made: Containers) -> None:
    """An OOM-killed container is a container_error whose cause and limit are told."""
    container, name = (
        made.run("eater", faults.oom_on_file(), labels=quick(), **faults.OUT_OF_MEMORY_LIMITS),
        made.name("eater"),
    )
    stack.wait_known(name)
    made.exec(container, ["touch", "/tmp/eat"])
    stack.wait_records(name, healed("container_error"), timeout=40)
    stack.wait_alerts(name, ["warning", "info"])
    found = stack.found(name)
    assert found["cause"] == "out of memory"
    assert "16 MiB" in found["error_message"]


def test_04_the_last_log_lines_are_kept(stack: Stack, made: Containers) -> None:
    """A container that ends with 1 after it had run is healed, and its last words are kept as evidence."""
    command = ["sh", "-c", "until test -e /tmp/end; do sleep 0.1; done; rm /tmp/end; echo last words; exit 1"]
    container, name = made.run("worker", command, labels=quick()), made.name("worker")
    stack.wait_known(name)
    made.exec(container, ["touch", "/tmp/end"])
    stack.wait_records(name, healed("container_stopped"), timeout=40)
    stack.wait_alerts(name, ["warning", "info"])
    found = stack.found(name)
    assert found["cause"] == "exit code 1"
    assert "last words" in details(found)["logs"]


def test_05_a_hopeless_container_is_quarantined_within_its_budget(stack: Stack, made: Containers) -> None:
    """Ending at once, every time: growing pauses, never over budget, one critical alert, then silence."""
    container, name = made.run("loop", faults.CRASH, labels=quick(max_restarts=4)), made.name("loop")
    stack.wait_records(
        name,
        ["container_stopped / restart / failed", "restart_limit_exceeded / alert / success"],
        timeout=60,
    )
    stack.wait_alerts(name, ["warning", "error", "critical"])
    assert stack.lifecycle(name) == "quarantined"
    assert stack.found(name)["cause"] == "crash loop"
    lives = engine_events(made.client, container, "start", "die")
    assert [kind for kind, _ in lives] == ["start", "die"] * 5, "the first start and four of ours"
    deaths, starts = [at for _, at in lives[1::2]], [at for _, at in lives[2::2]]
    pauses = [start - death for death, start in zip(deaths, starts, strict=False)]
    planned = [attempt["backoff"] for attempt in stack.attempts(name)]
    assert planned == [0, 1, 2, 4]
    bounds = [(least, least + LATE) for least in planned]
    assert all(a <= pause <= b for pause, (a, b) in zip(pauses, bounds, strict=True)), (pauses, bounds)
    stack.wait_checks(name, 3)
    assert len(engine_events(made.client, container, "start")) == 5
    assert stack.alerts(name) == ["warning", "error", "critical"]


def test_08_the_engines_own_policy_goes_first_when_it_loops(stack: Stack, made: Containers) -> None:
    """A container that its engine keeps restarting is told about once, and not touched by us."""
    container, name = (
        made.run("always", faults.CRASH, labels=quick(), restart_policy="always"),
        made.name("always"),
    )
    stack.wait_records(name, ["container_error / alert / success"], timeout=40)
    stack.wait_alerts(name, ["error"])
    assert stack.found(name)["cause"] == "crash loop"
    stack.wait_checks(name, 3)
    assert stack.attempts(name) == []
    assert stack.records(name) == ["container_error / alert / success"]
    assert made.client.inspect_container(container)["RestartCount"] >= 3


def test_16_a_change_of_image_is_named_as_evidence(stack: Stack, made: Containers) -> None:
    """A container that is unhealthy from its first minute on a new image is an error that names the change."""
    made.run_web("app", labels=quick())
    name = made.name("app")
    stack.wait_known(name)
    other = made.client.import_image_from_data(
        _tiny_image(made), repository="selfheal-test/other", tag=made.prefix
    )
    assert other
    made.client.remove_container(name, force=True)
    container = made.client.create_container(
        f"selfheal-test/other:{made.prefix}",
        faults.WEB,
        name=name,
        labels=quick(max_restarts=1),
        healthcheck=healthcheck(faults.HEALTH_NEVER),
    )["Id"]
    made.adopt(container)
    made.client.start(container)
    until(lambda: stack.found(name), 30, "the failure is found")
    until(lambda: stack.alerts(name)[:1] == ["error"], 20, f"an error: {stack.alerts(name)}")
    assert "image was changed" in stack.found(name)["error_message"]
    assert details(stack.found(name))["image_change"]["to"]


def _tiny_image(made: Containers) -> bytes:
    """The file system of the test image, as a tar archive: the same contents, another image."""
    source = made.create("source")
    return b"".join(made.client.export(source))


def test_25_where_auto_restart_is_off_people_are_told_and_nothing_is_touched(
    stack: Stack, made: Containers
) -> None:
    """The read-only profile: an error, critical once if it lasts longer than the window, never a restart."""
    container, name = (
        made.run_web("ro", labels=quick(restart_window=5) | {"selfheal.config": "read-only"}),
        made.name("ro"),
    )
    stack.wait_known(name)
    made.exec(container, faults.BREAK_HEALTH)
    stack.wait_records(name, ["health_check_failed / alert / success"])
    stack.wait_alerts(name, ["error", "critical"], timeout=30)
    assert stack.attempts(name) == []
    made.exec(container, faults.MEND_HEALTH)
    stack.wait_alerts(name, ["error", "critical", "info"], timeout=20)
    assert stack.found(name)["resolved_at"] is not None
    assert engine_events(made.client, container, "restart", "kill", "die") == []


def test_26_where_send_alert_is_off_the_records_are_complete(stack: Stack, made: Containers) -> None:
    """The non-critical profile is healed as any other, and nobody is told."""
    container, name = (
        made.run_web("quiet", labels=quick() | {"selfheal.config": "non-critical"}),
        made.name("quiet"),
    )
    stack.wait_known(name)
    made.exec(container, faults.BREAK_HEALTH)
    stack.wait_records(name, healed("health_check_failed"))
    assert stack.alerts(name) == []


def test_33_a_failure_during_a_restart_is_folded_in(stack: Stack, made: Containers) -> None:
    """A container that exits while it is being restarted has one heal, and never two restarts in flight."""
    command = ["sh", "-c", "test -e /once || { touch /once /tmp/ok; sleep 100000 & wait; }; sleep 1; exit 3"]
    container, name = (
        made.run("twice", command, labels=quick(max_restarts=2), healthcheck=healthcheck(faults.HEALTH_FILE)),
        made.name("twice"),
    )
    stack.wait_known(name)
    made.exec(container, faults.BREAK_HEALTH)
    until(lambda: stack.lifecycle(name) == "quarantined", 60, "it ends in quarantine")
    assert len([row for row in stack.failures(name) if row["is_found"]]) == 1
    calls = [(row["called_at"], row["answered_at"]) for row in stack.attempts(name)]
    assert all(str(first[1]) <= str(second[0]) for first, second in itertools.pairwise(calls)), calls


def test_34_a_full_disk_is_critical_and_tried_once(stack: Stack, made: Containers) -> None:
    """A restart does not free space: one attempt at the most, and people are told how grave it is."""
    command = ["sh", "-c", "sleep 1; cat /dev/zero > /small/file; echo never; exit 1"]
    name = made.name("full")
    made.run("full", command, labels=quick(), tmpfs={"/small": "size=64k"})
    until(lambda: stack.alerts(name) == ["critical"], 30, "one critical alert")
    until(lambda: stack.found(name).get("stage") == "observe", 30, "it is only watched")
    stack.wait_checks(name, 2)
    assert stack.found(name)["cause"] == "disk full"
    assert stack.found(name)["failure_type"] == "container_error"
    assert len(stack.attempts(name)) == 1
    assert stack.alerts(name) == ["critical"]
