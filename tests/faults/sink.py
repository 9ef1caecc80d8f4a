"""The receiver of all alerts: a web server that writes down what it was sent, and can answer badly."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Received:
    """One alert of a message, at `at` (seconds since 1970). `fields` is its JSON; its `id` is the same over repeats."""

    at: float
    id: str
    fields: dict[str, Any]
    reason: str = ""
    """Why its message was sent."""

    @property
    def flaps(self) -> bool:
        """Whether its message said that it comes and goes, and so stands for what comes after it."""
        return "flapping" in self.reason

    @property
    def key(self) -> str:
        return str(self.fields.get("alert_key"))

    @property
    def level(self) -> str:
        return str(self.fields.get("level"))

    @property
    def kind(self) -> str:
        return str(self.fields.get("kind"))

    @property
    def title(self) -> str:
        return str(self.fields.get("title"))

    @property
    def container(self) -> str:
        return str(self.fields.get("container"))


@dataclass
class Sink:
    """`received` holds every alert in its order, of `messages` messages. `on_receipt` is called before the answer;
    `status` is the answer, with `headers`."""

    port: int = 0
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    messages: int = 0
    received: list[Received] = field(default_factory=list)
    on_receipt: Callable[[Received], object] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/alerts"

    def take(self, body: bytes) -> int:
        fields = json.loads(body)
        at = time.time()
        self.messages += 1
        for told in fields["alerts"]:
            message = Received(at, str(told["id"]), told, str(fields.get("reason")))
            self.received.append(message)
            if self.on_receipt is not None:
                self.on_receipt(message)
        return self.status

    def since(self, at: float) -> list[Received]:
        return [message for message in self.received if message.at >= at]

    def about(self, container: str, since: float = 0.0) -> list[Received]:
        return [message for message in self.since(since) if message.container == container]


@contextmanager
def alert_sink() -> Iterator[Sink]:
    """A started sink on a free port of 127.0.0.1."""
    sink = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status = sink.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            for name, value in sink.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sink.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, name="sink", daemon=True).start()
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()
