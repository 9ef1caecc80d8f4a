"""What a supervised process is: its command and how it is checked and stopped. Parsed strictly from JSON."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import PurePath
from typing import Any

from healing.core.errors import ConfigError
from healing.core.types import HealthCommand, RestartPolicy

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_POLICIES = ("no", "on-failure", "always", "unless-stopped")
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process. `env` comes on top of PATH, HOME, LANG, TMPDIR and TZ; nothing else is inherited."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    restart_policy: RestartPolicy = field(default_factory=RestartPolicy)
    healthcheck: HealthCommand = field(default_factory=HealthCommand)
    stop_signal: str = "SIGTERM"
    stop_timeout: float | None = None
    image: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                "name", f"{self.name!r} cannot be a name: write letters, digits, '.', '_' and '-'"
            )
        if not self.argv or not self.argv[0]:
            raise ConfigError("argv", "empty: write the command as a list, program first")
        if self.restart_policy.name not in _POLICIES:
            raise ConfigError(
                "restart_policy", f"unknown policy {self.restart_policy.name!r}: {', '.join(_POLICIES)}"
            )
        if not hasattr(signal, self.stop_signal) or not self.stop_signal.startswith("SIG"):
            raise ConfigError(
                "stop_signal", f"unknown signal {self.stop_signal!r}: write a name such as SIGTERM"
            )

    @property
    def image_name(self) -> str:
        """What stands where an engine shows an image: the program's name, unless given."""
        return self.image or PurePath(self.argv[0]).name

    @property
    def stop_number(self) -> int:
        return int(signal.Signals[self.stop_signal])

    def environment(self) -> dict[str, str]:
        """The process's environment: never the secrets of ours."""
        return {**base_environment(), **self.env}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def base_environment() -> dict[str, str]:
    """What every process inherits of our environment."""
    return {key: os.environ[key] for key in _INHERITED if key in os.environ}


def parse_spec(body: object) -> ProcessSpec:
    """From decoded JSON; raise ConfigError that names an unknown or malformed field."""
    if not isinstance(body, dict):
        raise ConfigError("spec", 'no object: write {"name": …, "argv": […]}')
    unknown = set(body) - {part.name for part in fields(ProcessSpec)}
    if unknown:
        raise ConfigError(sorted(unknown)[0], "unknown field: remove it")
    values = dict(body)
    try:
        values["argv"] = tuple(str(part) for part in values["argv"])
        values["restart_policy"] = RestartPolicy(**values.get("restart_policy", {}))
        check = dict(values.get("healthcheck", {}))
        values["healthcheck"] = HealthCommand(**{**check, "argv": tuple(check.get("argv", ()))})
        return ProcessSpec(**values)
    except (TypeError, KeyError, AttributeError) as error:
        raise ConfigError("spec", f"malformed: {error}") from error
