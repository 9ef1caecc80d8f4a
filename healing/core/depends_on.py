"""What Compose writes of a container's dependencies: `depends_on`, and the label that it makes of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from healing.core.dependencies import OnReturn

STARTED = "service_started"
COMPLETED = "service_completed_successfully"
CONDITIONS = (STARTED, "service_healthy", COMPLETED)


@dataclass(frozen=True, slots=True)
class Need:
    """One service that another depends on, with Compose's condition; `restart`: restarted along with it."""

    service: str
    condition: str = STARTED
    restart: bool = False

    @property
    def on_return(self) -> OnReturn:
        return OnReturn.RESTART if self.restart else OnReturn.HOLD

    @property
    def is_job(self) -> bool:
        """Whether it has to end well, and not to run."""
        return self.condition == COMPLETED


def read_label(text: str) -> list[Need]:
    """What the label says: `service:condition:restart`, separated by commas; what is left out has its default."""
    needs = []
    for part in text.split(","):
        service, _, rest = part.strip().partition(":")
        condition, _, restart = rest.partition(":")
        if service:
            needs.append(Need(service, condition or STARTED, restart.strip().lower() == "true"))
    return needs


def as_label(needs: Iterable[Need]) -> str:
    """The label's text, as Compose writes it."""
    return ",".join(f"{need.service}:{need.condition}:{str(need.restart).lower()}" for need in needs)
