"""Faults of services and processes. Each holds within its block and is undone after it, however the block ends.

What outlives this process otherwise (a firewall's rule, a mount, a stopped process) is undone by a guard: a shell that
waits for the other end of a pipe to close, and that closes also when this process is killed.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from tests.faults.installation import Installation
from tests.faults.messages import push_all
from tests.testbed.engine import Engine
from tests.testbed.paths import needed, new_folder, program
from tests.testbed.services import PostgresServer, RedisServer

ENGINE_BACK = 180.0
"""Seconds that a killed engine may take to answer again: it ends its containers first, of which one may be half started."""
_UNDO_SECONDS = 10.0


@contextmanager
def undone_by(*commands: str) -> Iterator[None]:
    """Shell commands that run when the block ends, or when this process ends in whatever way."""
    script = "; ".join(["cat >/dev/null", *commands])
    guard = subprocess.Popen(
        ["sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert guard.stdin is not None
    try:
        yield
    finally:
        guard.stdin.close()
        guard.wait(_UNDO_SECONDS)


def send(pids: Iterable[int], number: int) -> None:
    """A signal to processes of ours; who is gone already is passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@contextmanager
def hung(pids: Iterable[int]) -> Iterator[None]:
    """SIGSTOP: the processes live and do nothing. SIGCONT afterwards."""
    stopped = list(pids)
    assert stopped, "there is no such process to stop"
    with undone_by(f"kill -CONT {' '.join(map(str, stopped))}"):
        send(stopped, signal.SIGSTOP)
        yield


@contextmanager
def redis_lost(server: RedisServer) -> Iterator[None]:
    """kill -9 with all data lost; afterwards an empty Redis on the same port."""
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextmanager
def redis_hung(server: RedisServer) -> Iterator[None]:
    """It accepts connections and says nothing."""
    assert server.child is not None
    with hung([server.child.pid]):
        yield


@contextmanager
def redis_full(server: RedisServer) -> Iterator[None]:
    """`maxmemory` reached under `noeviction`: reading goes on, every write is refused."""
    with redis.Redis(port=server.port, socket_timeout=5) as client:
        before = client.config_get("maxmemory")["maxmemory"]
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            client.config_set("maxmemory", before)


@contextmanager
def postgres_down(server: PostgresServer) -> Iterator[None]:
    """An immediate stop (SIGQUIT: no checkpoint, every session cut off); afterwards it recovers as after a crash."""
    server.stop_at_once()
    try:
        yield
    finally:
        server.start()


@contextmanager
def postgres_hung(server: PostgresServer) -> Iterator[None]:
    """The server and all its sessions stop in what they are doing, and go on afterwards."""
    server.pause()
    try:
        yield
    finally:
        server.resume()


@contextmanager
def parts_gone(installation: Installation, *parts: str) -> Iterator[None]:
    """kill -9, and nobody starts them again before the end."""
    installation.let_go(*parts)
    try:
        yield
    finally:
        for part in parts:
            installation.start(part)


@contextmanager
def part_killed(installation: Installation, part: str) -> Iterator[None]:
    """kill -9; its supervisor starts it again at once."""
    installation.kill(part)
    yield


@contextmanager
def messages_pushed(server: RedisServer) -> Iterator[None]:
    """Malformed, unknown and oversized messages in every queue; nothing is undone."""
    push_all(server.url)
    yield


@contextmanager
def parts_hung(installation: Installation, *parts: str) -> Iterator[None]:
    """Alive, with all their connections, and doing nothing."""
    with hung(installation.pids(*parts)):
        yield


@contextmanager
def one_more_of(installation: Installation, *parts: str) -> Iterator[None]:
    """A second process of each of these parts, or a third where there are two."""
    running = installation.running()
    more = [f"{part}-{3 if f'{part}-2' in running else 2}" for part in parts]
    for name in more:
        installation.start(name)
    try:
        yield
    finally:
        installation.let_go(*more)


@contextmanager
def engine_dead(engine: Engine) -> Iterator[None]:
    """kill -9 of dockerd and its containerd; its containers go on until the next one starts and, without live-restore, ends them."""
    engine.kill()
    try:
        yield
    finally:
        engine.start(timeout=ENGINE_BACK)


@contextmanager
def engine_hung(engine: Engine) -> Iterator[None]:
    """dockerd accepts and answers nothing."""
    assert engine.child is not None
    with hung([engine.child.pid]):
        yield


def can_drop_packets() -> bool:
    """Whether this machine lets us add a rule to its firewall."""
    iptables = program("iptables")
    if iptables is None or os.geteuid() != 0:
        return False
    return _run(iptables, "-w", "5", "-L", "INPUT", "-n")


@contextmanager
def packets_dropped(port: int) -> Iterator[None]:
    """What is sent to and from this local TCP port vanishes: no answer, no reset, connections seem to stand."""
    iptables = needed("iptables", "iptables")
    rules = [
        ("INPUT", "-i", "lo", "-p", "tcp", direction, str(port), "-j", "DROP")
        for direction in ("--dport", "--sport")
    ]
    remove = [f"{shlex.quote(iptables)} -w 5 -D {' '.join(rule)}" for rule in rules]
    with undone_by(*remove):
        for rule in rules:
            if not _run(iptables, "-w", "5", "-I", *rule):
                raise RuntimeError(f"iptables refused the rule {' '.join(rule)}")
        yield


@contextmanager
def unreachable(server: RedisServer) -> Iterator[None]:
    """Redis behind a network that swallows packets; without a firewall of ours, the nearest to it: it is hung."""
    with packets_dropped(server.port) if can_drop_packets() else redis_hung(server):
        yield


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A folder with so much space of its own, open to all users; gone at the end with what is in it. Needs root."""
    folder = new_folder("disk")
    quoted = shlex.quote(str(folder))
    with undone_by(f"umount -l {quoted}", f"rmdir {quoted}"):
        if not _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(folder)):
            raise RuntimeError("a tmpfs could not be mounted: run as root")
        yield folder


@contextmanager
def disk_filled(folder: Path) -> Iterator[None]:
    """Not a byte is free on the folder's disk, which must be a small one of our own."""
    ballast = folder / "ballast"
    try:
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while file.write(b"\0" * size):
                        pass
        yield
    finally:
        ballast.unlink(missing_ok=True)


@contextmanager
def together(*faults: contextlib.AbstractContextManager[None]) -> Iterator[None]:
    """Several at once; undone in the opposite order."""
    with ExitStack() as stack:
        for fault in faults:
            stack.enter_context(fault)
        yield


def _run(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
