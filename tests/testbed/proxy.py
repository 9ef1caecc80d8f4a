"""A socket in front of an engine that can be told to answer badly: refuse, answer late, or tell a state that is not."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_HEAD_END = b"\r\n\r\n"


@dataclass
class Rule:
    """What to do with requests whose "METHOD /path" matches, at most `times` times.

    `status` answers in the engine's place; `hold` forwards, and keeps the answer back until it is set, all of it or
    what comes `after` so many pieces.
    """

    pattern: str
    times: int = 1
    status: int = 0
    message: str = "the proxy says no"
    hold: threading.Event | None = None
    after: int = 0


@dataclass
class Asked:
    """One request: its line, and from when to when it was under way, in seconds since 1970 (`ended` 0: it still is).

    `by` is the process that asked.
    """

    line: str
    at: float
    ended: float = 0.0
    by: int = 0


@dataclass
class EngineProxy:
    """Relays to the engine's socket; `asked` has all requests in their order, `requests` their lines."""

    upstream: str
    path: Path
    rules: list[Rule] = field(default_factory=list)
    rewrite: dict[bytes, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    _listener: socket.socket | None = None

    @property
    def host(self) -> str:
        return f"unix://{self.path}"

    def calls(self, pattern: str) -> list[str]:
        return [line for line in self.requests if re.search(pattern, line)]

    def start(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        for rule in self.rules:
            if rule.hold is not None:
                rule.hold.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One request for each connection: the engine is asked to close after its answer."""
        with contextlib.closing(client), contextlib.suppress(OSError):
            data = b""
            while _HEAD_END not in data:
                chunk = client.recv(65536)
                if not chunk:
                    return
                data += chunk
            head, _, rest = data.partition(_HEAD_END)
            line = head.split(b"\r\n", 1)[0].decode()
            asked = Asked(line, time.time(), by=_peer(client))
            self.requests.append(line)
            self.asked.append(asked)
            rule = self._matching(line)
            try:
                if rule is not None and rule.status:
                    client.sendall(_answer(rule.status, rule.message))
                else:
                    self._relay(client, _closing(head) + _HEAD_END + rest, rule)
            finally:
                asked.ended = time.time()

    def _matching(self, line: str) -> Rule | None:
        for rule in self.rules:
            if rule.times > 0 and re.search(rule.pattern, line):
                rule.times -= 1
                return rule
        return None

    def _relay(self, client: socket.socket, request: bytes, rule: Rule | None) -> None:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as engine:
            engine.connect(self.upstream.removeprefix("unix://"))
            engine.sendall(request)
            threading.Thread(target=_pump, args=(client, engine), daemon=True).start()
            passed = 0
            while chunk := engine.recv(65536):
                if rule is not None and rule.hold is not None and passed >= rule.after:
                    rule.hold.wait(120)
                passed += 1
                for old, new in self.rewrite.items():
                    chunk = chunk.replace(old, new)
                client.sendall(chunk)
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)


def _peer(client: socket.socket) -> int:
    """The id of the process at the other end."""
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)


def _closing(head: bytes) -> bytes:
    lines = head.split(b"\r\n")
    if any(line.lower().startswith(b"upgrade:") for line in lines):
        return head
    kept = [line for line in lines if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*kept, b"Connection: close"])


def _answer(status: int, message: str) -> bytes:
    body = json.dumps({"message": message}).encode()
    head = f"HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


@contextmanager
def engine_proxy(upstream: str, folder: Path) -> Iterator[EngineProxy]:
    """A started proxy in front of the engine at `upstream` (unix://…)."""
    proxy = EngineProxy(upstream, folder / "proxy.sock")
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
