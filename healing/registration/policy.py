"""The restart policy and the health check as Compose writes them, turned into mapped config values."""

from __future__ import annotations

import re
from typing import Any

from healing.core.config import parse_value
from healing.core.duration import parse_duration
from healing.core.errors import ConfigError
from healing.core.mapping import values_from_healthcheck, values_from_restart
from healing.registration.declare import truth
from healing.registration.marked import Map
from healing.registration.rows import Finding, Place, RegistrationError

_RESTART = re.compile(r"no|always|unless-stopped|on-failure(?::[0-9]+)?")
_CONDITIONS = {"none": "no", "any": "always", "on-failure": "on-failure"}
_DURATIONS = {"interval": "check_interval", "timeout": "check_timeout", "start_period": "start_period"}


def restart_text(raw: object, place: Place, field: str = "restart") -> str | None:
    """The policy as text, None where nothing is written. An unquoted `no`, which YAML reads as false, is no."""
    if raw is None or raw == "":
        return None
    text = "no" if raw is False else str(raw).strip()
    if not _RESTART.fullmatch(text):
        raise RegistrationError(
            place,
            field,
            f"{raw!r} is no restart policy; write no, always, unless-stopped, on-failure or on-failure:5",
        )
    return text


def mapped_policy(service: Map) -> dict[str, Any]:
    """Config values from `restart` and `deploy.restart_policy`, which wins, as it does in Compose."""
    values = values_from_restart(restart_text(service.get("restart"), service.at("restart")), written=True)
    deploy = service.get("deploy")
    if not isinstance(deploy, Map) or deploy.get("restart_policy") is None:
        return values
    return _mapped_deploy(deploy["restart_policy"], deploy.at("restart_policy"))


def _mapped_deploy(policy: Any, place: Place) -> dict[str, Any]:
    field = "deploy.restart_policy"
    if not isinstance(policy, Map):
        raise RegistrationError(place, field, "write a mapping with condition and max_attempts")
    condition = policy.get("condition", "any")
    if condition not in _CONDITIONS:
        raise RegistrationError(
            policy.at("condition"),
            f"{field}.condition",
            f"{condition!r} is unknown; write none, on-failure or any",
        )
    values = values_from_restart(_CONDITIONS[condition], written=True)
    attempts = policy.get("max_attempts")
    if attempts is None or condition == "none":
        return values
    count = whole(attempts, policy.at("max_attempts"), f"{field}.max_attempts")
    return values | ({"max_restarts": count} if count else {})


def mapped_healthcheck(check: Any, place: Place, field: str = "healthcheck") -> dict[str, Any]:
    """Config values from a `healthcheck`; none where it is missing, disabled or has the test NONE."""
    if check is None:
        return {}
    if not isinstance(check, Map):
        raise RegistrationError(place, field, "write a mapping with test, interval, timeout and retries")
    if truth(check.get("disable") or False, check.at("disable"), f"{field}.disable"):
        return {}
    if check.get("test") in ("NONE", ["NONE"]):
        return {}
    seconds = {name: _seconds(check, name, field) for name in _DURATIONS}
    retries = check.get("retries")
    return values_from_healthcheck(
        seconds["interval"],
        seconds["timeout"],
        None if retries is None else whole(retries, check.at("retries"), f"{field}.retries"),
        seconds["start_period"],
    )


def _seconds(check: Map, name: str, field: str) -> float | None:
    if check.get(name) is None:
        return None
    try:
        return parse_duration(check[name])
    except ValueError as error:
        raise RegistrationError(check.at(name), f"{field}.{name}", str(error)) from None


def whole(raw: object, place: Place, field: str, highest: int = 1_000_000) -> int:
    """A whole number from 0 up, also from text."""
    text = str(raw).strip()
    if isinstance(raw, bool) or not re.fullmatch(r"[0-9]{1,9}", text) or int(text) > highest:
        raise RegistrationError(
            place, field, f"{raw!r} is not usable; write a whole number from 0 to {highest:,}"
        )
    return int(text)


def usable(values: dict[str, Any], place: Place) -> tuple[dict[str, Any], list[Finding]]:
    """The mapped values that are within our ranges; the others are left to the profile, with a warning."""
    kept: dict[str, Any] = {}
    warnings = []
    for name, value in values.items():
        try:
            kept[name] = parse_value(name, value)
        except ConfigError as error:
            warnings.append(Finding(place, name, f"{error.reason}; the profile's value is used"))
    return kept, warnings
