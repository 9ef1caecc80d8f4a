"""Dependencies: learned from Compose and from shared networks, written by people, and never in a circle."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from healing.core.types import EngineState, Snapshot
from healing.effective import config_book, forget_book
from healing.models import Container, Dependency, HealthStatus, Host, Trouble
from healing.registration import learning
from healing.registration.adoption import adopt
from healing.registration.engine import register_snapshots
from healing.registration.learning import learn_host
from healing.registration.read import read_paths
from healing.registration.sources import Options
from healing.registration.store import register

pytestmark = pytest.mark.django_db

COMPOSE = """
name: shop
services:
  db: {image: postgres:15, scale: 2}
  migrate: {image: app:1}
  vpn: {image: vpn:1}
  app:
    image: app:1
    depends_on:
      db: {condition: service_healthy, restart: true}
      migrate: {condition: service_completed_successfully}
      metrics: {condition: service_started, required: false}
  worker: {image: app:1, depends_on: [app]}
  client: {image: client:1, network_mode: "service:vpn"}
"""


@pytest.fixture
def host() -> Iterator[Host]:
    forget_book()
    yield Host.objects.create(name="web-01", address="fake://engine")
    forget_book()


def snapshot(name: str, number: int, **changes: object) -> Snapshot:
    """A container of the Compose project shop; its service is its name."""
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": name}
    depends_on = changes.pop("depends_on", None)
    if depends_on is not None:
        labels["com.docker.compose.depends_on"] = str(depends_on)
    base = Snapshot(f"{number:064x}", name, "app:1", "sha256:1", labels, EngineState.RUNNING)
    return replace(base, **changes)  # type: ignore[arg-type]


def edges() -> set[tuple[str, str, str, str]]:
    rows = Dependency.objects.select_related("dependant", "dependency")
    return {(row.dependant.name, row.dependency.name, row.on_return, row.origin) for row in rows}


def write(tmp_path: Path, text: str = COMPOSE) -> str:
    (tmp_path / "compose.yml").write_text(text)
    return str(tmp_path / "compose.yml")


def test_a_compose_file_tells_who_needs_whom(host: Host, tmp_path: Path) -> None:
    """Both forms of depends_on, each container of a service, conditions, restart, and a network that is shared."""
    register(read_paths([write(tmp_path)], Options()), host)
    assert edges() == {
        ("shop-app-1", "shop-db-1", "restart", "compose"),
        ("shop-app-1", "shop-db-2", "restart", "compose"),
        ("shop-app-1", "shop-migrate-1", "hold", "compose"),
        ("shop-worker-1", "shop-app-1", "hold", "compose"),
        ("shop-client-1", "shop-vpn-1", "hold", "network"),
    }
    assert Dependency.objects.get(dependency__name="shop-migrate-1").is_job
    app = Container.objects.get(name="shop-app-1")
    groups = {edge.group for edge in config_book().dependencies.needs(app.pk) if not edge.is_job}
    assert len(groups) == 1


def test_what_is_no_longer_told_is_forgotten_and_what_people_wrote_stays(host: Host, tmp_path: Path) -> None:
    """A file that is registered again replaces what it said; an edge by hand, or changed by hand, is nobody's to remove."""
    register(read_paths([write(tmp_path)], Options()), host)
    rows = {container.name: container for container in Container.objects.all()}
    Dependency.objects.create(dependant=rows["shop-worker-1"], dependency=rows["shop-db-1"])
    changed = Dependency.objects.get(dependency=rows["shop-migrate-1"])
    changed.on_return, changed.origin = "nothing", "manual"
    changed.save()
    shorter = COMPOSE.replace("      db: {condition: service_healthy, restart: true}\n", "")
    register(read_paths([write(tmp_path, shorter)], Options()), host)
    assert edges() == {
        ("shop-app-1", "shop-migrate-1", "nothing", "manual"),
        ("shop-worker-1", "shop-app-1", "hold", "compose"),
        ("shop-worker-1", "shop-db-1", "hold", "manual"),
        ("shop-client-1", "shop-vpn-1", "hold", "network"),
    }


def test_the_label_of_a_running_container_tells_whoever_comes_first(host: Host) -> None:
    """A dependant may be registered before what it needs; an old Compose sets no label, and the file's counts on."""
    adopt(host, snapshot("app", 1, depends_on="db:service_healthy:true"), "label")
    assert edges() == set()
    adopt(host, snapshot("db", 2), "label")
    assert edges() == {("app", "db", "restart", "compose")}
    adopt(host, snapshot("app", 3), "label")
    assert edges() == set()


def test_a_file_counts_on_when_the_engine_tells_nothing(host: Host, tmp_path: Path) -> None:
    """Compose 1.29 sets no such label: what its file has said is kept when its containers start."""
    register(read_paths([write(tmp_path)], Options()), host)
    before = edges()
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "app"}
    started = replace(snapshot("app", 1), name="shop-app-1", labels=labels)
    adopt(host, started, "label")
    assert edges() == before


@pytest.mark.parametrize("depends_on", [None, "vpn:service_started:false"])
def test_a_shared_network_is_remembered_when_its_container_is_replaced(
    host: Host, depends_on: str | None
) -> None:
    """The dependant goes on naming the old id; that it shares the network of the container of that name stays known.

    Compose has a service depend on the one whose network it shares.
    """
    adopt(host, snapshot("vpn", 1), "label")
    adopt(host, snapshot("app", 2, network_mode=f"container:{1:064x}", depends_on=depends_on), "label")
    by_network = {("app", "vpn", "hold", "network")}
    assert edges() == by_network
    adopt(host, snapshot("vpn", 3), "label")
    learn_host(host.pk)
    assert edges() == by_network
    adopt(host, snapshot("app", 4, network_mode="bridge"), "label")
    assert edges() == set()


def test_a_container_that_shares_a_network_across_projects_keeps_what_its_own_tells(host: Host) -> None:
    """A replaced parent has its dependants learned anew: those of another project with all that this one knows."""
    adopt(host, snapshot("db", 1), "label")
    other = {"com.docker.compose.project": "net", "com.docker.compose.service": "vpn"}
    adopt(host, replace(snapshot("vpn", 2), labels=other), "label")
    adopt(host, snapshot("app", 3, depends_on="db", network_mode=f"container:{2:064x}"), "label")
    told = {("app", "db", "hold", "compose"), ("app", "vpn", "hold", "network")}
    assert edges() == told
    adopt(host, replace(snapshot("vpn", 2), labels=other | {"changed": "yes"}), "label")
    assert edges() == told


def test_what_a_person_wrote_outlives_the_network_that_was_shared_as_well(host: Host) -> None:
    """The network is known to be shared while it is, also through a replaced parent; then the edge is the person's again."""
    adopt(host, snapshot("vpn", 1), "label")
    app = adopt(host, snapshot("app", 2), "label")
    vpn = Container.objects.get(name="vpn")
    Dependency.objects.create(dependant=app, dependency=vpn, on_return="restart")
    adopt(host, snapshot("app", 3, network_mode=f"container:{1:064x}"), "label")
    assert edges() == {("app", "vpn", "restart", "both")}
    adopt(host, snapshot("vpn", 4), "label")
    learn_host(host.pk)
    assert edges() == {("app", "vpn", "restart", "both")}
    edge = config_book().dependencies.needs(app.pk)[0]
    assert (edge.origin.shares_network, edge.group) == (True, None)
    call_command("dependencies", "add", "app", "vpn", "--on-return", "nothing", stdout=io.StringIO())
    adopt(host, snapshot("app", 5, network_mode="bridge"), "label")
    assert edges() == {("app", "vpn", "nothing", "manual")}
    revision = config_book().revision
    learn_host(host.pk)
    assert config_book().revision == revision


def test_a_learned_cycle_is_not_stored_and_warned_of_once(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """The registration's report names the way round; the log and the page of troubles do so once."""
    rows = [
        snapshot("a", 1, depends_on="b"),
        snapshot("b", 2, depends_on="c"),
        snapshot("c", 3, depends_on="a"),
    ]
    with caplog.at_level(logging.WARNING, logger="healing.registration.learning"):
        report = register_snapshots(host, rows)
        assert learn_host(host.pk)
    assert [finding.reason for finding in report.warnings] == [
        "a dependency is not stored, because it closes a cycle: c needs a needs b needs c"
    ]
    assert len(edges()) == 2
    assert [record.message for record in caplog.records] == [report.warnings[0].reason]
    assert Trouble.objects.filter(resolved_at=None).count() == 1
    adopt(host, snapshot("c", 3), "label")
    assert learn_host(host.pk) == []
    assert Trouble.objects.filter(resolved_at=None).count() == 0


def test_of_a_large_service_not_each_is_stored_for_each(
    host: Host, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds that need hundreds are no row for each pair, in the database and in every process; it is warned of once."""
    monkeypatch.setattr(learning, "REPLICAS", 3)
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "db"}
    databases = [replace(snapshot(f"db-{number}", number), labels=labels) for number in range(1, 7)]
    with caplog.at_level(logging.WARNING, logger="healing.registration.learning"):
        report = register_snapshots(host, [*databases, snapshot("app", 9, depends_on="db")])
        adopt(host, snapshot("worker", 10, depends_on="db"), "label")
        learn_host(host.pk)
    told = "service db has 6 containers: what needs it is stored as needing 3 of them"
    assert [finding.reason for finding in report.warnings] == [told]
    assert [record.message for record in caplog.records] == [told]
    assert {edge[:2] for edge in edges()} == {
        (name, f"db-{number}") for name in ("app", "worker") for number in (1, 2, 3)
    }
    HealthStatus.objects.filter(container__name__in=["db-1", "db-2", "db-4"]).update(lifecycle="gone")
    assert learn_host(host.pk) == []
    assert {edge[1] for edge in edges()} == {"db-3", "db-5", "db-6"}
    assert not Trouble.objects.filter(resolved_at=None).exists()


def test_learning_costs_the_same_for_few_and_for_many(
    host: Host, django_assert_max_num_queries: object
) -> None:
    """Registering a fleet adds a handful of statements, and a host where nobody needs anybody two."""
    register_snapshots(host, [snapshot(f"s{number}", number) for number in range(1, 40)])
    with django_assert_max_num_queries(2):  # type: ignore[operator]
        learn_host(host.pk)
    chain = [snapshot(f"s{number}", number, depends_on=f"s{number + 1}") for number in range(1, 40)]
    register_snapshots(host, chain)
    assert Dependency.objects.count() == 38
    with django_assert_max_num_queries(8):  # type: ignore[operator]
        learn_host(host.pk)


def test_a_cycle_by_hand_is_refused_with_its_path(host: Host) -> None:
    """In forms and commands; a container that needs itself as well."""
    a, b, c = (Container.objects.create(host=host, name=name) for name in "abc")
    Dependency.objects.create(dependant=a, dependency=b)
    Dependency.objects.create(dependant=b, dependency=c)
    with pytest.raises(ValidationError, match="c needs a needs b needs c"):
        Dependency(dependant=c, dependency=a).full_clean()
    with pytest.raises(ValidationError, match="a needs a"):
        Dependency(dependant=a, dependency=a).full_clean()
    with pytest.raises(CommandError, match="c needs a needs b needs c"):
        call_command("dependencies", "add", "c", "a")


def test_the_command_writes_shows_and_removes(host: Host) -> None:
    """What is healed first comes first; removing says where a learned edge will come back from."""
    for name in ("app", "db", "web"):
        Container.objects.create(host=host, name=name)
    out = io.StringIO()
    call_command("dependencies", "add", "web", "app", stdout=out)
    call_command("dependencies", "add", "app", "db", "--on-return", "restart", stdout=out)
    assert "app needs db (on return: restart)." in out.getvalue()
    shown = io.StringIO()
    call_command("dependencies", "list", "--json", stdout=shown)
    assert [(row["dependant"], row["dependency"]) for row in json.loads(shown.getvalue())] == [
        ("app", "db"),
        ("web", "app"),
    ]
    revision = config_book().revision
    Dependency.objects.filter(dependant__name="web").update(origin="compose")
    call_command("dependencies", "remove", "web", "app", stdout=out)
    assert "It was learned (compose) and will be again" in out.getvalue()
    assert config_book().revision > revision
    with pytest.raises(CommandError, match="web does not need app"):
        call_command("dependencies", "remove", "web", "app")


def test_the_admin_refuses_a_cycle_and_keeps_what_was_changed(host: Host, admin_client: Client) -> None:
    """A learned edge that a person has changed is theirs from then on; the container's page shows both sides."""
    a, b = (Container.objects.create(host=host, name=name) for name in ("a", "b"))
    learned = Dependency.objects.create(dependant=a, dependency=b, origin="compose")
    url = reverse("admin:healing_dependency_change", args=(learned.pk,))
    admin_client.post(url, {"dependant": a.pk, "dependency": b.pk, "on_return": "nothing"})
    learned.refresh_from_db()
    assert (learned.on_return, learned.origin) == ("nothing", "manual")
    add = reverse("admin:healing_dependency_add")
    answer = admin_client.post(add, {"dependant": b.pk, "dependency": a.pk, "on_return": "hold"})
    assert "b needs a needs b" in answer.content.decode()
    assert Dependency.objects.count() == 1
    page = admin_client.get(reverse("admin:healing_container_change", args=(b.pk,)))
    assert "a (nothing)" in page.content.decode()
