"""What a fleet is made of. Durations in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast an engine is. The defaults are those of a real one on two cores.

    A restart takes `restart_seconds`, and no two starts of one engine end closer than 1 / `starts_per_second`.
    """

    restart_seconds: float = 0.3
    starts_per_second: float = 3.0
    exec_seconds: float = 0.05

    @property
    def stop_seconds(self) -> float:
        """From the stop signal to the end of a process that obeys it."""
        return self.restart_seconds * 0.15

    @property
    def start_seconds(self) -> float:
        return self.restart_seconds * 0.85


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """`engines` sockets in `folder`, with `containers` running and healthy containers each.

    `address` is the IP address that every container shows, so that probes have something to ask.
    """

    folder: Path
    engines: int = 1
    containers: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    health_interval: float = 30.0
    health_retries: int = 3
    address: str = ""
    pace: Pace = Pace()
    seed: int = 0
