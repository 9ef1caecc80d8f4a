"""Pausing, resuming and running dry whatever a person has named: a container, service, project, host, tenant, or everything."""

from __future__ import annotations

from datetime import datetime

from healing import commands
from healing.models import Controlled, SystemState

Pausable = Controlled
"""SystemState stands for everything."""


def pause(scope: Pausable, until: datetime, reason: str = "") -> None:
    """Neither check nor heal until then. Raise Refused for a time that is over."""
    if isinstance(scope, SystemState):
        commands.pause_everything(until, reason)
    else:
        commands.pause(scope, until, reason)


def resume(scope: Pausable) -> None:
    """End the pause of this scope; one of something wider goes on."""
    if isinstance(scope, SystemState):
        commands.resume_everything()
    else:
        commands.resume(scope)


def set_dry_run(scope: Pausable, on: bool) -> None:
    """Switch the dry run of this scope; one of something wider goes on."""
    if isinstance(scope, SystemState):
        commands.set_dry_run_of_everything(on)
        scope.dry_run = on
    else:
        commands.set_dry_run(scope, on)
