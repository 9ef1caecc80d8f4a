"""The tcp probe: can a connection be made? It is closed again at once; nothing is sent."""

from __future__ import annotations

import time

from healing.core.errors import ConfigError
from healing.core.ports import Engine
from healing.core.probespec import ProbeSpec, TcpSettings
from healing.core.types import ProbeResult, ProbeTarget, ProbeVerdict
from healing.probes.connect import ConnectFailedError, open_socket, show_address


class TcpProbe:
    """Passed when any of the addresses accepts; refused or timed out is failed."""

    def __init__(self, spec: ProbeSpec, engine: Engine | None) -> None:
        if not isinstance(spec.settings, TcpSettings):
            raise ConfigError(f"probe.{spec.name}", f"{spec.text!r} is not a tcp probe")
        self.name = spec.name
        self._settings = spec.settings

    async def check(self, target: ProbeTarget, timeout: float) -> ProbeResult:
        started = time.monotonic()
        host, port = self._settings.host, self._settings.port
        try:
            connection = await open_socket(host, target.addresses, port, timeout)
        except ConnectFailedError as problem:
            return ProbeResult(self.name, problem.verdict, problem.message, time.monotonic() - started)
        where = show_address(str(connection.getpeername()[0]), port)
        connection.close()
        message = f"{where} accepts connections"
        return ProbeResult(self.name, ProbeVerdict.PASSED, message, time.monotonic() - started)
