"""Registration from an engine: what is wanted, how a row follows its container, what a selection means."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from healing.core.types import EngineState, HealthCommand, RestartPolicy, Snapshot
from healing.models import AutoRegister, Container, HealingConfig, HealthStatus, Host, Project, SystemState
from healing.registration.engine import (
    Selection,
    adopt,
    parse_selection,
    register_from_engine,
    register_snapshots,
    wanted,
)
from healing.registration.hosts import engine_of
from healing.registration.read import read_paths
from healing.registration.sources import Options
from healing.registration.store import register
from tests.testbed.containers import Containers, healthcheck

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 1, tzinfo=UTC)
COMPOSE = {
    "com.docker.compose.project": "shop",
    "com.docker.compose.service": "web",
    "com.docker.compose.container-number": "1",
}
SNAPSHOT = Snapshot(
    id="a" * 64,
    name="shop-web-1",
    image="nginx:1",
    image_id="sha256:1",
    labels=COMPOSE,
    state=EngineState.RUNNING,
    restart_policy=RestartPolicy("always"),
    stop_signal="SIGQUIT",
    health_command=HealthCommand(("CMD", "true"), 7, 2, 0, 4),
)


@pytest.fixture
def host() -> Host:
    return Host.objects.create(name="web-01", address="fake://engine")


@pytest.mark.parametrize(
    ("auto_register", "labels", "reason"),
    [
        (AutoRegister.LABELLED, {"selfheal.enable": "true"}, "label selfheal.enable"),
        (AutoRegister.LABELLED, {"autoheal": "true"}, "label autoheal"),
        (AutoRegister.LABELLED, {}, None),
        (AutoRegister.LABELLED, {"selfheal.check_interval": "1"}, None),
        (AutoRegister.LABELLED, {"com.docker.compose.project": "shop"}, "project shop"),
        (AutoRegister.LABELLED, {"com.docker.compose.project": "blog"}, None),
        (AutoRegister.LABELLED, {"com.docker.compose.project": "shop", "selfheal.enable": "no"}, None),
        (AutoRegister.LABELLED, {"selfheal.enable": "false", "autoheal": "true"}, None),
        (AutoRegister.ALL, {}, "all containers of host web-01"),
        (AutoRegister.ALL, {"autoheal": "false"}, None),
        (AutoRegister.NONE, {"selfheal.enable": "true"}, None),
        (AutoRegister.NONE, {"com.docker.compose.project": "shop"}, None),
    ],
)
def test_which_containers_are_registered_by_themselves(
    host: Host, auto_register: AutoRegister, labels: dict[str, str], reason: str | None
) -> None:
    """Labels, projects and hosts decide; a label that says no and a host that says none outrank all."""
    Project.objects.create(name="shop", auto_register=True)
    Project.objects.create(name="blog")
    host.auto_register = auto_register.value
    assert wanted(host, labels) == reason


def test_adopting_writes_what_the_engine_knows(host: Host) -> None:
    """A new container gets its row with project, service and mapped values, and its health status."""
    row = adopt(host, SNAPSHOT, "label selfheal.enable")
    row.refresh_from_db()
    assert (row.name, row.engine_id, row.image, row.image_id) == (
        "shop-web-1",
        "a" * 64,
        "nginx:1",
        "sha256:1",
    )
    assert (str(row.service), row.stop_signal, row.registered_by) == (
        "shop/web",
        "SIGQUIT",
        "label selfheal.enable",
    )
    assert row.mapped == {
        "auto_restart": True,
        "max_restarts": 10,
        "check_interval": 7,
        "check_timeout": 2,
        "failure_threshold": 4,
    }
    assert row.health.lifecycle == "new"


def test_adopting_again_writes_nothing(host: Host) -> None:
    """The same container seen again raises no revision, so that no process rereads its configuration."""
    adopt(host, SNAPSHOT, "x")
    revision = SystemState.objects.get(pk=1).config_revision
    assert adopt(host, SNAPSHOT, "y").registered_by == "x"
    assert SystemState.objects.get(pk=1).config_revision == revision


def test_a_recreated_container_keeps_its_row_and_its_counters(host: Host) -> None:
    """A new engine id under the old name: same row and counters, image change noted, the old one's times forgotten."""
    row = adopt(host, SNAPSHOT, "x")
    config = HealingConfig.objects.get(name="critical")
    Container.objects.filter(pk=row.pk).update(config=config, monitored=False)
    HealthStatus.objects.filter(container=row).update(
        total_restarts=5,
        lifecycle="stopped_by_hand",
        started_at=NOW,
        ended_at=NOW,
        stop_signal_at=NOW,
        stopped_by_hand_at=NOW,
        exits=[["a", "b"]],
        last_restart_time=NOW,
    )
    again = adopt(host, replace(SNAPSHOT, id="b" * 64, image_id="sha256:2"), "y")
    assert again.pk == row.pk
    again.refresh_from_db()
    assert (again.engine_id, again.previous_image_id) == ("b" * 64, "sha256:1")
    assert again.image_changed_at is not None
    assert (again.config, again.monitored) == (config, False)
    health = again.health
    assert (health.total_restarts, health.last_restart_time, health.lifecycle) == (5, NOW, "new")
    assert (health.started_at, health.ended_at, health.stop_signal_at) == (None, None, None)
    assert (health.stopped_by_hand_at, health.exits) == (None, [])


def test_a_restart_forgets_nothing(host: Host) -> None:
    """The same engine id keeps all that is known of the container."""
    row = adopt(host, SNAPSHOT, "x")
    HealthStatus.objects.filter(container=row).update(started_at=NOW, exits=[["a", "b"]])
    adopt(host, replace(SNAPSHOT, labels={**COMPOSE, "new": "label"}), "x")
    health = HealthStatus.objects.get(container=row)
    assert (health.started_at, health.exits) == (NOW, [["a", "b"]])


def test_a_renamed_container_keeps_its_row(host: Host) -> None:
    """The engine id leads to the row where the name is new."""
    row = adopt(host, SNAPSHOT, "x")
    assert adopt(host, replace(SNAPSHOT, name="front"), "x").pk == row.pk
    assert Container.objects.get().name == "front"


def test_a_container_set_aside_by_compose_is_known_by_its_lasting_name(host: Host) -> None:
    """The prefix that Compose gives a container during a recreate never becomes a row."""
    row = adopt(host, SNAPSHOT, "x")
    aside = replace(SNAPSHOT, name="0123456789ab_shop-web-1")
    assert adopt(host, aside, "x").pk == row.pk
    assert Container.objects.get().name == "shop-web-1"


def test_a_label_that_says_no_stops_the_monitoring(host: Host) -> None:
    """A container started anew with selfheal.enable=false is no longer monitored; without the label it is again."""
    adopt(host, SNAPSHOT, "x")
    adopt(host, replace(SNAPSHOT, labels={**COMPOSE, "selfheal.enable": "false"}), "x")
    assert Container.objects.get().monitored is False
    adopt(host, SNAPSHOT, "x")
    assert Container.objects.get().monitored is True


def test_values_outside_our_ranges_are_left_to_the_profile(host: Host) -> None:
    """A HEALTHCHECK of 1 ms is legal for the engine and must not become a check interval."""
    command = HealthCommand(("CMD", "true"), 0.001, 2, 0, 4)
    row = adopt(host, replace(SNAPSHOT, health_command=command, restart_policy=RestartPolicy()), "x")
    assert row.mapped == {"check_timeout": 2, "failure_threshold": 4}


def test_what_a_file_said_outranks_the_engine(host: Host, tmp_path: Path) -> None:
    """A written `restart: "no"` stays when the container starts with the engine's own `no`, and re-registering is idle."""
    file = str(tmp_path / "compose.yml")
    Path(file).write_text(
        "name: shop\nservices: {web: {image: 'nginx:1', restart: 'no', x-selfheal: {check_interval: 3}}}\n"
    )
    register(read_paths([file], Options()), host)
    row = adopt(host, replace(SNAPSHOT, restart_policy=RestartPolicy("no")), "label selfheal.enable")
    assert row.mapped == {"auto_restart": False}
    assert row.labels["selfheal.check_interval"] == "3"
    assert row.engine_id == SNAPSHOT.id
    report = register(read_paths([file], Options()), host)
    assert report.unchanged == ["shop-web-1"]
    assert register_snapshots(host, [SNAPSHOT]).unchanged == ["shop-web-1"]
    assert Container.objects.get().mapped == {"auto_restart": False}


@pytest.mark.parametrize("name", ["shop_web_1", "renamed-by-someone"])
def test_a_container_announced_by_a_file_is_found_under_another_name(
    host: Host, tmp_path: Path, name: str
) -> None:
    """Compose v1 names containers otherwise than the file's row expects: its labels lead to that row."""
    file = str(tmp_path / "compose.yml")
    Path(file).write_text("name: shop\nservices: {web: {image: 'nginx:1', restart: always}}\n")
    register(read_paths([file], Options()), host)
    snapshot = replace(SNAPSHOT, name=name)
    assert register_snapshots(host, [snapshot]).updated == [name]
    assert adopt(host, snapshot, "x").name == name
    assert Container.objects.count() == 1


def test_many_snapshots_are_registered_as_one_by_one(host: Host) -> None:
    """The bulk path writes the same rows as adopting, follows recreates, and skips labels that say no."""
    snapshots = [
        replace(
            SNAPSHOT,
            id=f"{n:064x}",
            name=f"c{n}",
            labels={**COMPOSE, "com.docker.compose.service": f"s{n % 3}"},
        )
        for n in range(30)
    ]
    off = replace(SNAPSHOT, id="f" * 64, name="off", labels={"autoheal": "false"})
    report = register_snapshots(host, [*snapshots, off])
    assert (len(report.created), [f.reason for f in report.skipped]) == (
        30,
        ["off: its label says that it is not to be supervised"],
    )
    assert HealthStatus.objects.count() == 30
    adopted = adopt(host, snapshots[4], "x")
    assert (str(adopted.service), adopted.registered_by) == ("shop/s1", "engine web-01")
    HealthStatus.objects.update(started_at=NOW, total_restarts=2)
    changed = [replace(snapshots[0], id="e" * 64, image_id="sha256:2"), *snapshots[1:]]
    report = register_snapshots(host, changed)
    assert (report.updated, len(report.unchanged)) == (["c0"], 29)
    row = Container.objects.get(name="c0")
    assert (row.engine_id, row.previous_image_id) == ("e" * 64, "sha256:1")
    assert (row.health.started_at, row.health.total_restarts) == (None, 2)
    assert Container.objects.get(name="c1").health.started_at == NOW


def test_an_empty_selection_means_nothing() -> None:
    """No condition selects no container; several conditions must all hold."""
    assert not Selection().matches({"a": "b"})
    assert Selection(all=True).matches({})
    assert parse_selection(False, ["a=b", "c"], "").matches({"a": "b", "c": ""})
    assert not parse_selection(False, ["a=b", "c"], "").matches({"a": "b"})
    assert not Selection(labels=("a=b",)).matches({"a": "c"})
    assert not Selection(all=True, project="shop").matches({"com.docker.compose.project": "blog"})


def test_containers_of_a_real_engine_are_registered_by_label(containers: Containers) -> None:
    """Listed, chosen, inspected, mapped: what runs on a real engine becomes rows with its policy's values."""
    host = Host.objects.create(name="real", address=containers.host)
    mark = {"test-run": containers.prefix}
    check = healthcheck(["CMD", "true"], interval=4, timeout=2, retries=6)
    policy = {"restart_policy": "on-failure", "max_retries": 2}
    containers.create("web", labels=mark, healthcheck=check, **policy)  # type: ignore[arg-type]
    containers.create("plain", labels=mark)
    containers.create("other")
    engine = engine_of(host)
    try:
        report = register_from_engine(host, engine, Selection(labels=(f"test-run={containers.prefix}",)))
    finally:
        engine.close()
    assert sorted(report.created) == [containers.name("plain"), containers.name("web")]
    web = Container.objects.get(name=containers.name("web"))
    assert web.mapped == {
        "auto_restart": True,
        "max_restarts": 2,
        "check_interval": 4,
        "check_timeout": 2,
        "failure_threshold": 6,
    }
    assert Container.objects.get(name=containers.name("plain")).mapped == {}


def test_a_pause_outlives_a_recreate(host: Host) -> None:
    """A pause set by a person outlives a recreate."""
    row = adopt(host, SNAPSHOT, "x")
    until = NOW + timedelta(days=1)
    Container.objects.filter(pk=row.pk).update(paused_until=until)
    assert adopt(host, replace(SNAPSHOT, id="b" * 64), "x").paused_until == until
