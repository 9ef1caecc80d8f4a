"""The mapping from a restart policy and a HEALTHCHECK to config values."""

from __future__ import annotations

from typing import Any

from healing.core.types import HealthCommand, RestartPolicy

ALWAYS_MAX_RESTARTS = 10


def values_from_restart(policy: str | None, *, written: bool) -> dict[str, Any]:
    """Config values for a restart policy such as "always" or "on-failure:3".

    `written` tells a policy that a person wrote (a Compose file) from the one that the engine fills in: every plain
    `docker run` has "no", and only a written "no" turns auto_restart off.
    """
    name, _, retries = (policy or "").partition(":")
    if name == "no":
        return {"auto_restart": False} if written else {}
    if name in ("always", "unless-stopped"):
        return {"auto_restart": True, "max_restarts": ALWAYS_MAX_RESTARTS}
    if name == "on-failure":
        return {"auto_restart": True} | (
            {"max_restarts": int(retries)} if retries.isdigit() and int(retries) else {}
        )
    return {}


def values_from_healthcheck(
    interval: float | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    start_period: float | None = None,
) -> dict[str, Any]:
    """Config values for a HEALTHCHECK in seconds; what is None or zero is left to the profile."""
    pairs = {
        "check_interval": interval,
        "check_timeout": timeout,
        "failure_threshold": retries,
        "start_period": start_period,
    }
    return {name: value for name, value in pairs.items() if value}


def values_from_engine(policy: RestartPolicy, command: HealthCommand) -> dict[str, Any]:
    """Config values for a container found on an engine."""
    text = f"{policy.name}:{policy.maximum_retry_count}" if policy.maximum_retry_count else policy.name
    values = values_from_restart(text, written=False)
    if command.argv:
        values |= values_from_healthcheck(
            command.interval, command.timeout, command.retries, command.start_period
        )
    return values
