"""The small interfaces behind which the outer world stands. Implementations raise only `healing.core.errors`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from healing.core.types import EngineInfo, Event, ExecResult, ProbeResult, ProbeTarget, Snapshot, Summary


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Where an engine is. `address`: unix:///path, tcp://host:port, ssh://user@host, process://folder or fake://name.

    TLS paths are files on the machine that talks to the engine; empty where unused.
    """

    kind: str
    address: str
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    tls_verify: bool = True
    timeout: float = 10.0


class Engine(Protocol):
    """One container engine. Every call ends within its timeout, even against a peer that accepts and says nothing."""

    def info(self) -> EngineInfo:
        """Raise EngineUnreachable or EngineRefused with a sentence that says what to mend."""

    def list(self) -> Sequence[Summary]:
        """All containers, running or not, in one call."""

    def inspect(self, container_id: str) -> Snapshot:
        """Raise ContainerNotFound for an id (or name) that the engine does not have."""

    def restart(self, container_id: str, stop_timeout: float, deadline: float) -> None:
        """Stop (killing after `stop_timeout`) and start. Raise ActionTimedOut when `deadline` seconds pass unanswered."""

    def start(self, container_id: str, deadline: float) -> None:
        """Start a container that is not running; one that runs already is no error."""

    def recreate(
        self, container_id: str, network_mode: str | None, stop_timeout: float, deadline: float
    ) -> str:
        """Make a container anew under its name, as it was made, and start it; the id of the new one.

        `network_mode` replaces its own where it is given. The old one is stopped (killed after `stop_timeout`), and
        removed at the end; where a step is refused it is put back as it was. What an earlier call has left half-done is
        finished or cleaned up. Raise ActionTimedOut when `deadline` seconds pass and it is not known how far it came.
        """

    def logs(self, container_id: str, tail: int) -> Sequence[str]:
        """The last `tail` lines of stdout and stderr, oldest first, each cut to 1,000 characters."""

    def exec(self, container_id: str, argv: Sequence[str], timeout: float) -> ExecResult:
        """Run a command in the container. Raise TemporaryError when it does not end within `timeout`."""

    def events(self, since: datetime | None, idle_timeout: float) -> Iterator[Event]:
        """Events from `since` on (the engine's clock), oldest first, as they happen, until the stream ends.

        Raise EngineUnreachable when the stream breaks, or when a stream silent for `idle_timeout` turns out dead. An
        `EventStream` says besides until when nothing is missing: without that, an exit of which no event tells is
        judged a minute later.
        """

    def close(self) -> None:
        """Release connections and end a running `events` iterator of this object."""


class Probe(Protocol):
    """One way of asking a container whether it works."""

    @property
    def name(self) -> str:
        """The probe's name, as the results carry it."""

    async def check(self, target: ProbeTarget, timeout: float) -> ProbeResult:
        """Look once, in at most `timeout` seconds. Raises nothing: what cannot be looked at is `unknown`."""
