"""The doctor finds what is wrong with an installation and says how to mend it."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from pytest_django.fixtures import Settings

from healing import doctor
from healing.doctor import Level
from healing.models import CheckShard, Heartbeat, Host, Trouble
from notifications.models import Delivery, Notification
from tests.integration.asking.rows import NOON, make_container, make_failure


def test_an_old_python_is_named() -> None:
    """The version that is too old and the one that is needed are both told."""
    check = doctor.check_python((3, 9, 2))
    assert check.level is Level.ERROR
    assert "3.9.2" in check.message
    assert "3.11" in check.advice
    assert doctor.check_python((3, 11, 0)).level is Level.OK


def test_the_state_folder_must_exist_and_be_private(tmp_path: Path) -> None:
    """A missing folder is an error, one that others may enter a warning with the command that mends it."""
    assert doctor.check_home(tmp_path / "none").level is Level.ERROR
    tmp_path.chmod(0o755)
    open_to_all = doctor.check_home(tmp_path)
    assert (open_to_all.level, open_to_all.advice) == (Level.WARNING, f"Run `chmod 700 {tmp_path}`.")
    tmp_path.chmod(0o700)
    assert doctor.check_home(tmp_path).level is Level.OK


def test_a_readable_admin_password_is_a_warning(tmp_path: Path, settings: Settings) -> None:
    """The generated password must be for its owner's eyes."""
    settings.SELFHEAL_HOME = tmp_path
    path = tmp_path / doctor.ADMIN_PASSWORD_FILE
    path.write_text("secret\n")
    path.chmod(0o644)
    check = doctor.check_admin_password({})
    assert check.level is Level.WARNING
    assert "secret" not in check.message
    path.chmod(0o600)
    assert doctor.check_admin_password({}).level is Level.OK


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({"REDIS_URL": "redis://x"}, "REDIS_URL"),
        ({"SELF_HEAL_HOME": "/x"}, "SELF_HEAL_HOME"),
        ({"selfheal_home": "/x"}, "selfheal_home"),
    ],
)
def test_variables_without_effect_are_named(environ: dict[str, str], found: str) -> None:
    """A setting that nobody reads does not stay unnoticed, and its value is not repeated."""
    (check,) = doctor.check_environment(environ)
    assert check.level is Level.WARNING
    assert check.message.startswith(f"{found} ")
    assert not any(value in check.message for value in environ.values())


def test_variables_with_effect_are_fine() -> None:
    """What is read is not complained about, nor is a foreign variable beside the right one."""
    environ = {
        "SELFHEAL_HOME": "/x",
        "REDIS_URL": "redis://x",
        "CELERY_BROKER_URL": "redis://x",
        "PATH": "/bin",
    }
    (check,) = doctor.check_environment(environ)
    assert check.level is Level.OK


@pytest.mark.django_db
def test_a_missing_migration_is_an_error() -> None:
    """A database that lags behind the code is told with the command that mends it."""
    assert [check.level for check in doctor.check_database()] == [Level.OK, Level.OK]
    MigrationRecorder(connection).migration_qs.filter(app="sessions").delete()
    reachable, migrations = doctor.check_database()
    assert reachable.level is Level.OK
    assert migrations.level is Level.ERROR
    assert "sessions.0001_initial" in migrations.message
    assert "migrate" in migrations.advice


def test_the_broker_is_asked(redis_url: str) -> None:
    """A Redis that answers is fine; one that is not there is an error, and no password is shown."""
    assert doctor.check_broker(redis_url).level is Level.OK
    gone = doctor.check_broker("redis://:topsecret@127.0.0.1:1/0")
    assert gone.level is Level.ERROR
    assert "topsecret" not in gone.message
    assert "CELERY_BROKER_URL" in gone.advice


def test_the_memory_broker_needs_no_answer() -> None:
    """In one process there is nothing to reach."""
    assert doctor.check_broker("selfheal-memory://").level is Level.OK


def test_an_engine_that_answers(docker_host: str) -> None:
    """A real engine is named with its version."""
    check = doctor.check_engine(Host(name="here", engine_kind="docker", address=docker_host))
    assert check.level is Level.OK
    assert docker_host in check.message


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("unix:///nonexistent/docker.sock", "Start the engine"),
        ("tcp://127.0.0.1:1", "can be reached"),
        ("docker.sock", "Correct the address"),
    ],
)
def test_an_engine_that_does_not_answer(address: str, advice: str) -> None:
    """Each way of not reaching an engine has its own advice."""
    check = doctor.check_engine(Host(name="there", engine_kind="docker", address=address))
    assert check.level is Level.ERROR
    assert advice in check.advice


@pytest.mark.django_db
@pytest.mark.parametrize(("age", "level"), [(1, Level.OK), (30, Level.WARNING), (600, Level.ERROR)])
def test_the_age_of_the_tick_is_judged(age: float, level: Level) -> None:
    """A beat that is late is a warning, one that has stopped an error."""
    Heartbeat.objects.create(name="beat", at=NOON - timedelta(seconds=age))
    checks = {check.name: check for check in doctor.check_signs_of_life(NOON, [])}
    assert checks["beat"].level is level


@pytest.mark.django_db
def test_every_host_needs_a_watcher() -> None:
    """A host without a live event stream is told by name."""
    Heartbeat.objects.create(name="watch:h1", at=NOON)
    hosts = [Host(name="h1"), Host(name="h2")]
    checks = {check.name: check.level for check in doctor.check_signs_of_life(NOON, hosts)}
    assert checks["watcher of h1"] is Level.OK
    assert checks["watcher of h2"] is Level.ERROR


@pytest.mark.django_db
@pytest.mark.parametrize(("age", "level"), [(10, Level.OK), (90, Level.WARNING), (600, Level.ERROR)])
def test_work_that_nobody_takes_names_its_queue(age: float, level: Level) -> None:
    """A queue without a worker shows by what waits in it: checks, heals or alerts that are long due."""
    since = NOON - timedelta(seconds=age)
    container = make_container()
    CheckShard.objects.filter(host=container.host).update(next_due_at=since)
    make_failure(container, took=None, due_at=since)
    notification = Notification.objects.create(level="error", title="t")
    Delivery.objects.create(notification=notification, channel_name="log", next_try_at=since)
    checks = {check.name: check.level for check in doctor.check_queues(NOON)}
    assert checks == {"queue checks": level, "queue heal": level, "queue alerts": level}


@pytest.mark.django_db
def test_work_that_is_taken_or_switched_off_is_not_waiting() -> None:
    """A check under way and a host that is switched off are no sign of a missing worker."""
    long_ago = NOON - timedelta(hours=1)
    busy, off = make_container(host="busy"), make_container(host="off")
    CheckShard.objects.update(next_due_at=long_ago)
    CheckShard.objects.filter(host=busy.host).update(lease_until=NOON + timedelta(seconds=20))
    Host.objects.filter(pk=off.host_id).update(enabled=False)
    assert {check.level for check in doctor.check_queues(NOON)} == {Level.OK}


@pytest.mark.django_db
def test_open_troubles_are_repeated() -> None:
    """What Selfheal itself complains about is in the report until it is over."""
    Trouble.objects.create(key="probe:1", message="cannot resolve db", since=NOON)
    Trouble.objects.create(key="probe:2", message="over", since=NOON, resolved_at=NOON)
    (check,) = doctor.check_troubles()
    assert check.level is Level.WARNING
    assert "cannot resolve db" in check.message


@pytest.mark.django_db
def test_the_command_exits_1_where_something_is_wrong() -> None:
    """Scripts see the result in the exit status, and the same checks in the JSON."""
    out = StringIO()
    with pytest.raises(SystemExit) as stopped:
        call_command("doctor", "--json", stdout=out)
    report = json.loads(out.getvalue())
    assert stopped.value.code == 1
    assert report["ok"] is False
    beat = next(check for check in report["checks"] if check["name"] == "beat")
    assert (beat["level"], beat["message"]) == ("error", "has never shown a sign of life")
    assert "make up" in beat["advice"]


@pytest.mark.django_db
def test_the_command_exits_0_where_all_is_well(tmp_path: Path, settings: Settings) -> None:
    """Warnings alone are no failure."""
    settings.SELFHEAL_HOME = tmp_path
    settings.CELERY_BROKER_URL = "selfheal-memory://"
    for name in ("beat", "sweep:here:1", "canary:heal"):
        Heartbeat.objects.create(name=name, at=timezone.now())
    out = StringIO()
    call_command("doctor", stdout=out)
    assert "no enabled host" in out.getvalue()
