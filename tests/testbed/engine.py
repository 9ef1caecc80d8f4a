"""Private Docker engines: each a dockerd on its own socket, with its own data, bridge and containerd."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker

from tests.testbed.images import ensure_image
from tests.testbed.paths import ServiceMissingError, needed, new_folder
from tests.testbed.process import Child
from tests.testbed.wait import until

_BRIDGES = range(1, 200)


class Engine:
    """One private dockerd. `host` is its DOCKER_HOST; it can be stopped, killed and started again on the same data."""

    def __init__(self, folder: Path, bridge: str = "none", *options: str) -> None:
        self.folder, self.bridge, self.options = folder, bridge, options
        self.child: Child | None = None

    @property
    def host(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    def client(self, timeout: float = 60) -> docker.APIClient:
        """A new low-level client; the caller closes it."""
        return docker.APIClient(base_url=self.host, version="auto", timeout=timeout)

    def start(self, timeout: float = 60) -> None:
        """Start, or start again; returns when the API answers."""
        self.child = Child(self._command(), self.folder / "dockerd.log")
        self.child.wait_ready(self._answers, timeout)

    def _command(self) -> list[str]:
        # No iptables rules: they are the machine's, and another engine on it may have its own. Containers reach
        # each other and the machine all the same, and published ports go through the engine's proxy.
        folder = self.folder
        return [
            needed("dockerd", "docker.io"),
            *("-H", self.host, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"),
            *("--pidfile", f"{folder}/docker.pid", f"--bridge={self.bridge}"),
            *("--iptables=false", "--ip-masq=false", "--ip-forward=false", *self.options),
        ]

    def _answers(self) -> bool:
        with contextlib.closing(docker.APIClient(base_url=self.host, version="1.41", timeout=5)) as client:
            return bool(client.ping())

    def stop(self) -> None:
        """SIGTERM: the engine stops its containers (a person shutting the engine down)."""
        if self.child:
            self.child.stop(timeout=40)

    def kill(self) -> None:
        """SIGKILL: the containers go on running without an engine."""
        if self.child:
            self.child.kill()
            self._forget_containerd()

    def _forget_containerd(self) -> None:
        """Its containerd dies with it; a next start must not take that one's process id for a living one."""
        file = self.folder / "exec/containerd/containerd.pid"
        if file.exists():
            process = Path("/proc") / file.read_text().strip() / "exe"  # a zombie has none
            until(lambda: not _readable(process), 10, "containerd has ended")
            file.unlink()

    def pause(self) -> None:
        """SIGSTOP: the socket accepts and nothing answers."""
        if self.child:
            self.child.send(signal.SIGSTOP)

    def resume(self) -> None:
        if self.child:
            self.child.send(signal.SIGCONT)

    def clean_up(self) -> None:
        """End everything that this engine started, whatever state it is in, and remove its files."""
        if self.child and self.child.running():
            self.resume()
            with contextlib.suppress(Exception):
                self._remove_contents()
            self.stop()
        _kill_all(_descendants_of_folder(self.folder))
        _unmount_under(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _remove_contents(self) -> None:
        with contextlib.closing(self.client(timeout=20)) as client:
            for container in client.containers(all=True):
                with contextlib.suppress(docker.errors.APIError):
                    client.remove_container(container["Id"], force=True, v=True)
            client.prune_networks()


@contextmanager
def docker_engine(name: str, *options: str, bridge: bool = True) -> Iterator[Engine]:
    """A private engine that holds the test image, ready in about 0.5 s; gone at the end with all its containers.

    With `bridge`, containers get an address that this machine reaches. `options` go to dockerd.
    """
    needed("dockerd", "docker.io")
    if os.geteuid() != 0:
        raise ServiceMissingError(
            "A private Docker engine needs root; run the tests as root or set SELFHEAL_TEST_DOCKER_HOST."
        )
    with _bridge() if bridge else contextlib.nullcontext("none") as network:
        engine = Engine(new_folder(name), network, *options)
        try:
            engine.start()
            with contextlib.closing(engine.client()) as client:
                ensure_image(client)
            yield engine
        finally:
            engine.clean_up()


@contextmanager
def _bridge() -> Iterator[str]:
    """A network bridge of our own, with a subnet that no other interface has."""
    ip = needed("ip", "iproute2")
    for number in _BRIDGES:
        name = f"shtest{number}"
        if _run(ip, "link", "add", "name", name, "type", "bridge"):
            break
    else:
        raise RuntimeError(
            "no free bridge name shtest1 to shtest199; remove old ones with `ip link del shtest1`"
        )
    try:
        if not _run(ip, "addr", "add", f"10.213.{number}.1/24", "dev", name) or not _run(
            ip, "link", "set", name, "up"
        ):
            raise RuntimeError(f"the bridge {name} could not be given an address")
        yield name
    finally:
        _run(ip, "link", "del", name)


def _readable(link: Path) -> bool:
    try:
        return bool(link.readlink())
    except OSError:
        return False


def _run(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _descendants_of_folder(folder: Path) -> set[int]:
    """Processes whose command line names this engine's folder (containerd, shims), and their children."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                commands[int(entry.name)] = (entry / "cmdline").read_bytes()
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    engine_parts = (b"dockerd", b"containerd", b"docker-proxy")
    found = {
        pid
        for pid, command in commands.items()
        if os.path.basename(command.split(b"\0")[0]).startswith(engine_parts)
        and f"{folder}/".encode() in command
    }
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


def _kill_all(pids: set[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(AssertionError):
        until(
            lambda: not any(_readable(Path(f"/proc/{pid}/exe")) for pid in pids), 5, "killed processes gone"
        )


def _unmount_under(folder: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True):
        _run("umount", "-l", mount)
