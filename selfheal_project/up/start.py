"""The order of the start: refuse early, prepare, tell what was found, run."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from pathlib import Path

from django.conf import settings

from selfheal_project import env
from selfheal_project.beat_schedule import ensure_schedule
from selfheal_project.up.admin_user import NAME, ensure_admin
from selfheal_project.up.broker import look_for_broker
from selfheal_project.up.database import describe, migrate
from selfheal_project.up.errors import StartRefused
from selfheal_project.up.hosts import ensure_hosts
from selfheal_project.up.place import HomeLock, bound_socket, port_is_free, writable_home

Write = Callable[[str], object]


def start(write: Write) -> int:
    """Run Selfheal until it is told to stop; return the exit status. Raise StartRefused with one sentence."""
    home: Path = settings.SELFHEAL_HOME
    address, port = os.environ.get("SELFHEAL_BIND", "").strip() or "127.0.0.1", _port("PORT", 8000)
    writable_home(home)
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    lock = HomeLock(home)
    lock.acquire()
    try:
        run = _run_embedded if settings.EMBEDDED else _run_processes
        return run(write, home, address, port)
    finally:
        lock.release()


def _port(variable: str, default: int) -> int:
    value = env.number(variable, default, 1, 65535)
    if value != int(value):
        raise StartRefused(f"{variable}={value:g} is no port; write a whole number from 1 to 65535.")
    return int(value)


def _run_embedded(write: Write, home: Path, address: str, port: int) -> int:
    listener = bound_socket(address, port)
    try:
        _prepare(write, home, address, port)
        from healing.store import heals
        from selfheal_project import embedded

        heals.end_leases_of_dead_process()

        return embedded.run(listener)
    finally:
        listener.close()


def _run_processes(write: Write, home: Path, address: str, port: int) -> int:
    from selfheal_project import processes

    flower_port = _port("SELFHEAL_FLOWER_PORT", 5555)
    password, told = processes.flower_password(home)
    port_is_free(address, port)
    port_is_free("127.0.0.1", flower_port)
    broker = look_for_broker()
    _prepare(write, home, address, port)
    write(f"  broker    {broker}")
    write(f"  flower    http://127.0.0.1:{flower_port}/  user {processes.FLOWER_USER}, {told}")
    return processes.run(processes.programs(address, port, flower_port, password))


def _prepare(write: Write, home: Path, address: str, port: int) -> None:
    migrate()
    password = ensure_admin(home)
    ensure_schedule()
    found = ensure_hosts(home)
    write("Selfheal")
    for number, line in enumerate(found):
        write(f"  {'' if number else 'engine':<9} {line}")
    write(f"  database  {describe()}")
    write(f"  admin     {_url(address, port)}/admin/  user {NAME}, {password}")
    write(f"  stop      Ctrl-C, or kill {os.getpid()}")
    if not _is_loopback(address) and not os.environ.get("SELFHEAL_ALLOWED_HOSTS"):
        write("  note      set SELFHEAL_ALLOWED_HOSTS to the names under which others ask for the pages")


def _url(address: str, port: int) -> str:
    if address in ("0.0.0.0", "::"):
        address = "127.0.0.1"
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
