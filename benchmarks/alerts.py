"""Alerts: how long a critical one takes to its receiver, and what a storm of them costs.

In the production mode: Redis, PostgreSQL, Selfheal's processes and the receiver's connections are real.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tests.faults.sink import Received, Sink, alert_sink
from tests.integration.many.parts import Parts, parts_over
from tests.testbed.paths import PROJECT
from tests.testbed.services import redis_server
from tests.testbed.wait import until

Say = Callable[[str], None]
PROJECTS = 20
_PREPARE = """
import json, sys
from django.core.management import call_command
from datetime import timedelta
from notifications.models import Channel
from notifications.routes import root
call_command("setup")
given = json.loads(sys.stdin.read())
Channel.objects.create(name="sink", kind="webhook", config={"url": given["url"]}, allow_private=True, rate_limit=0)
route = root()
route.group_wait = route.group_interval = timedelta(seconds=5)
route.save()
"""
_WRITE = """
import json, os, random, sys, time
from django.db import transaction
from notifications import outbox
from notifications.core.alert import Alert, AlertLevel
given = json.loads(sys.stdin.read())
begun = sum(os.times()[:2])
for number in range(given["count"]):
    time.sleep(random.uniform(0, 2 * given["pause"]))
    with transaction.atomic():
        outbox.write(Alert(
            AlertLevel(given["level"]), f"alert {number}", host="bench", alertname="quarantined",
            project=f"{given['name']}-{number % given['projects']}", container=f"{given['name']}-{number}",
            alert_key=f"{given['name']}:{number}", details={"log_tail": ["a last line"] * 10},
        ))
print(sum(os.times()[:2]) - begun)
"""


@dataclass(frozen=True, slots=True)
class Alerts:
    """`critical`: seconds from the moment that a critical alert was written with what it tells to its receipt.

    `storm` alerts in `messages` messages cost `writing` and `sending` seconds of CPU: of who wrote them, and of
    worker and beat from then until all had been received.
    """

    critical: Sequence[float]
    storm: int
    messages: int
    writing: float
    sending: float


def measure(critical: int, storm: int, say: Say = print) -> Alerts:
    """So many critical alerts one after the other, then a storm of errors in 20 groups."""
    with redis_server() as broker, parts_over(broker.url) as parts, alert_sink() as sink:
        _start(parts, sink)
        _write(parts, "warm", 5, "critical", 0.1)
        until(lambda: len(_told(sink, "warm")) == 5, 60, "alerts are received")
        _write(parts, "page", critical, "critical", 0.1)
        until(lambda: len(_told(sink, "page")) == critical, 60, "critical alerts are received")
        times = [told.at - _written(told) for told in _told(sink, "page")]
        say(f"critical  {statistics.median(times) * 1000:.0f} ms in the median")
        before, messages = _cpu(parts), sink.messages
        writing = _write(parts, "storm", storm, "error", 0.0)
        until(lambda: len(_told(sink, "storm")) == storm, 120, "the storm is received", interval=0.1)
        found = Alerts(times, storm, sink.messages - messages, writing, _cpu(parts) - before)
        say(f"storm     {found.writing:.1f} s + {found.sending:.1f} s of CPU, {found.messages} messages")
        return found


def _start(parts: Parts, sink: Sink) -> None:
    parts.manage("shell", "--verbosity", "0", "-c", _PREPARE, given=json.dumps({"url": sink.url}))
    parts.worker("other", "alerts,default", 4)
    parts.beat("beat")


def _write(parts: Parts, name: str, count: int, level: str, pause: float) -> float:
    """Write alerts from a process of its own; the seconds of CPU that it took, without its start."""
    given = {"name": name, "count": count, "level": level, "pause": pause, "projects": PROJECTS}
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", _WRITE],
        cwd=PROJECT,
        env=parts.environ,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return float(done.stdout.split()[-1])


def _told(sink: Sink, name: str) -> list[Received]:
    """The first receipt of each alert of that name."""
    first: dict[str, Received] = {}
    for told in list(sink.received):
        if told.container.startswith(f"{name}-"):
            first.setdefault(told.container, told)
    return list(first.values())


def _written(told: Received) -> float:
    return datetime.fromisoformat(told.fields["created_at"]).timestamp()


def _cpu(parts: Parts) -> float:
    """Seconds of CPU that worker and beat have used."""
    ticks = 0
    for child in parts.children.values():
        with open(f"/proc/{child.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def table(found: Sequence[Alerts]) -> str:
    """The result in Markdown."""
    lines = [
        "| critical alerts | to the receiver, p50 | p95 | storm | messages | CPU to write | CPU to send |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for one in found:
        p95 = statistics.quantiles(one.critical, n=20)[18]
        lines.append(
            f"| {len(one.critical)} | {statistics.median(one.critical) * 1000:.0f} ms | {p95 * 1000:.0f} ms "
            f"| {one.storm:,} | {one.messages} | {one.writing:.1f} s | {one.sending:.1f} s |"
        )
    return "\n".join(lines)
