"""A real HTTP server on loopback that answers as it is told, and a socket that takes datagrams."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NEVER = 0
DRIP = -1


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`status` is what is answered next: an HTTP status, NEVER, or DRIP for an answer that does not end.

    `pause`: seconds that it takes its time before it answers.
    """

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"thanks"
    pause: float = 0.0
    datagrams: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    received: list[Received] = field(default_factory=list)
    requests: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].partition("/")[0])

    @property
    def ids(self) -> list[str]:
        return [payload["id"] for _, payload in self.requests]


@contextmanager
def receiving(tls: tuple[str, str] | None = None) -> Iterator[Receiver]:
    """Run a receiver on a free port; at the end it lets go of everybody who still waits.

    `tls`: files of the certificate and its key, to speak TLS.
    """
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.append(Received(self.path, dict(self.headers), body))
            receiver.requests.append((dict(self.headers), json.loads(body or b"{}")))
            receiver.closing.wait(receiver.pause)
            if receiver.status == NEVER:
                receiver.closing.wait(60)
            elif receiver.status == DRIP:
                self._drip()
            else:
                self._answer(receiver.status)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(receiver.body)))
            self.end_headers()
            self.wfile.write(receiver.body)

        def _drip(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not receiver.closing.wait(0.02):
                try:
                    self.wfile.write(b"X-Drip: 1\r\n")
                except OSError:
                    return

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing on the console."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    receiver.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/hook"
    receiver.datagrams.bind(("127.0.0.1", 0))
    receiver.datagrams.settimeout(10)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.closing.set()
        receiver.datagrams.close()
        server.shutdown()
        server.server_close()
        thread.join(10)
