"""Installs, on Debian and as root, what the tests need and the machine lacks: `python -m tests.testbed.install`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

from tests.testbed.paths import IN_CI, faketime_library, postgres_program, program, rabbitmq_program
from tests.testbed.shared import DOCKER, POSTGRES, REDIS


def _static_busybox() -> str | None:
    path = program("busybox")
    if path is None:
        return None
    with open(path, "rb") as file:
        return None if b"/ld-linux" in file.read(4096) or b"/ld-musl" in file.read(4096) else path


def _has(name: str) -> Callable[[], str | None]:
    return lambda: program(name)


# Debian package: how to see that it is there, and the variable that makes it unnecessary.
NEEDED: dict[str, tuple[Callable[[], str | None], str]] = {
    "docker.io": (_has("dockerd"), DOCKER),
    "iproute2": (_has("ip"), DOCKER),
    "iptables": (_has("iptables"), DOCKER),
    "busybox-static": (_static_busybox, ""),
    "redis-server": (_has("redis-server"), REDIS),
    "rabbitmq-server": (lambda: rabbitmq_program("rabbitmq-server"), ""),
    "postgresql": (lambda: postgres_program("initdb"), POSTGRES),
    "chromium": (_has("chromium"), ""),
    "debootstrap": (_has("debootstrap"), ""),
    "faketime": (faketime_library, ""),
    "docker-compose": (_has("docker-compose"), ""),
    "openssh-client": (_has("ssh"), ""),
    "openssh-server": (_has("sshd"), ""),
    "prometheus-alertmanager": (_has("prometheus-alertmanager"), ""),
}
_TRIES = 3


def missing() -> list[str]:
    """The packages whose program is not there and whose service has no address in the environment."""
    return [
        package
        for package, (find, variable) in NEEDED.items()
        if find() is None and not (variable and os.environ.get(variable))
    ]


def main() -> int:
    """0 when all is there, or when tests may be skipped; 1 when something is missing in CI."""
    packages = missing()
    if not packages:
        return 0
    if os.geteuid() == 0 and program("apt-get"):
        print(f"Installing what the tests need: {', '.join(packages)}", flush=True)
        _apt("update")
        _apt("install", "-y", "--no-install-recommends", *packages)
        packages = missing()
    if packages:
        print(_advice(packages), file=sys.stderr)
    return 1 if packages and IN_CI else 0


def _apt(*arguments: str) -> None:
    """apt-get, without starting the services that packages bring; tried again where a mirror fails or a lock is held."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3", *arguments]
    for remaining in reversed(range(_TRIES)):
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return
        print(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}", file=sys.stderr)
        if remaining:
            time.sleep(5)


def _advice(packages: list[str]) -> str:
    reason = "nothing may be skipped here" if IN_CI else "tests that need them will be skipped"
    return (
        f"Missing for the tests: {', '.join(packages)} ({reason}). Install these Debian packages as root, "
        f"or give the address of a running service in {DOCKER}, {REDIS} or {POSTGRES}."
    )


if __name__ == "__main__":
    sys.exit(main())
