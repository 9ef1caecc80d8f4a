"""A private RabbitMQ: its own node, ports, folders, cookie and port mapper; never the system's service."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import amqp

from tests.testbed.paths import needed, new_folder, rabbitmq_program
from tests.testbed.process import Child, free_port

_PORT_TRIES = 3
_CONFIG = """\
loopback_users = none
vm_memory_high_watermark.relative = 0.9
disk_free_limit.absolute = 10MB
"""


class RabbitServer:
    """One node; `kill` ends it at once, and `start` brings it back with what quorum queues keep on the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._choose_ports()
        self.child: Child | None = None
        self._mapper: Child | None = None

    def _choose_ports(self) -> None:
        self.port, self._distribution, self._mapping = free_port(), free_port(), free_port()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        """Start, or start again on the same port and data; returns when it answers, after about six seconds."""
        if self._mapper is None:
            # Started here and in the foreground: the node would start one that outlives it.
            command = [
                needed("epmd", "rabbitmq-server"),
                "-port",
                str(self._mapping),
                "-address",
                "127.0.0.1",
            ]
            self._mapper = Child(command, self.folder / "epmd.log", env=self._environ(), **_unprivileged())
        command = [needed("rabbitmq-server", "rabbitmq-server", rabbitmq_program("rabbitmq-server"))]
        options = {"cwd": self.folder, "env": self._environ(), "start_new_session": True, **_unprivileged()}
        self.child = Child(command, self.folder / "rabbitmq.log", **options)
        self.child.wait_ready(self._answers, timeout=60)

    def _answers(self) -> bool:
        with amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=2) as connection:
            return bool(connection.connected)

    def _environ(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self._mapping),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"t{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            # Without spinning for work, which would take the processors from what is tested.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
        }

    def prepare(self) -> None:
        """Write the configuration, and give the folder to the user that the node runs as."""
        (self.folder / "rabbitmq.conf").write_text(_CONFIG)
        (self.folder / "enabled_plugins").write_text("[].\n")
        if user := _unprivileged():
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, user["user"], user["group"])

    def kill(self) -> None:
        """SIGKILL to the node and its helpers: it has a session of its own."""
        if self.child is not None and self.child.running():
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.process.wait()

    def stop(self) -> None:
        """End everything. What is on the disk goes with the folder, so nothing is waited for."""
        self.kill()
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper = None


@contextmanager
def rabbitmq_server() -> Iterator[RabbitServer]:
    """A private RabbitMQ (ready in about six seconds), ended with the block."""
    folder = new_folder("rabbit")
    server = RabbitServer(folder)
    try:
        server.prepare()
        _start_on_free_ports(server)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _start_on_free_ports(server: RabbitServer) -> None:
    for _ in range(_PORT_TRIES - 1):
        try:
            return server.start()
        except ChildProcessError:
            server.stop()
            server._choose_ports()
    return server.start()


def _unprivileged() -> dict[str, Any]:
    """Options for subprocess to leave root, for the user that the package has made; none where we are not root."""
    if os.geteuid() != 0:
        return {}
    name = "rabbitmq" if any(entry.pw_name == "rabbitmq" for entry in pwd.getpwall()) else "nobody"
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}
