"""`python -m benchmarks.answering PORT`: an HTTP server that answers 200 to everything, as cheaply as Python can.

It listens on all of 127.0.0.0/8, and `GET /answered` tells how many requests it has answered.
"""

from __future__ import annotations

import asyncio
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast

from tests.testbed.paths import PROJECT, new_folder
from tests.testbed.process import Child, free_port

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: "


class _Answering(asyncio.Protocol):
    answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        body = str(_Answering.answered).encode() if data.startswith(b"GET /answered ") else b"ok"
        _Answering.answered += body == b"ok"
        self._transport.write(_HEAD + str(len(body)).encode() + b"\r\n\r\n" + body)
        self._transport.close()


@contextmanager
def answering() -> Iterator[int]:
    """The server in a process of its own; its port."""
    port = free_port()
    child = Child(
        [sys.executable, "-m", "benchmarks.answering", str(port)],
        new_folder("answering") / "log",
        cwd=PROJECT,
    )
    try:
        child.wait_ready(lambda: _is_up(port))
        yield port
    finally:
        child.stop()


def answered(port: int) -> int:
    """How many requests it has answered."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/answered", timeout=10) as answer:
        return int(answer.read())


def _is_up(port: int) -> bool:
    with suppress(OSError):
        return answered(port) >= 0
    return False


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Answering, "0.0.0.0", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1])))
