"""Connected sockets to an engine: unix, tcp, TLS, and ssh (through the `ssh` command, as `docker` does)."""

from __future__ import annotations

import contextlib
import io
import math
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from typing import IO, Any

from healing.core.errors import EngineRefused, PluginError
from healing.core.ports import EngineConfig
from healing.engines.address import Address, parse_address
from healing.engines.docker_errors import transport_error
from healing.engines.docker_ssh_errors import ssh_error
from healing.engines.docker_tls import tls_context

BUFFER = 65536


class TimedSocket:
    """A connected socket with one time limit for all that follows, not one for each read.

    Looks enough like a socket for http.client and urllib3. `on_idle`, where set, is asked each time the peer
    has been silent for the limit: it returns to go on waiting, or raises.
    """

    def __init__(self, sock: socket.socket, on_close: Callable[[], None] | None = None) -> None:
        self._sock = sock
        self._on_close = on_close
        self.last_moment = math.inf
        self._deadline = math.inf
        self._users = 1
        self._lock = threading.Lock()
        self._closed = False
        self.idle_timeout = 0.0
        self.on_idle: Callable[[], None] | None = None

    def settimeout(self, seconds: float | None) -> None:
        """From now on, everything together may take `seconds`, and never go past `last_moment`."""
        self._deadline = self.last_moment
        if seconds is not None:
            self._deadline = min(self.last_moment, time.monotonic() + seconds)

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._remaining())
        try:
            self._sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            self._raise_alert()
            raise

    def recv_into(self, buffer: Any) -> int:
        while True:
            self._sock.settimeout(self.idle_timeout if self.on_idle else self._remaining())
            try:
                return self._sock.recv_into(buffer)
            except TimeoutError:
                if self.on_idle is None:
                    raise
                self.on_idle()

    def makefile(self, mode: str = "rb", buffering: int | None = None) -> io.BufferedReader:
        with self._lock:
            self._users += 1
        return io.BufferedReader(_Reader(self), BUFFER)

    def fileno(self) -> int:
        return self._sock.fileno()

    def shutdown(self, how: int = socket.SHUT_RDWR) -> None:
        """Wake whoever is blocked reading; harmless on a closed socket."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, how)  # an SSLSocket's own drops its TLS state under the reader

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.release()

    def release(self) -> None:
        """The socket itself and each of its files count as users; the last one closes it."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
        self._sock.close()
        if self._on_close is not None:
            self._on_close()

    def _raise_alert(self) -> None:
        """Raise what the peer of a TLS connection said before it hung up: with TLS 1.3 it judges us after the handshake."""
        if isinstance(self._sock, ssl.SSLSocket):
            with contextlib.suppress(ConnectionError, TimeoutError, ssl.SSLEOFError):
                self._sock.recv(1)

    def _remaining(self) -> float | None:
        if self._deadline == math.inf:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


class _Reader(io.RawIOBase):
    def __init__(self, sock: TimedSocket) -> None:
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._sock.release()


class Connector:
    """Makes connections to one engine. Every failure is a PluginError; nothing is kept open here."""

    def __init__(self, config: EngineConfig) -> None:
        self.address: Address = parse_address(config.address)
        self.timeout = config.timeout
        self._config = config
        self._tls: ssl.SSLContext | None = None

    def connect(self, timeout: float) -> TimedSocket:
        """A connection made within `timeout` seconds, with that as its time limit for now."""
        try:
            connected = self._connect(timeout)
        except (OSError, PluginError) as error:
            raise transport_error(self.address, error, timeout) from error
        connected.settimeout(timeout)
        return connected

    def _connect(self, timeout: float) -> TimedSocket:
        if self.address.scheme == "ssh":
            return _ssh_socket(self.address, timeout)
        if self.address.scheme == "unix":
            return TimedSocket(_unix_socket(self.address.path, timeout))
        sock = socket.create_connection((self.address.host, self.address.port), timeout)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return TimedSocket(self._secured(sock))

    def _secured(self, sock: socket.socket) -> socket.socket:
        try:
            context = self._tls_context()
            return sock if context is None else context.wrap_socket(sock, server_hostname=self.address.host)
        except BaseException:
            sock.close()
            raise

    def _tls_context(self) -> ssl.SSLContext | None:
        if self._tls is None:
            self._tls = tls_context(self._config)
        return self._tls


def _unix_socket(path: str, timeout: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


def _ssh_socket(address: Address, timeout: float) -> TimedSocket:
    """A socket to the engine's standard input and output over ssh, proven by one ping so that it is truly connected.

    The docker package's own ssh transport reads from pipes, on which no time limit holds.
    """
    complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the connection, by _end
    ours, theirs = socket.socketpair()
    pipe = theirs.fileno()
    try:
        process = subprocess.Popen(_ssh_command(address, timeout), stdin=pipe, stdout=pipe, stderr=complaints)
    except FileNotFoundError as error:
        ours.close()
        complaints.close()
        raise EngineRefused("the `ssh` command is not installed here: install OpenSSH's client") from error
    finally:
        theirs.close()
    connected = TimedSocket(ours, lambda: _end(process, complaints))
    connected.settimeout(timeout)
    try:
        _prove(connected)
    except OSError as error:
        complaint = _complaint(process, complaints)
        connected.close()
        if complaint is None:
            raise
        said = str(error) if isinstance(error, _EndedError) else ""
        raise ssh_error(address, complaint or said, process.returncode) from error
    return connected


class _EndedError(ConnectionResetError):
    """ssh's connection ended, or brought no engine's answer; the text is what it brought."""


def _ssh_command(address: Address, timeout: float) -> list[str]:
    command = ["ssh", "-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={max(1, math.ceil(timeout))}"]
    command += ["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=2"]
    command += ["-l", address.user] if address.user else []
    command += ["-p", str(address.port)] if address.port else []
    return [*command, "--", address.host, "docker", "system", "dial-stdio"]


def _prove(connected: TimedSocket) -> None:
    """Send GET /_ping and read its answer's head and two-byte body; raise OSError when none comes."""
    connected.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
    seen, byte = b"", bytearray(1)
    while not seen.endswith(b"\r\n\r\nOK"):
        if connected.recv_into(byte) == 0 or len(seen) > 8192:
            raise _EndedError(seen.decode("utf-8", "replace"))
        seen += bytes(byte)


def _complaint(process: subprocess.Popen[bytes], complaints: IO[bytes]) -> str | None:
    """What ssh wrote to stderr if it has ended or is about to; None while it runs."""
    try:
        process.wait(0.5)
    except subprocess.TimeoutExpired:
        return None
    complaints.seek(0)
    return complaints.read(4096).decode("utf-8", "replace")


def _end(process: subprocess.Popen[bytes], complaints: IO[bytes]) -> None:
    """End ssh without waiting for it: a thread collects it."""
    complaints.close()
    if process.poll() is None:
        process.terminate()
        threading.Thread(target=process.wait, name="ssh-reaper", daemon=True).start()
