"""The Docker engine, and Podman through the same API.

Reads go over kept-alive connections of our own (docker_http), actions through the docker package's low-level
client (docker_actions), the event stream and exec output over one connection each. Nothing is ever retried,
except a read whose kept connection turned out stale.
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from healing.core.errors import ContainerNotFound, EngineRefused, PluginError
from healing.core.events import IN_FLIGHT, EventStream
from healing.core.ports import EngineConfig
from healing.core.types import EngineInfo, Event, ExecResult, Snapshot, Summary
from healing.engines.docker_actions import DockerActions
from healing.engines.docker_connect import Connector
from healing.engines.docker_errors import action_refusal, not_an_engine, too_old
from healing.engines.docker_events import EventReader, History, events_query, history_query, newest_after
from healing.engines.docker_exec import run_in_container
from healing.engines.docker_http import EngineHTTP
from healing.engines.docker_logs import last_lines
from healing.engines.docker_payloads import parse_info, parse_snapshot, parse_time
from healing.engines.docker_recreate import KEPT_FOR_RETURN, Recreation
from healing.engines.docker_rows import ListedRows
from healing.engines.docker_tls import check_tls

# What this module was written against; an engine that is older, or no longer speaks it, sets its own.
NEWEST_API = (1, 51)
OLDEST_API = (1, 24)
"""The first with HEALTHCHECK, and the oldest that the docker package speaks."""
PING_TIMEOUT = 3.0
LIST_BEGINS = 5.0
"""Seconds until the list must have begun: every sweep begins with it, and one that hangs keeps a worker's thread."""
_EPOCH = datetime.fromtimestamp(0, UTC)

_VERSION = re.compile(r"(\d+)\.(\d+)")


class DockerEngine:
    """One Docker or Podman engine. Safe for use by several threads; connects when first asked."""

    def __init__(self, config: EngineConfig) -> None:
        check_tls(config)
        self._timeout = config.timeout
        self._http = EngineHTTP(Connector(config))
        self._lock = threading.Lock()
        self._actions: DockerActions | None = None
        self._api = ""
        self._readers: set[EventReader] = set()
        self._rows = ListedRows()

    def info(self) -> EngineInfo:
        version = self._version(self._timeout)
        return parse_info(version, _mapping(self._get("/info", "info")))

    def list(self) -> Sequence[Summary]:
        with self._agreeing():
            path, query = f"{self._prefix()}/containers/json", {"all": "1"}
            body, _ = self._http.get(path, "list of containers", self._timeout, query, LIST_BEGINS)
        try:
            return self._rows.parse(body)
        except (TypeError, ValueError) as error:
            raise not_an_engine(self._http.address, body[:80]) from error

    def inspect(self, container_id: str) -> Snapshot:
        return parse_snapshot(_mapping(self._get(f"{_path(container_id)}/json", f"inspect {container_id}")))

    def restart(self, container_id: str, stop_timeout: float, deadline: float) -> None:
        query = {"t": str(math.ceil(stop_timeout))}
        self._act(f"{_path(container_id)}/restart", f"restart {container_id}", deadline, query)

    def start(self, container_id: str, deadline: float) -> None:
        self._act(f"{_path(container_id)}/start", f"start {container_id}", deadline)

    def recreate(
        self, container_id: str, network_mode: str | None, stop_timeout: float, deadline: float
    ) -> str:
        _path(container_id)
        until = time.monotonic() + deadline
        kept = min(KEPT_FOR_RETURN, deadline / 3)
        return Recreation(_Api(self), network_mode, stop_timeout, until, kept).run(container_id.lstrip("/"))

    def logs(self, container_id: str, tail: int) -> Sequence[str]:
        if tail <= 0:
            return []
        query = {"stdout": "1", "stderr": "1", "tail": str(tail)}
        path = f"{self._prefix()}{_path(container_id)}/logs"
        body, _ = self._http.get(path, f"logs of {container_id}", self._timeout, query)
        return last_lines(body, tail)

    def exec(self, container_id: str, argv: Sequence[str], timeout: float) -> ExecResult:
        _path(container_id)
        until = time.monotonic() + timeout
        actions = self._acting(timeout)
        return run_in_container(actions, self._http, self._prefix(), container_id, argv, until)

    def events(self, since: datetime | None, idle_timeout: float) -> Iterator[Event]:
        """As the protocol says; `since` is inclusive, to the microsecond.

        The stream is open when this returns, and has no gap after it: also without `since` the engine is asked
        for what happens after its present.
        """
        now = self._now()
        query = events_query(since, now)
        stream = self._http.stream(
            "GET", f"{self._prefix()}/events", "event stream", self._timeout, query=query
        )
        reader = EventReader(stream, self._http.address, self._missed, idle_timeout, now or since or _EPOCH)
        with self._lock:
            self._readers.add(reader)
        return EventStream(lambda stream: self._read(reader, stream))

    def close(self) -> None:
        with self._lock:
            readers, actions = list(self._readers), self._actions
            self._actions = None
        for reader in readers:
            reader.close()
        if actions is not None:
            actions.close()
        self._http.close()

    def _read(self, reader: EventReader, stream: EventStream) -> Iterator[Event]:
        try:
            yield from reader.follow(stream)
        finally:
            with self._lock:
                self._readers.discard(reader)

    def _now(self, timeout: float | None = None) -> datetime | None:
        """The engine's clock, where it tells."""
        return parse_time(_mapping(self._get("/info", "info", timeout=timeout)).get("SystemTime"))

    def _missed(self, last_at: datetime) -> History:
        """What the engine remembers and its stream has not brought. Raise EngineUnreachable where it is silent."""
        timeout = min(PING_TIMEOUT, self._timeout)
        self._http.get("/_ping", "ping", timeout)
        try:
            now = self._now(timeout)
            if now is None or now - IN_FLIGHT <= last_at:
                return History()
            query = history_query(last_at, now)
            body, _ = self._http.get(f"{self._prefix()}/events", "event history", timeout, query)
        except PluginError:
            return History()  # it lives, and does not tell: the stream is given the benefit of the doubt
        return History(newest_after(last_at, body.splitlines()), now - IN_FLIGHT)

    def _get(
        self, path: str, what: str, query: dict[str, str] | None = None, timeout: float | None = None
    ) -> Any:
        with self._agreeing():
            return self._http.get_json(self._prefix() + path, what, timeout or self._timeout, query)

    @contextmanager
    def _agreeing(self) -> Iterator[None]:
        """An engine upgraded since may refuse the version agreed upon: then it is agreed upon anew next time."""
        try:
            yield
        except EngineRefused:
            self._api = ""
            raise

    def _act(self, path: str, what: str, deadline: float, query: dict[str, str] | None = None) -> None:
        until = time.monotonic() + deadline
        actions = self._acting(deadline)
        status, body = actions.post(path, what, max(until - time.monotonic(), 0.001), query)
        if status not in (204, 304):
            raise action_refusal(status, body, self._http.address, what)

    def _change(
        self, method: str, path: str, what: str, seconds: float, query: Mapping[str, str] | None, body: Any
    ) -> Any:
        """The decoded answer of a request that changes something; None where it says nothing."""
        until = time.monotonic() + seconds
        actions = self._acting(seconds)
        left = max(until - time.monotonic(), 0.001)
        status, answer = actions.send(method, path, what, left, query, body)
        if status not in (200, 201, 204, 304):
            raise action_refusal(status, answer, self._http.address, what)
        return json.loads(answer) if status in (200, 201) and answer else None

    def _acting(self, seconds: float) -> DockerActions:
        """The client for actions, made once the engine's API version is known."""
        self._prefix(seconds)
        with self._lock:
            if self._actions is None:
                self._actions = DockerActions(self._http.connector, self._api)
            return self._actions

    def _prefix(self, seconds: float = math.inf) -> str:
        """The path prefix of the API version agreed upon, e.g. "/v1.41"; asks the engine the first time."""
        api = self._api
        if not api:
            self._version(min(self._timeout, seconds))
            api = self._api
        return f"/v{api}"

    def _version(self, timeout: float) -> dict[str, Any]:
        """Ask who the engine is, and agree with it on an API version."""
        body = _mapping(self._http.get_json("/version", "version", timeout))
        if not _VERSION.fullmatch(str(body.get("ApiVersion"))):
            raise not_an_engine(self._http.address, json.dumps(body))
        newest = str(body["ApiVersion"])
        if _numbers(newest) < OLDEST_API:
            raise too_old(self._http.address, newest, ".".join(map(str, OLDEST_API)))
        agreed = _agree(newest, str(body.get("MinAPIVersion") or ""))
        with self._lock:
            if agreed != self._api:
                self._api, self._actions = agreed, None
        return body


class _Api:
    """What a recreate asks of its engine."""

    def __init__(self, engine: DockerEngine) -> None:
        self._engine = engine

    def get(self, path: str, what: str, seconds: float) -> Any:
        engine = self._engine
        timeout = min(seconds, engine._timeout)
        return _mapping(engine._http.get_json(engine._prefix(timeout) + path, what, timeout))

    def send(
        self,
        method: str,
        path: str,
        what: str,
        seconds: float,
        query: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Any:
        return self._engine._change(method, path, what, seconds, query, body)


def _agree(newest: str, oldest: str) -> str:
    """The newest API version that both sides know, else the oldest that the engine still speaks."""
    best = min(NEWEST_API, _numbers(newest)) if _VERSION.fullmatch(newest) else NEWEST_API
    if _VERSION.fullmatch(oldest) and best < _numbers(oldest):
        return oldest
    return f"{best[0]}.{best[1]}"


def _numbers(version: str) -> tuple[int, int]:
    """A version as numbers: "1.24" is (1, 24)."""
    major, minor = version.split(".")
    return int(major), int(minor)


def _path(container_id: str) -> str:
    if not container_id or not re.fullmatch(r"/?[A-Za-z0-9][A-Za-z0-9_.-]*", container_id):
        raise ContainerNotFound(f"no container can be called {container_id!r}")
    return f"/containers/{quote(container_id.lstrip('/'))}"


def _mapping(body: object) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise EngineRefused(f"the engine's answer is no object: {str(body)[:80]!r}")
    return body
