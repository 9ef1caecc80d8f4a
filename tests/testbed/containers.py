"""Containers of one test: named with its prefix, and removed with it."""

from __future__ import annotations

import contextlib
import os
import signal
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import docker

from tests.testbed import faults
from tests.testbed.images import ensure_image
from tests.testbed.wait import until

Healthcheck = Mapping[str, Any]
_NANOSECONDS = 1_000_000_000


def healthcheck(
    test: Sequence[str], interval: float = 0.5, timeout: float = 2, retries: int = 1, start_period: float = 0
) -> dict[str, Any]:
    """A HEALTHCHECK in the engine's form; times in seconds."""
    return {
        "test": list(test),
        "interval": int(interval * _NANOSECONDS),
        "timeout": int(timeout * _NANOSECONDS),
        "retries": retries,
        "start_period": int(start_period * _NANOSECONDS),
    }


class _Seen:
    """True when the health is the expected one; shows the whole state when it is not in time."""

    def __init__(self, state: dict[str, Any], expected: str) -> None:
        self.state, self.expected = state, expected

    def __bool__(self) -> bool:
        return bool((self.state.get("Health") or {}).get("Status") == self.expected)

    def __repr__(self) -> str:
        return repr(self.state)


class Containers:
    """Starts, asks, breaks and finally removes the containers of one test on one engine."""

    def __init__(self, host: str, prefix: str | None = None) -> None:
        self.host = host
        self.prefix = prefix or f"t{uuid.uuid4().hex[:8]}"
        self.client = docker.APIClient(base_url=host, version="auto", timeout=60)
        self._ids: list[str] = []

    def name(self, name: str) -> str:
        """The full name that `run(name=name)` gives."""
        return f"{self.prefix}-{name}"

    def create(
        self,
        name: str = "c",
        command: Sequence[str] = tuple(faults.IDLE),
        labels: Mapping[str, str] | None = None,
        healthcheck: Healthcheck | None = None,
        restart_policy: str = "no",
        max_retries: int = 0,
        create: Mapping[str, Any] | None = None,
        **host_config: Any,
    ) -> str:
        """Create without starting; the container's id. `create` holds further options of create_container."""
        policy = {"Name": restart_policy, "MaximumRetryCount": max_retries}
        answer = self.client.create_container(
            ensure_image(self.client),
            list(command),
            name=self.name(name),
            labels=dict(labels or {}),
            healthcheck=dict(healthcheck) if healthcheck else None,
            host_config=self.client.create_host_config(restart_policy=policy, **host_config),
            **dict(create or {}),
        )
        self._ids.append(answer["Id"])
        return str(answer["Id"])

    def run(self, name: str = "c", command: Sequence[str] = tuple(faults.IDLE), **options: Any) -> str:
        """Create and start; the container's id. Options as for `create`."""
        container = self.create(name, command, **options)
        self.client.start(container)
        return container

    def run_web(
        self, name: str = "web", check: Sequence[str] = tuple(faults.HEALTH_FILE), **options: Any
    ) -> str:
        """A web server on port 8080 whose HEALTHCHECK has passed."""
        options.setdefault("healthcheck", healthcheck(check))
        container = self.run(name, faults.WEB, **options)
        self.wait_health(container, "healthy")
        return container

    def state(self, container: str) -> dict[str, Any]:
        """The `State` of inspect."""
        return dict(self.client.inspect_container(container)["State"])

    def health(self, container: str) -> str:
        """starting, healthy or unhealthy; "none" without a HEALTHCHECK."""
        return str((self.state(container).get("Health") or {}).get("Status", "none"))

    def started_at(self, container: str) -> str:
        return str(self.state(container)["StartedAt"])

    def address(self, container: str) -> str:
        """The container's IP address, reachable from this machine."""
        networks = self.client.inspect_container(container)["NetworkSettings"]["Networks"]
        return next((str(n["IPAddress"]) for n in networks.values() if n["IPAddress"]), "")

    def exec(self, container: str, command: Sequence[str]) -> tuple[int, str]:
        """Run a command in the container: its exit code and output."""
        identity = self.client.exec_create(container, list(command))["Id"]
        output = self.client.exec_start(identity)
        return int(self.client.exec_inspect(identity)["ExitCode"]), output.decode(errors="replace")

    def kill_from_outside(self, container: str, number: int = signal.SIGKILL) -> None:
        """Signal the main process past the engine, as the kernel does; needs root and a local engine.

        Raise ProcessLookupError where it has ended: its id is 0 then, which would mean our own process group.
        """
        pid = int(self.state(container)["Pid"])
        if pid <= 0:
            raise ProcessLookupError(f"{container[:12]} has no process")
        os.kill(pid, number)

    def wait_health(self, container: str, status: str, timeout: float = 20) -> None:
        until(
            lambda: _Seen(self.state(container), status), timeout, f"health of {container[:12]} is {status}"
        )

    def wait_status(self, container: str, status: str, timeout: float = 20) -> None:
        """`status` as in State.Status: running, exited, paused, restarting, dead …"""
        until(lambda: self.state(container)["Status"] == status, timeout, f"{container[:12]} is {status}")

    def adopt(self, container: str) -> None:
        """Remove this container too at the end."""
        self._ids.append(container)

    def remove_all(self) -> None:
        """Remove every container of this test, also those that others created under its prefix."""
        with contextlib.suppress(Exception):
            listed = self.client.containers(all=True, filters={"name": f"^/{self.prefix}-"})
            self._ids += [entry["Id"] for entry in listed]
        for container in dict.fromkeys(self._ids):
            with contextlib.suppress(Exception):
                self.client.remove_container(container, force=True, v=True)
        self.client.close()
