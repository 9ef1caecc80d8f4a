"""One engine's socket: takes requests, applies the endpoint's faults, logs, and hands them to their routes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.fleet import http, routes
from benchmarks.fleet.errors import NotModified, Refusal
from benchmarks.fleet.faults import EndpointFaults
from benchmarks.fleet.http import Connection, Request
from benchmarks.fleet.payloads import encode
from benchmarks.fleet.request_log import UNANSWERED, Asked, RequestLog
from benchmarks.fleet.world import World

logger = logging.getLogger(__name__)

NEWEST_API, OLDEST_API = (1, 41), (1, 12)
BACKLOG = 512

_VERSION = re.compile(r"/v(\d+)\.(\d+)(/.*)")


class Endpoint:
    """Listens at a unix socket between `open` and `close`; may be opened again, as an engine that comes back."""

    def __init__(self, path: Path, world: World) -> None:
        self.path = path
        self.world = world
        self.faults = EndpointFaults()
        self.log = RequestLog()
        self.connections: set[Connection] = set()
        self._waiting: list[Callable[[], None]] = []
        self._server: asyncio.AbstractServer | None = None

    @property
    def address(self) -> str:
        return f"unix://{self.path}"

    async def open(self) -> None:
        """Raise OSError where the socket cannot be made."""
        if self._server is None:
            self.path.unlink(missing_ok=True)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(
                lambda: Connection(self), str(self.path), backlog=BACKLOG
            )

    async def close(self) -> None:
        """As an engine that is gone: no socket, every connection broken; its containers go on."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            self.break_connections()
            self.path.unlink(missing_ok=True)

    def break_connections(self) -> None:
        for connection in list(self.connections):
            connection.abort()

    def break_streams(self) -> None:
        """End every event stream, in the middle; other connections stay."""
        for listener in list(self.world.events.listeners):
            listener.abort()

    def hang(self) -> None:
        """From now on connections are accepted, and nothing is answered nor told."""
        self.faults.hangs = True

    def resume(self) -> None:
        """Answer what has been asked meanwhile, and tell what has happened."""
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            for go_on in waiting:
                go_on()
        self.faults.hangs = False

    def when_answering(self, go_on: Callable[[], None]) -> None:
        """Now, or where it hangs, once it does not any more."""
        if self.faults.hangs:
            self._waiting.append(go_on)
        else:
            go_on()

    def serve(self, connection: Connection, request: Request) -> None:
        exchange = Exchange(self, connection, request)
        connection.on_lost = exchange.lost
        self.when_answering(exchange.begin)


class Exchange:
    """One request on its way to its answer."""

    def __init__(self, endpoint: Endpoint, connection: Connection, request: Request) -> None:
        self.endpoint = endpoint
        self.world = endpoint.world
        self.connection = connection
        self.request = request
        self.path = request.path
        self.route = "unknown"
        self._arrived = time.time()
        self._logged = False

    def begin(self) -> None:
        if self._is_in_vain():
            return
        try:
            self.path = _unversioned(self.request.path)
        except Refusal as error:
            self.refuse(error)
            return
        seconds, failure = self.endpoint.faults.meet(self.request.method, self.path)
        work = (
            self._handle
            if failure is None
            else partial(self.refuse, Refusal(failure.status, failure.message))
        )
        if seconds:
            asyncio.get_running_loop().call_later(seconds, self.endpoint.when_answering, work)
        else:
            work()

    def _is_in_vain(self) -> bool:
        """Nobody waits for the answer; what was asked to be done is done all the same, as by the engine."""
        return not self.connection.is_open and self.request.method in ("GET", "HEAD")

    def _handle(self) -> None:
        if self._is_in_vain():
            return
        try:
            self.route, handler, argument = routes.find(self.request.method, self.path)
            work = handler(self, argument)
        except Exception as error:
            self.refuse(error)
            return
        if work is not None:
            self.world.life.spawn(self._finish(work))

    async def _finish(self, work: routes.Work) -> None:
        try:
            whole = await work
        except Exception as error:
            self.refuse(error)
            return
        self.reply(whole)

    def refuse(self, error: Exception) -> None:
        if isinstance(error, NotModified):
            self.reply(http.answer(304), 304)
            return
        if not isinstance(error, Refusal):
            logger.error("the simulator failed", exc_info=error, extra={"action": "fleet_failed"})
            error = Refusal(500, f"the simulator failed: {error!r}")
        self.reply(http.answer(error.status, encode({"message": error.message})), error.status)

    def reply(self, whole: bytes, status: int = 0) -> None:
        """Send a whole answer; its status is read from it where it is not given."""
        self.endpoint.when_answering(partial(self._reply, whole, status or int(whole[9:12])))

    def _reply(self, whole: bytes, status: int) -> None:
        if self.connection.is_open:
            self.note(status)
            self.connection.reply(whole)

    def note(self, status: int) -> None:
        """Write the request into the log, once."""
        if not self._logged:
            self._logged = True
            query = "&".join(f"{key}={value}" for key, value in self.request.query.items())
            path = f"{self.request.path}?{query}" if query else self.request.path
            took = time.time() - self._arrived
            with contextlib.suppress(Refusal):
                self.route = routes.find(self.request.method, self.path)[0]
            asked = Asked(self._arrived, self.request.method, path, status, took)
            self.endpoint.log.add(asked, self.route)

    def lost(self) -> None:
        """The client has hung up before it was answered."""
        with contextlib.suppress(Refusal):
            self.path = _unversioned(self.request.path)
        self.note(UNANSWERED)


def _unversioned(path: str) -> str:
    found = _VERSION.fullmatch(path)
    if found is None:
        return path
    version = (int(found[1]), int(found[2]))
    asked, newest, oldest = (f"{major}.{minor}" for major, minor in (version, NEWEST_API, OLDEST_API))
    if version > NEWEST_API:
        raise Refusal(400, f"client version {asked} is too new. Maximum supported API version is {newest}")
    if version < OLDEST_API:
        raise Refusal(
            400,
            f"client version {asked} is too old. Minimum supported API version is {oldest}, "
            "please upgrade your client to a newer version",
        )
    return found[3]
