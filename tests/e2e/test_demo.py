"""`manage.py demo`: what a newcomer runs first works on both engines, ends with 0, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.containers import Containers
from tests.testbed.paths import PROJECT
from tests.testbed.process import Child
from tests.testbed.wait import until

SERVICES = ("shop", "worker", "importer", "api", "ledger")


class Demo:
    """A running demo with a temporary folder of its own."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder / "tmp"
        self.folder.mkdir()
        env = {**os.environ, "TMPDIR": str(self.folder), **environ}
        self.child = Child([sys.executable, "manage.py", "demo"], folder / "demo.log", cwd=PROJECT, env=env)

    def text(self) -> str:
        return self.child.log.read_text(errors="replace")

    def end(self, timeout: float = 240) -> int:
        return self.child.process.wait(timeout)

    def left_processes(self) -> list[str]:
        """Command lines of processes that still belong to this demo, told by its folder."""
        lines = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                environ = (entry / "environ").read_bytes()
                if str(self.folder).encode() in environ and int(entry.name) != os.getpid():
                    lines.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return lines


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path is short, as sockets and labels like it."""
    with tempfile.TemporaryDirectory(prefix="shdemo-") as folder:
        yield Path(folder)


def all_healed(text: str) -> bool:
    return text.count("healed and verified") >= 4 and "in quarantine" in text and "as it must be" not in text


def test_the_demo_with_local_processes(short_folder: Path) -> None:
    """Without Docker the demo runs on plain processes: every service ends as it must."""
    demo = Demo(short_folder, SELFHEAL_DEMO_ENGINE="process")
    try:
        assert demo.end() == 0, demo.text()
        assert all_healed(demo.text())
        assert all(name in demo.text() for name in SERVICES)
        until(lambda: not demo.left_processes(), 10, "no process of the demo is left")
        assert list(demo.folder.iterdir()) == []
    finally:
        demo.child.stop()


def test_the_demo_with_docker(short_folder: Path, docker_host: str) -> None:
    """On a Docker engine the same demo breaks and heals containers, and removes them."""
    demo = Demo(short_folder, DOCKER_HOST=docker_host)
    made = Containers(docker_host)
    try:
        assert demo.end() == 0, demo.text()
        assert f"Docker Engine {made.client.version()['Version']}" in demo.text()
        assert all_healed(demo.text())
        names = [name for row in made.client.containers(all=True) for name in row["Names"]]
        assert not [name for name in names if name.startswith("/selfheal-demo-")]
    finally:
        demo.child.stop()
        made.remove_all()


def test_ctrl_c_cleans_up(short_folder: Path) -> None:
    """Whoever has seen enough leaves no process and no file behind."""
    demo = Demo(short_folder, SELFHEAL_DEMO_ENGINE="process")
    try:
        until(lambda: "broken:" in demo.text(), 90, "the first service is broken")
        demo.child.send(signal.SIGINT)
        assert demo.end(60) == 130, demo.text()
        assert "Traceback" not in demo.text()
        until(lambda: not demo.left_processes(), 10, "no process of the demo is left")
        assert list(demo.folder.iterdir()) == []
    finally:
        demo.child.stop()
