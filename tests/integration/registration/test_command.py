"""register_containers on a real database: what it writes, what it leaves alone, what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from healing.effective import effective_config, forget_book
from healing.models import (
    CheckShard,
    Container,
    HealingConfig,
    HealthStatus,
    Host,
    Project,
    Service,
    SystemState,
    Tenant,
)

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data" / "compose"

Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def host() -> Host:
    return Host.objects.create(name="web-01", address="unix:///nowhere.sock")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the command with --json; its exit status and its report."""

    def call(*arguments: object) -> tuple[int, dict[str, Any]]:
        forget_book()
        status = 0
        try:
            call_command("register_containers", *map(str, arguments), "--json")
        except SystemExit as exit_:
            status = int(exit_.code or 0)
        return status, json.loads(capsys.readouterr().out)

    return call


def test_the_seeds_example_is_registered_with_its_effective_config(run: Run, host: Host) -> None:
    """From the seed's file to a supervised container: row, health status, project, service, config with origins."""
    status, report = run(DATA / "01-seed.yml", "--dry-run", "--project-name", "seed")
    assert (status, report["created"], Container.objects.count()) == (0, ["seed-web-1"], 0)
    (shown,) = report["containers"]
    assert (shown["name"], shown["host"], shown["project"], shown["service"]) == (
        "seed-web-1",
        "web-01",
        "seed",
        "web",
    )
    config = shown["config"]
    assert (config["check_interval"], config["check_timeout"], config["failure_threshold"]) == (30, 10, 3)
    assert (config["max_restarts"], config["restart_window"], config["auto_restart"]) == (10, 300, True)
    assert shown["origins"]["max_restarts"] == "restart policy and HEALTHCHECK"
    assert shown["origins"]["restart_window"] == "profile default"

    assert run(DATA / "01-seed.yml", "--project-name", "seed")[0] == 0
    container = Container.objects.get(host=host, name="seed-web-1")
    assert (str(container.project), container.service.name if container.service else "") == ("seed", "web")
    assert container.health.status == "unknown"
    assert effective_config(container).config.max_restarts == 10
    assert container.registered_by.startswith("file ")


def test_registering_again_changes_nothing(run: Run, host: Host) -> None:
    """The command is idempotent, and says so; configuration is told to all processes only where it changed."""
    _, first = run(DATA / "03-anchors.yml")
    revision = SystemState.objects.get(pk=1).config_revision
    _, second = run(DATA / "03-anchors.yml")
    assert (second["created"], second["updated"], second["unchanged"]) == ([], [], first["created"])
    assert SystemState.objects.get(pk=1).config_revision == revision


def test_a_changed_file_updates_and_tells_other_processes(run: Run, host: Host, tmp_path: Path) -> None:
    """What differs is written and raises the configuration's revision, and the host is looked at soon."""
    file = tmp_path / "c.csv"
    file.write_text("name,check_interval\nweb,5\ndb,5\n")
    run(file)
    CheckShard.objects.update(next_due_at=timezone.now() + timedelta(hours=1))
    revision = SystemState.objects.get(pk=1).config_revision
    file.write_text("name,check_interval,project,service\nweb,7,shop,front\ndb,5,,\n")
    _, report = run(file)
    assert (report["updated"], report["unchanged"]) == (["web"], ["db"])
    web = Container.objects.get(name="web")
    assert web.labels["selfheal.check_interval"] == "7"
    assert web.service == Service.objects.get(project=Project.objects.get(name="shop"), name="front")
    assert SystemState.objects.get(pk=1).config_revision > revision
    assert CheckShard.objects.get(host=host).next_due_at is None


def test_what_people_have_set_is_never_overwritten(run: Run, host: Host, tmp_path: Path) -> None:
    """A container's own config, pause and switched-off monitoring outlive a registration that changes the rest."""
    file = tmp_path / "c.csv"
    file.write_text("name,restart\nweb,always\n")
    run(file)
    until = timezone.now() + timedelta(days=1)
    config = HealingConfig.objects.get(name="critical")
    Container.objects.update(config=config, paused_until=until, paused_reason="me", monitored=False)
    HealthStatus.objects.update(total_restarts=3, status="healthy")
    file.write_text("name,restart\nweb,no\n")
    assert run(file)[1]["updated"] == ["web"]
    web = Container.objects.get()
    assert (web.config, web.paused_until, web.paused_reason, web.monitored) == (config, until, "me", False)
    assert (web.mapped, web.health.total_restarts, web.health.status) == (
        {"auto_restart": False},
        3,
        "healthy",
    )


def test_a_label_that_says_no_keeps_out_and_switches_off(run: Run, host: Host, tmp_path: Path) -> None:
    """selfheal.enable=false: not registered; already registered, no longer monitored, until the label goes."""
    file = tmp_path / "c.csv"
    no, yes = "name,labels\nweb,selfheal.enable=false\n", "name,labels\nweb,\n"
    file.write_text(no)
    status, report = run(file)
    assert (status, report["created"], len(report["skipped"])) == (0, [], 1)
    for text, monitored in ((yes, True), (no, False), (yes, True)):
        file.write_text(text)
        run(file)
        assert Container.objects.get().monitored is monitored


def test_one_bad_row_refuses_that_row(run: Run, host: Host, tmp_path: Path) -> None:
    """The others are registered, the exit status is 2, and the report has file, line, field and reason."""
    file = tmp_path / "c.csv"
    file.write_text("name,check_interval,failure_threshold\na,1,\nb,0,\nc,,-2\nd,,\na,,\n")
    status, report = run(file)
    assert (status, report["created"]) == (2, ["a", "d"])
    found = [(entry["file"], entry["line"], entry["field"]) for entry in report["refused"]]
    assert found == [
        (str(file), 3, "check_interval"),
        (str(file), 4, "failure_threshold"),
        (str(file), 6, "name"),
    ]
    assert "already, at" in report["refused"][2]["reason"]


def test_atomic_refuses_everything_for_one_bad_row(run: Run, host: Host, tmp_path: Path) -> None:
    """With --atomic the database stays as it was, and the report names nothing as done."""
    file = tmp_path / "c.csv"
    file.write_text("name,project,check_interval\na,p,1\nb,p,0\n")
    status, report = run(file, "--atomic")
    assert (status, report["created"], len(report["refused"])) == (2, [], 1)
    assert not Container.objects.exists()
    assert not Project.objects.exists()
    file.write_text("name,project,check_interval\na,p,1\nb,p,2\n")
    assert run(file, "--atomic")[0] == 0
    assert Container.objects.count() == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.csv", 'name\na\n"b\n'),
        ("c.yml", "services:\n  a: {image: x\n"),
        ("c.json", '[{"name": "a"},]'),
        ("c.csv", "name,no_such_field\na,1\n"),
    ],
)
def test_a_file_that_cannot_be_parsed_changes_nothing(
    run: Run, host: Host, tmp_path: Path, name: str, text: str
) -> None:
    """Alone it ends with 1 and nothing registered; the good file beside it is registered, and the status is 2."""
    broken = tmp_path / name
    broken.write_text(text)
    status, report = run(broken)
    assert (status, Container.objects.count(), len(report["refused"])) == (1, 0, 1)
    good = tmp_path / "good.json"
    good.write_text('[{"name": "good"}]')
    status, report = run(broken, good)
    assert (status, report["created"]) == (2, ["good"])


def test_without_a_host_nothing_is_done_and_the_message_helps(run: Run, tmp_path: Path) -> None:
    """No host, an unknown host and an unclear host each get a sentence with what there is and what to do."""
    file = tmp_path / "c.csv"
    file.write_text("name\nweb\n")

    def reason(*arguments: str) -> str:
        status, report = run(file, *arguments)
        assert (status, Container.objects.count()) == (1, 0)
        (entry,) = report["refused"]
        assert entry["field"] == "host"
        return str(entry["reason"])

    assert "no host yet" in reason()
    Host.objects.create(name="one", address="unix:///1")
    Host.objects.create(name="two", address="unix:///2")
    assert "the hosts are one, two; choose one with --host" in reason()
    assert "no host 'three'; the hosts are one, two; add one in the admin" in reason("--host", "three")
    assert run(file, "--host", "two")[0] == 0
    assert Container.objects.get().host.name == "two"


def test_rows_may_name_their_hosts(run: Run, tmp_path: Path) -> None:
    """The same name on two hosts is two containers; a row of an unknown host is refused; the host's tenant is kept."""
    tenant = Tenant.objects.create(name="t")
    Host.objects.create(name="one", address="unix:///1", tenant=tenant)
    Host.objects.create(name="two", address="unix:///2")
    file = tmp_path / "c.csv"
    file.write_text("name,host\nweb,one\nweb,two\nweb,six\n")
    status, report = run(file)
    assert (status, report["created"]) == (2, ["web", "web"])
    assert report["refused"][0]["line"] == 4
    assert Container.objects.get(host__name="one").tenant == tenant


def test_saying_what_to_register_is_required_and_exclusive(run: Run, host: Host) -> None:
    """Nothing given registers nothing: an empty selection never means everything."""
    for arguments in ([], ["--all", "x.yml"]):
        status, report = run(*arguments)
        assert (status, report["refused"][0]["field"]) == (1, "PATH")


def test_an_unreachable_engine_is_a_sentence(run: Run, host: Host) -> None:
    """From an engine that is not there nothing is registered, and the message names it."""
    status, report = run("--all")
    assert (status, Container.objects.count()) == (1, 0)
    assert "/nowhere.sock" in report["refused"][0]["reason"]


def test_the_table_output_counts_and_names_what_was_refused(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For people: counts on stdout, findings with their places on stderr, no progress bar without a terminal."""
    file = tmp_path / "c.csv"
    file.write_text("name,check_interval\na,1\nb,0\n")
    with pytest.raises(SystemExit):
        call_command("register_containers", str(file))
    out, err = capsys.readouterr()
    assert out.strip() == "1 created, 0 updated, 0 unchanged, 1 refused"
    assert f"refused: {file}:3: check_interval: 0 is out of range" in err
    assert "━" not in err
    forget_book()
    with pytest.raises(SystemExit):
        call_command("register_containers", str(file), "--dry-run", "--atomic")
    out = capsys.readouterr().out
    assert "check_interval = 1.0  (label selfheal.check_interval)" in out
    assert "nothing was changed (--atomic)" in out


def test_statements_are_for_batches_and_not_for_rows(run: Run, host: Host, tmp_path: Path) -> None:
    """Forty times the rows take a handful more statements (SQLite's limit of parameters), new or changed."""
    counts = {}
    for rows in (10, 400):
        for interval in (1, 2):
            file = tmp_path / "c.csv"
            lines = [f"r{rows}-{n},p{n % 7},s{n % 9},{interval}" for n in range(rows)]
            file.write_text("\n".join(["name,project,service,check_interval", *lines]))
            with CaptureQueriesContext(connection) as queries:
                run(file)
            counts[rows, interval] = len(queries)
    assert max(counts.values()) < 45, counts
