"""A lean HTTP client for an engine's reads: kept-alive connections, one deadline for a whole exchange.

Inspects through it cost a third of the docker package's time. Reads only: an action never takes a kept
connection, because one that has gone stale cannot be told from an action that was lost.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self, cast
from urllib.parse import urlencode

from healing.core.errors import PluginError
from healing.engines.address import Address
from healing.engines.docker_connect import Connector, TimedSocket
from healing.engines.docker_errors import not_an_engine, refusal, transport_error

KEPT_CONNECTIONS = 8

_STALE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ConnectionAbortedError)


class EngineHTTP:
    """GET for JSON, and streams. Safe for use by several threads, and after a fork."""

    def __init__(self, connector: Connector) -> None:
        self.connector = connector
        self.address = connector.address
        self._kept: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def get_json(self, path: str, what: str, timeout: float, query: Mapping[str, str] | None = None) -> Any:
        """The decoded answer. Raise what `refusal` makes of another status than 200; `what` names the request."""
        body, _ = self.get(path, what, timeout, query)
        try:
            return json.loads(body)
        except ValueError as error:
            raise not_an_engine(self.address, body[:80]) from error

    def get(
        self,
        path: str,
        what: str,
        timeout: float,
        query: Mapping[str, str] | None = None,
        head_timeout: float | None = None,
    ) -> tuple[bytes, http.client.HTTPMessage]:
        """Body and headers of a GET; a connection found stale is replaced once.

        `head_timeout`: how long the answer may take to begin, where that is less than the whole exchange may take.
        """
        url = f"{path}?{urlencode(query)}" if query else path
        deadline = time.monotonic() + timeout
        kept = self._take()
        try:
            if kept is not None:
                try:
                    return self._exchange(kept, url, what, deadline, head_timeout)
                except _STALE:
                    kept.close()
            return self._exchange(self._connect(deadline), url, what, deadline, head_timeout)
        except PluginError:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise transport_error(self.address, error, timeout) from error

    def stream(
        self,
        method: str,
        path: str,
        what: str,
        timeout: float,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Stream:
        """A request on a connection of its own, its answer's head read within `timeout`."""
        url = f"{path}?{urlencode(query)}" if query else path
        try:
            connection = self._connect(time.monotonic() + timeout)
            headers = {"Content-Type": "application/json"} if body is not None else {}
            return Stream(connection, *_begin(connection, method, url, body, headers)).checked(
                what, self.address
            )
        except PluginError:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise transport_error(self.address, error, timeout) from error

    def close(self) -> None:
        with self._lock:
            kept, self._kept = self._kept, []
        for connection in kept:
            connection.close()

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        url: str,
        what: str,
        deadline: float,
        head_timeout: float | None,
    ) -> tuple[bytes, http.client.HTTPMessage]:
        try:
            left = _left(deadline)
            connection.sock.settimeout(left if head_timeout is None else min(left, head_timeout))
            response, sock = _begin(connection, "GET", url, None, {})
            sock.settimeout(_left(deadline))
            body = response.read()
        except BaseException:
            connection.close()
            raise
        self._give_back(connection, response)
        if response.status != 200:
            raise refusal(response.status, body, self.address, what)
        return body, response.headers

    def _connect(self, deadline: float) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("docker")
        connection.auto_open = 0
        connection.sock = self.connector.connect(_left(deadline))
        return connection

    def _take(self) -> http.client.HTTPConnection | None:
        with self._lock:
            if self._pid != os.getpid():
                self._kept, self._pid = [], os.getpid()
            return self._kept.pop() if self._kept else None

    def _give_back(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        with self._lock:
            if not response.will_close and len(self._kept) < KEPT_CONNECTIONS:
                self._kept.append(connection)
                return
        connection.close()


class Stream:
    """The answer to one request, read as it comes. `close` from another thread ends a blocked read."""

    def __init__(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, sock: TimedSocket
    ) -> None:
        self._connection = connection
        self._response = response
        self._sock = sock

    def settimeout(self, seconds: float) -> None:
        """From now on, all reads together may take `seconds`; TimeoutError then."""
        self._sock.settimeout(seconds)

    def watch(self, idle_timeout: float, on_idle: Callable[[], None]) -> None:
        """From now on, reads wait for ever, and ask `on_idle` after each silence of `idle_timeout`."""
        self._sock.idle_timeout = idle_timeout
        self._sock.on_idle = on_idle

    def read1(self, limit: int) -> bytes:
        """What has come, at most `limit` bytes, waiting for at least one; b"" at the end."""
        return self._response.read1(limit)

    def readline(self) -> bytes:
        """The next line; b"" at the end."""
        return self._response.readline()

    def shutdown(self) -> None:
        """End a blocked read in another thread."""
        self._sock.shutdown()

    def close(self) -> None:
        self._sock.shutdown()
        self._response.close()
        self._connection.close()

    def checked(self, what: str, address: Address) -> Self:
        """This stream, if its status is 200 (or 101, upgraded); else close it and raise."""
        if self._response.status in (200, 101):
            return self
        try:
            body = self._response.read(65536)
        finally:
            self.close()
        raise refusal(self._response.status, body, address, what)


def _begin(
    connection: http.client.HTTPConnection,
    method: str,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
) -> tuple[http.client.HTTPResponse, TimedSocket]:
    """Send a request and read the answer's head. The socket outlives the connection's own reference to it."""
    sock = cast(TimedSocket, connection.sock)
    try:
        connection.request(method, url, body, headers)
        return connection.getresponse(), sock
    except BaseException:
        connection.close()
        raise


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
