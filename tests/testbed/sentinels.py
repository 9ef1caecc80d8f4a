"""Three Redis servers, one of them the master of the two others, watched by three Sentinels."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from tests.testbed.paths import needed, new_folder
from tests.testbed.process import Child, free_port
from tests.testbed.services import RedisServer
from tests.testbed.wait import until

NAME = "selfheal-test"
_CONFIG = """\
port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor {name} 127.0.0.1 {master} 2
sentinel down-after-milliseconds {name} 2000
sentinel failover-timeout {name} 6000
sentinel parallel-syncs {name} 2
"""


class Sentinel:
    """One Sentinel; it keeps what it learns in its own configuration file."""

    def __init__(self, folder: Path, number: int, master: int) -> None:
        self.folder, self.port = folder / f"sentinel-{number}", free_port()
        self.folder.mkdir()
        self.file = self.folder / "sentinel.conf"
        text = _CONFIG.format(port=self.port, folder=self.folder, name=NAME, master=master)
        self.file.write_text(text)
        self.child: Child | None = None

    def start(self) -> None:
        command = [needed("redis-server", "redis-server"), str(self.file), "--sentinel"]
        self.child = Child(command, self.folder / "sentinel.log")
        with redis.Redis(port=self.port, socket_timeout=2) as client:
            self.child.wait_ready(client.ping, timeout=10)

    def kill(self) -> None:
        if self.child is not None:
            self.child.kill()


class Sentinels:
    """`url` is what Selfheal is told. Each server and Sentinel can be killed and started again."""

    def __init__(self, servers: list[RedisServer], watchers: list[Sentinel]) -> None:
        self.servers, self.watchers = servers, watchers

    @property
    def url(self) -> str:
        places = ";".join(f"sentinel://127.0.0.1:{one.port}" for one in self.watchers)
        return f"{places}/0?master_name={NAME}"

    def master(self) -> RedisServer:
        """Whom the Sentinels name."""
        port = until(self._named, 20, "the Sentinels name a master")
        return next(server for server in self.servers if server.port == port)

    def _named(self) -> int:
        alive = next(one for one in self.watchers if one.child is not None and one.child.running())
        with redis.Redis(port=alive.port, socket_timeout=2, decode_responses=True) as client:
            return int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1])

    def wait_whole(self) -> None:
        """Until every living Sentinel sees the others, and both replicas follow."""
        until(
            lambda: all(self._sees_all(one) for one in self.watchers), 60, "Sentinels and replicas are whole"
        )

    def _sees_all(self, one: Sentinel) -> bool:
        with redis.Redis(port=one.port, socket_timeout=2, decode_responses=True) as client:
            state = client.sentinel_master(NAME)
            healthy = [row for row in client.sentinel_slaves(NAME) if row["master-link-status"] == "ok"]
            down = state["is_odown"] or state["is_sdown"]
            return state["num-other-sentinels"] >= 2 and len(healthy) >= 2 and not down


@contextmanager
def sentinels() -> Iterator[Sentinels]:
    """Started and whole; ended with the block."""
    folder = new_folder("sentinels")
    with ExitStack() as ending:
        ending.callback(shutil.rmtree, folder, ignore_errors=True)
        servers = [_server(ending, folder, "redis-0")]
        servers += [_server(ending, folder, f"redis-{n}", servers[0].port) for n in (1, 2)]
        watchers = []
        for number in range(3):
            watchers.append(one := Sentinel(folder, number, servers[0].port))
            one.start()
            ending.callback(one.kill)
        group = Sentinels(servers, watchers)
        group.wait_whole()
        yield group


def _server(ending: ExitStack, folder: Path, name: str, master: int = 0) -> RedisServer:
    (folder / name).mkdir()
    options = ("--replicaof", "127.0.0.1", str(master)) if master else ()
    server = RedisServer(folder / name, "--repl-diskless-sync-delay", "0", *options)
    server.start()
    ending.callback(server.kill)
    return server
