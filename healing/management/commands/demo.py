"""`manage.py demo`: breaks small services of its own and shows how they are healed."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from django.core.management.base import BaseCommand

# What would lead the demo to somebody's real installation.
_FOREIGN = ("DATABASE_URL", "CELERY_BROKER_URL", "SELFHEAL_BIND", "SELFHEAL_HTTPS", "SELFHEAL_ADMIN_PASSWORD")


class Command(BaseCommand):
    help = (
        "One minute: small services are started, broken and healed. Exit status 0 if all ended as they must."
    )
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--inside", metavar="FOLDER", help="used by the demo itself")

    def handle(self, *_: Any, inside: str | None, **__: Any) -> None:
        if inside is None:
            _begin_again(Path(tempfile.mkdtemp(prefix="selfheal-demo-")))
        signal.signal(signal.SIGTERM, _end)
        signal.signal(signal.SIGINT, _end)
        from healing.demo.play import play

        try:
            good = play(Path(inside), sys.stdout)
        finally:
            shutil.rmtree(inside, ignore_errors=True)
        if not good:
            raise SystemExit(1)


def _begin_again(home: Path) -> NoReturn:
    """Settings are read when a process starts, so the demo's own ones need a new process in the place of this one."""
    from healing.demo.places import free_port

    environ = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    environ |= {"SELFHEAL_HOME": str(home), "PORT": str(free_port()), "SELFHEAL_TICK": "1"}
    os.execve(sys.executable, [sys.executable, sys.argv[0], "demo", "--inside", str(home)], environ)  # noqa: S606 - itself


def _end(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)
