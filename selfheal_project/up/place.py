"""The state folder, the lock on it, and the port."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import tempfile
from pathlib import Path

from selfheal_project.up.errors import StartRefused


def writable_home(home: Path) -> None:
    """Make the state folder, readable for its owner only. Raise StartRefused where files cannot be written."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=home) as file:
            file.write(b"x")
    except OSError as error:
        raise StartRefused(
            f"The state folder {home} cannot be written ({error.strerror}); "
            "mend its permissions or set SELFHEAL_HOME to another folder."
        ) from error


class HomeLock:
    """At most one Selfheal runs on a state folder; the operating system frees the lock with the process."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Raise StartRefused while another process holds it."""
        descriptor = os.open(self._home / "selfheal.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise StartRefused(
                f"Selfheal already runs here (pid {holder}); stop it, or set SELFHEAL_HOME to another folder "
                "and PORT to another port."
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_REASONS = {
    errno.EADDRINUSE: "is taken by another program; stop that one or set PORT to a free port",
    errno.EACCES: "may not be used by this user; set PORT to a port above 1023",
    errno.EADDRNOTAVAIL: "cannot be used: this machine has no such address; set SELFHEAL_BIND to one it has",
}


def bound_socket(address: str, port: int) -> socket.socket:
    """A TCP socket that nobody else can take any more. Raise StartRefused where the port cannot be had."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise StartRefused(
            f"SELFHEAL_BIND={address!r} is no address of this machine ({error.strerror}); write one such as 127.0.0.1."
        ) from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(place)
        listener.listen(128)
    except OSError as error:
        listener.close()
        reason = _REASONS.get(
            error.errno or 0, f"cannot be used ({error.strerror}); set PORT to another port"
        )
        raise StartRefused(f"Port {port} on {address} {reason}.") from error
    return listener


def port_is_free(address: str, port: int) -> None:
    """Raise StartRefused unless a server could listen there now."""
    bound_socket(address, port).close()
