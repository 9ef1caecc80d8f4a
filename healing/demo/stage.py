"""The Selfheal of the demo: `manage.py up` in a folder and on a port of its own, away from any other."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.management import call_command

from healing.core.ports import EngineConfig
from healing.models import AutoRegister, Host

HOST = "demo"
START_SECONDS = 60.0
STOP_SECONDS = 10.0


class StageFailed(Exception):
    """Selfheal did not come up; the text says what its log says."""


def prepare(config: EngineConfig) -> Host:
    """An empty database with one host that supervises nothing but what it is told to."""
    call_command("migrate", verbosity=0, interactive=False)
    _only_what_it_is_told("local", "docker", "unix:///var/run/docker.sock")
    return Host.objects.create(
        name=HOST,
        engine_kind=config.kind,
        address=config.address,
        tls_ca=config.tls_ca,
        tls_cert=config.tls_cert,
        tls_key=config.tls_key,
        tls_verify=config.tls_verify,
        auto_register=AutoRegister.NONE.value,
    )


def _only_what_it_is_told(name: str, kind: str, address: str) -> None:
    # `up` would add the machine's own engine under this name and heal what other people run on it.
    Host.objects.create(
        name=name, engine_kind=kind, address=address, enabled=False, auto_register=AutoRegister.NONE.value
    )


@contextlib.contextmanager
def running(home: Path) -> Iterator[None]:
    """Selfheal is up inside this context."""
    log = home / "up.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "up"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_up(child, log)
        yield
    finally:
        _stop(child)


def _wait_until_up(child: subprocess.Popen[bytes], log: Path) -> None:
    url = f"http://127.0.0.1:{os.environ['PORT']}/healthz"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):
            return
        time.sleep(0.05)
    raise StageFailed("Selfheal did not come up; its log ends:\n" + log.read_text(errors="replace")[-1500:])


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
