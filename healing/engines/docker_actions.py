"""Actions through the docker package's low-level API client, over our own connections.

Each action has a fresh connection, is sent once and never again: where the answer is lost, the action may still
happen, and the caller is told so (ActionTimedOut).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

import docker
import requests
import requests.adapters
import urllib3
import urllib3.connection
from docker.transport.basehttpadapter import BaseHTTPAdapter

from healing.core.errors import ActionTimedOut, PluginError
from healing.engines.docker_connect import Connector
from healing.engines.docker_errors import NotSentError

BASE_URL = "http+docker://engine"


class DockerActions:
    """Requests that change something, to one engine that speaks `api_version`."""

    def __init__(self, connector: Connector, api_version: str) -> None:
        self._address = connector.address
        self._client = docker.APIClient(base_url="tcp://engine:1", version=api_version)
        self._client.base_url = BASE_URL
        self._client.trust_env = False
        self._client.mount(BASE_URL, _Adapter(connector))
        self._prefix = f"{BASE_URL}/v{api_version}"

    def post(
        self, path: str, what: str, deadline: float, query: Mapping[str, str] | None = None, body: Any = None
    ) -> tuple[int, bytes]:
        """As `send`, of a POST."""
        return self.send("POST", path, what, deadline, query, body)

    def send(
        self,
        method: str,
        path: str,
        what: str,
        deadline: float,
        query: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> tuple[int, bytes]:
        """Status and body of the answer. Raise ActionTimedOut where none came within `deadline` seconds.

        The client's own `restart` adds the stop timeout to its own time limit; a deadline must stay what it is.
        """
        try:
            answer = self._client.request(
                method,
                self._prefix + path,
                params=query,
                json=body,
                timeout=deadline,
                allow_redirects=False,
                headers={"Connection": "close"},
            )
        except NotSentError as failure:
            raise failure.error from failure
        except requests.Timeout as error:
            raise ActionTimedOut(f"{what}: no answer from {self._address} within {deadline:g} s") from error
        except requests.RequestException as error:
            raise ActionTimedOut(
                f"{what}: the connection to {self._address} was lost before the answer, so it may still happen"
            ) from error
        return answer.status_code, answer.content

    def close(self) -> None:
        self._client.close()


class _Connection(urllib3.connection.HTTPConnection):
    def __init__(self, connector: Connector, timeout: float | None) -> None:
        super().__init__("engine", timeout=timeout)
        self._connector = connector
        self._started = time.monotonic()

    def connect(self) -> None:
        seconds = cast(float, self.timeout)
        try:
            sock = self._connector.connect(min(seconds, self._connector.timeout))
        except PluginError as error:
            raise NotSentError(error) from error
        sock.last_moment = self._started + seconds
        self.sock = cast(Any, sock)


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    def __init__(self, connector: Connector) -> None:
        super().__init__("engine")
        self._connector = connector

    def _new_conn(self) -> Any:
        return _Connection(self._connector, None)


class _Adapter(BaseHTTPAdapter):
    """A pool for each request, so that no action meets a connection that has gone stale."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        super().__init__()

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> Any:
        return _Pool(self._connector)

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        return str(request.path_url)
