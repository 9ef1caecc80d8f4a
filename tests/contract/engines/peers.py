"""Peers that are no engine, or a sick one: silent, dripping, closing, speaking something else; and TLS before one."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Handler = Callable[[socket.socket, threading.Event], None]


@contextmanager
def peer(handler: Handler, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server on loopback that gives each connection to `handler`; its address as tcp://."""
    stopped = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = []

    def serve(connection: socket.socket, twin: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, _hanging_up(twin):
            secured = connection if context is None else context.wrap_socket(connection, server_side=True)
            with secured:
                handler(secured, stopped)

    def accept() -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection.dup())
            pair = (connection, connections[-1])
            threads.append(threading.Thread(target=serve, args=pair, daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(5)
        for connection in connections:
            with _hanging_up(connection):
                pass
        for thread in threads:
            thread.join(5)


@contextmanager
def _hanging_up(connection: socket.socket) -> Iterator[None]:
    """End the connection, whoever else holds it."""
    with connection:
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def silent(connection: socket.socket, stopped: threading.Event) -> None:
    """Accept, and say nothing."""
    stopped.wait(60)


def dripping(connection: socket.socket, stopped: threading.Event) -> None:
    """One byte of a header every tenth of a second: no read ever times out."""
    for byte in b"HTTP/1.1 200 OK\r\nX-Never: " + b"x" * 10_000:
        if stopped.wait(0.1):
            return
        connection.sendall(bytes([byte]))


def closing(connection: socket.socket, stopped: threading.Event) -> None:
    """Take the request, and hang up."""
    connection.recv(65536)


def saying(answer: bytes) -> Handler:
    """The same answer to every request."""

    def handler(connection: socket.socket, stopped: threading.Event) -> None:
        while connection.recv(65536):
            connection.sendall(answer)

    return handler


def saying_once(answer: bytes) -> Handler:
    """One answer, and hang up."""

    def handler(connection: socket.socket, stopped: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    return handler


def http(status: str, body: bytes, content_type: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def only(paths: dict[str, bytes], then: Handler) -> Handler:
    """Answer these paths (by their ending), and treat any other request as `then` does."""

    def handler(connection: socket.socket, stopped: threading.Event) -> None:
        while request := connection.recv(65536):
            path = request.split(b" ")[1].split(b"?")[0].decode()
            answer = next((answer for ending, answer in paths.items() if path.endswith(ending)), None)
            if answer is None:
                then(connection, stopped)
                break
            connection.sendall(answer)

    return handler


def forwarding(path: str) -> Handler:
    """To the engine's socket at `path`, both ways, until either side ends."""

    def handler(connection: socket.socket, stopped: threading.Event) -> None:
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(path)
            back = threading.Thread(target=_pump, args=(engine, connection), daemon=True)
            back.start()
            _pump(connection, engine)
            back.join(5)

    return handler


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (target, source):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
