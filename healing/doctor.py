"""What is wrong with an installation, and how to mend it."""

from __future__ import annotations

import getpass
import os
import stat
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Q
from django.utils import timezone
from kombu import Connection

from healing.core.errors import ConfigError, EngineUnreachable, PluginError
from healing.engines import open_engine
from healing.engines.address import parse_address
from healing.models import CheckShard, FailureRecord, Heartbeat, Host, Trouble
from healing.pipeline import liveness
from healing.pipeline.engines import config_of

OLDEST_PYTHON = (3, 11)
ADMIN_PASSWORD_FILE = "admin_password"
_ENGINE_TIMEOUT = 5.0
_BROKER_TIMEOUT = 5.0
_ENGINES_AT_ONCE = 16
_TROUBLES_SHOWN = 20
# (warning, error) ages in seconds of what should show a sign of life every few seconds.
_BEAT_AGES = (20.0, 60.0)
_WATCH_AGES = (60.0, 180.0)
_WORKER_AGES = (60.0, 180.0)
_PART_AGES = (20.0, 60.0)
_MISREAD = {
    "REDIS_URL": "CELERY_BROKER_URL",
    "BROKER_URL": "CELERY_BROKER_URL",
    "CELERY_BROKER": "CELERY_BROKER_URL",
    "DB_URL": "DATABASE_URL",
    "POSTGRES_URL": "DATABASE_URL",
    "DJANGO_SECRET_KEY": "SELFHEAL_SECRET_KEY",
    "DJANGO_ALLOWED_HOSTS": "SELFHEAL_ALLOWED_HOSTS",
}
"""Variables that people set in the belief that Selfheal reads them -> the one that it does read."""


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: what was found, and what to do about it (empty where nothing is to do)."""

    name: str
    level: Level
    message: str
    advice: str = ""


def examine(now: datetime | None = None, environ: Mapping[str, str] = os.environ) -> list[Check]:
    """All checks, in the order in which they are best mended. Raises nothing; takes a few seconds at most."""
    checks = [check_python(), check_home(Path(settings.SELFHEAL_HOME)), check_admin_password(environ)]
    checks += check_environment(environ)
    database = check_database()
    checks += [*database, check_broker(settings.CELERY_BROKER_URL)]
    if any(check.level is Level.ERROR for check in database):
        return checks
    moment = now or timezone.now()
    hosts = list(Host.objects.filter(enabled=True).order_by("name"))
    return [
        *checks,
        *check_engines(hosts),
        *check_signs_of_life(moment, hosts),
        *check_parts(moment),
        *check_queues(moment),
        *check_troubles(),
    ]


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Check:
    """Whether this Python is new enough."""
    text = ".".join(map(str, version))
    if version < OLDEST_PYTHON:
        return Check(
            "python", Level.ERROR, f"Python {text}", "Install Python 3.11 or newer and run `make up` again."
        )
    return Check("python", Level.OK, f"Python {text}")


def check_home(home: Path) -> Check:
    """Whether the state folder can be written, and by nobody else."""
    name = "state folder"
    if not home.is_dir():
        return Check(
            name, Level.ERROR, f"{home} is no folder", "Run `make up`, or set SELFHEAL_HOME to a folder."
        )
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        advice = f"Run `chown -R {getpass.getuser()} {home}`, or set SELFHEAL_HOME to a folder of your own."
        return Check(name, Level.ERROR, f"{home} cannot be read and written by {getpass.getuser()}", advice)
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & 0o077:
        found = f"{home} can be entered by others (mode {mode:04o}); it holds keys and passwords"
        return Check(name, Level.WARNING, found, f"Run `chmod 700 {home}`.")
    return Check(name, Level.OK, str(home))


def check_admin_password(environ: Mapping[str, str]) -> Check:
    """Whether the generated admin password is kept from others, where there is one."""
    name = "admin password"
    path = Path(settings.SELFHEAL_HOME) / ADMIN_PASSWORD_FILE
    if environ.get("SELFHEAL_ADMIN_PASSWORD"):
        return Check(name, Level.OK, "first set from SELFHEAL_ADMIN_PASSWORD")
    if not path.exists():
        return Check(
            name, Level.OK, "no generated password is kept; `manage.py changepassword admin` sets one"
        )
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        return Check(name, Level.WARNING, f"{path} can be read by others", f"Run `chmod 600 {path}`.")
    return Check(name, Level.OK, f"generated once, in {path}")


def check_environment(environ: Mapping[str, str]) -> list[Check]:
    """Variables that look meant for Selfheal and have no effect. (A misspelt SELFHEAL_ one stops the start.)"""
    checks = [
        Check("environment", Level.WARNING, f"{name} is set and is not read", f"Write {right} instead.")
        for name, right in _MISREAD.items()
        if environ.get(name) and not environ.get(right)
    ]
    for name in sorted(environ):
        if name.upper().replace("_", "").startswith("SELFHEAL") and not name.startswith("SELFHEAL_"):
            advice = "Variables of Selfheal begin with SELFHEAL_, in capitals: correct its name or remove it."
            checks.append(Check("environment", Level.WARNING, f"{name} is set and is not read", advice))
    return checks or [Check("environment", Level.OK, "no variable without effect")]


def check_database() -> list[Check]:
    """Whether the database answers and has all migrations."""
    kind = f"{connection.vendor} {connection.settings_dict['NAME']}"
    try:
        connection.ensure_connection()
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        advice = "Start the database, or correct DATABASE_URL (postgres://user:password@host:5432/name)."
        return [Check("database", Level.ERROR, f"{kind}: {_one_line(error)}", advice)]
    reachable = Check("database", Level.OK, f"{kind} answers")
    if missing:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in missing[:3])
        found = f"{len(missing)} not applied: {names}{', …' if len(missing) > 3 else ''}"
        return [reachable, Check("migrations", Level.ERROR, found, "Run `manage.py migrate`.")]
    return [reachable, Check("migrations", Level.OK, "all applied")]


def check_broker(url: str) -> Check:
    """Whether the broker answers."""
    if url.startswith("selfheal-memory"):
        return Check("broker", Level.OK, "in memory: everything runs in one process")
    shown = Connection(url).as_uri()
    try:
        options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
        with Connection(url, connect_timeout=_BROKER_TIMEOUT, transport_options=options) as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=int(_BROKER_TIMEOUT))
    except Exception as error:  # each transport raises errors of its own
        advice = "Start the broker, or correct CELERY_BROKER_URL (redis://host:6379/0)."
        return Check("broker", Level.ERROR, f"{shown}: {_one_line(error)}", advice)
    return Check("broker", Level.OK, f"{shown} answers")


def check_engines(hosts: Iterable[Host]) -> list[Check]:
    """Whether each enabled host's engine answers, all at once."""
    known = list(hosts)
    if not known:
        advice = "Add one in the admin, or start `make up` where a Docker engine runs."
        return [Check("engines", Level.WARNING, "no enabled host", advice)]
    with ThreadPoolExecutor(max_workers=_ENGINES_AT_ONCE) as pool:
        return list(pool.map(check_engine, known))


def check_engine(host: Host) -> Check:
    """Ask one engine who it is."""
    name = f"engine of {host.name}"
    try:
        engine = open_engine(config_of(host, _ENGINE_TIMEOUT))
        try:
            info = engine.info()
        finally:
            engine.close()
    except (PluginError, ConfigError) as error:
        return Check(name, Level.ERROR, _one_line(error), _engine_advice(host, error))
    return Check(
        name, Level.OK, f"{info.kind} {info.version} at {host.address}, {info.containers} containers"
    )


def _engine_advice(host: Host, error: Exception) -> str:
    try:
        address = parse_address(host.address)
    except ConfigError:
        return f"Correct the address of host {host.name} in the admin."
    if address.scheme == "unix":
        if not Path(address.path).exists():
            return f"Start the engine (nothing is at {address.path}), or correct the address in the admin."
        if not os.access(address.path, os.R_OK | os.W_OK):
            group = Path(address.path).group()
            return f"Run `usermod -aG {group} {getpass.getuser()}` and log in again: {group} may use {address.path}."
    if isinstance(error, EngineUnreachable):
        return f"See that the engine runs and that {host.address} can be reached from this machine."
    return f"Correct the address or the TLS files of host {host.name} in the admin."


def check_signs_of_life(now: datetime, hosts: Iterable[Host]) -> list[Check]:
    """Whether beat (its tick runs in a worker) and each host's watcher have lately shown that they work."""
    beats = dict(Heartbeat.objects.values_list("name", "at"))
    start_beat = "Start beat and a worker: `make up`, or `celery -A selfheal_project beat` and `… worker`."
    start_watch = "Start it: `make up`, or `manage.py watch` in production."
    checks = [_age("beat", beats.get("beat"), now, _BEAT_AGES, start_beat)]
    checks += [
        _age(f"watcher of {host.name}", beats.get(f"watch:{host.name}"), now, _WATCH_AGES, start_watch)
        for host in hosts
    ]
    return checks


def check_parts(now: datetime) -> list[Check]:
    """Whether messages go through every queue that was ever served, and a sweeper runs: what `/readyz` says of them."""
    parts = {part.name: part for part in liveness.parts(now)}
    sweeper = parts[liveness.SWEEPER]
    return [
        _age("sweeper", sweeper.sign_at, now, _PART_AGES, sweeper.advice),
        *(
            _age(f"canary of {name}", part.sign_at, now, _PART_AGES, part.advice)
            for name, part in parts.items()
            if name.startswith(liveness.QUEUE) and part.sign_at is not None
        ),
    ]


def check_queues(now: datetime) -> list[Check]:
    """Whether workers take each queue: work that was due long ago and that nobody has taken tells that none does."""
    late = now - timedelta(seconds=_WORKER_AGES[0])
    shards = CheckShard.objects.filter(host__enabled=True, next_due_at__lt=late).order_by("next_due_at")
    heals = FailureRecord.objects.filter(is_found=True, resolved_at=None, due_at__lt=late).order_by("due_at")
    free = Q(lease_until=None) | Q(lease_until__lt=late)
    deliveries = apps.get_model("notifications", "Delivery")._default_manager.filter(
        state="pending", next_try_at__lt=late
    )
    return [
        _queue("checks", shards.filter(free).values_list("next_due_at", flat=True).first(), now),
        _queue("heal", heals.filter(free).values_list("due_at", flat=True).first(), now),
        _queue(
            "alerts", deliveries.order_by("next_try_at").values_list("next_try_at", flat=True).first(), now
        ),
    ]


def _queue(name: str, waiting_since: datetime | None, now: datetime) -> Check:
    if waiting_since is None:
        return Check(f"queue {name}", Level.OK, "nothing waits")
    age = (now - waiting_since).total_seconds()
    level = Level.ERROR if age >= _WORKER_AGES[1] else Level.WARNING
    advice = f"Start workers: `make up`, or `celery -A selfheal_project worker -Q {name}` in production."
    return Check(f"queue {name}", level, f"work has been waiting for {timedelta(seconds=round(age))}", advice)


def _age(name: str, at: datetime | None, now: datetime, ages: tuple[float, float], advice: str) -> Check:
    if at is None:
        return Check(name, Level.ERROR, "has never shown a sign of life", advice)
    age = (now - at).total_seconds()
    found = f"last sign of life {timedelta(seconds=max(0, round(age)))} ago"
    if age >= ages[1]:
        return Check(name, Level.ERROR, found, advice)
    if age >= ages[0]:
        return Check(name, Level.WARNING, found, "It is late: look at its log and at the machine's load.")
    return Check(name, Level.OK, found)


def check_troubles() -> list[Check]:
    """What Selfheal itself has found wrong with its own sight, and is not over."""
    advice = "It ends by itself once the cause is mended; the message says what to mend."
    return [
        Check(
            f"trouble {trouble.key}",
            Level.WARNING,
            f"{trouble.message} (since {trouble.since:%Y-%m-%d %H:%M} UTC)",
            advice,
        )
        for trouble in Trouble.objects.filter(resolved_at=None)[:_TROUBLES_SHOWN]
    ]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
