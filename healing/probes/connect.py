"""Connecting to a container, and what a connection that fails says about it: failed, or unknown because we could not look."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
from collections.abc import Sequence
from functools import lru_cache

from healing.core.types import ProbeVerdict
from healing.probes.threads import call_in_thread

_FAILED_ERRNOS = frozenset(
    {errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ETIMEDOUT}
)


class ConnectFailedError(Exception):
    """No connection: `verdict` is failed where the peer is to blame, else unknown; the text says why."""

    def __init__(self, verdict: ProbeVerdict, message: str) -> None:
        super().__init__(message)
        self.verdict = verdict
        self.message = message


def judge_os_error(error: OSError) -> ProbeVerdict:
    """Refused, reset and timed out are the peer's failure; no route, no descriptors left and the like are ours."""
    if error.errno in _FAILED_ERRNOS or isinstance(error, ConnectionError):
        return ProbeVerdict.FAILED
    return ProbeVerdict.UNKNOWN


def show_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def open_socket(host: str, addresses: Sequence[str], port: int, timeout: float) -> socket.socket:
    """Connect to `host`, or to the first of `addresses` that accepts when it is empty.

    Each address may take its share of `timeout` seconds. The socket is non-blocking and the caller's to close.
    Raise ConnectFailedError.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    numeric = await _numeric_addresses(host, addresses, port, timeout)
    problems: list[ConnectFailedError] = []
    for left, address in zip(range(len(numeric), 0, -1), numeric, strict=True):
        try:
            return await _connect(address, port, max(0.001, (end - loop.time()) / left))
        except ConnectFailedError as problem:
            problems.append(problem)
    blamed = [problem for problem in problems if problem.verdict is ProbeVerdict.FAILED]
    raise ConnectFailedError(
        ProbeVerdict.FAILED if blamed else ProbeVerdict.UNKNOWN,
        "; ".join(problem.message for problem in blamed or problems),
    )


async def _numeric_addresses(host: str, addresses: Sequence[str], port: int, timeout: float) -> list[str]:
    if host:
        return await _resolve(host, port, timeout)
    usable = [address for address in addresses if _is_numeric(address)]
    if not usable:
        raise ConnectFailedError(ProbeVerdict.UNKNOWN, "the container has no IP address that could be asked")
    return usable


async def _resolve(host: str, port: int, timeout: float) -> list[str]:
    """Addresses of a name, without repetition, in the resolver's order. The resolver blocks, hence the thread."""
    if _is_numeric(host):
        return [host]
    try:
        async with asyncio.timeout(timeout):
            found = await call_in_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except TimeoutError:
        raise ConnectFailedError(
            ProbeVerdict.UNKNOWN, f"the name {host!r} was not resolved in time"
        ) from None
    except (OSError, UnicodeError, RuntimeError) as error:
        raise ConnectFailedError(
            ProbeVerdict.UNKNOWN, f"the name {host!r} does not resolve: {error}"
        ) from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@lru_cache(maxsize=16_384)
def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _connect(address: str, port: int, timeout: float) -> socket.socket:
    where = show_address(address, port)
    try:
        connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectFailedError(ProbeVerdict.UNKNOWN, f"no socket could be opened: {error}") from None
    try:
        await _connect_socket(connection, address, port, timeout)
    except BaseException as error:
        connection.close()
        if isinstance(error, TimeoutError):
            message = f"{where} did not accept a connection within {timeout:.3g} s"
            raise ConnectFailedError(ProbeVerdict.FAILED, message) from None
        if isinstance(error, OSError):
            raise ConnectFailedError(judge_os_error(error), f"{where}: {_reason(error)}") from None
        raise
    return connection


async def _connect_socket(connection: socket.socket, address: str, port: int, timeout: float) -> None:
    connection.setblocking(False)
    async with asyncio.timeout(timeout):
        await asyncio.get_running_loop().sock_connect(connection, (address, port))
    if connection.getsockname() == connection.getpeername():
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)
