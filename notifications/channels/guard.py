"""Where a channel may connect to, checked at the moment of connecting, for libraries too that open their own sockets.

`with guarded(policy):` puts everything that the block does in its thread or task under the policy, and so the threads it
starts, the work it submits to thread pools, and the asyncio tasks it creates. The very address that is connected to is
judged: a name is resolved first and the socket is then given the address, so that it cannot change in between. Proxies
from the environment are left aside meanwhile, because a proxy would connect on our behalf and is not asked this.

The methods of `socket.socket` are replaced for that, once for the process; outside of such a block they do as before.
Not covered is what does not go through `socket.socket`: other programs, libraries in C that connect by themselves,
`_thread.start_new_thread`, and an event loop other than asyncio's own.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import thread as pool
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from ipaddress import ip_address
from typing import Any, TypeVar

from notifications.channels.stores import never_called, own_stores
from notifications.core.addresses import Policy, judge_address
from notifications.core.errors import PermanentError

__all__ = ["Policy", "RefusedAddress", "Watch", "current", "guarded", "never_called", "own_stores"]

T = TypeVar("T")
_SPELLINGS = {"": "0.0.0.0", "<broadcast>": "255.255.255.255"}
_WITH_GETPROXIES = ("urllib.request", "requests.compat", "requests.utils", "httpx._utils")
_installing = threading.Lock()
_installed = threading.Event()


class RefusedAddress(PermanentError):
    """The policy forbids an address; the text names the host, the address and why."""

    def __init__(self, host: str, reason: str, address: str = "") -> None:
        what = f"it leads to {address}, which {reason}" if address not in ("", host) else f"it {reason}"
        super().__init__(f"{host} must not be called: {what}")
        self.host = host
        self.reason = reason


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """A policy in force, and what it has refused so far, also where a library has swallowed the error."""

    policy: Policy
    refusals: list[RefusedAddress] = field(default_factory=list)

    def check(self, host: str, address: str, port: int) -> None:
        """Raise RefusedAddress where `host`, which has been resolved to `address`, may not be called."""
        policy = self.policy
        reason = judge_address(address, port, allow_private=policy.allow_private, refused=policy.refused)
        if (host.lower().rstrip("."), port) in policy.refused or self._is_own_store(address, port):
            reason = "is one of Selfheal's own stores or engines, which are never called"
        if reason is not None:
            self.refuse(RefusedAddress(host, reason, address))

    def _is_own_store(self, address: str, port: int) -> bool:
        """A store on loopback mostly listens on all other addresses of this machine too."""
        local = any(its == port and _is_loopback(host) for host, its in self.policy.refused)
        return local and _is_of_this_machine(address)

    def check_path(self, path: str) -> None:
        """The same for a Unix socket: it is this machine's, as loopback is."""
        if (path, 0) in self.policy.refused:
            self.refuse(
                RefusedAddress(path, "is one of Selfheal's own stores or engines, which are never called")
            )
        if not self.policy.allow_private:
            self.refuse(
                RefusedAddress(path, "is of this machine, and this channel may not call private addresses")
            )

    def refuse(self, refusal: RefusedAddress) -> None:
        self.refusals.append(refusal)
        raise refusal


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_of_this_machine(address: str) -> bool:
    """Whether a socket can be bound to it; nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


_watch: ContextVar[Watch | None] = ContextVar("selfheal_address_policy", default=None)


def current() -> Watch | None:
    """The policy in force here, None outside of every `guarded` block."""
    return _watch.get()


@contextmanager
def guarded(policy: Policy) -> Iterator[Watch]:
    """Put the block under `policy`, and under those of the blocks around it.

    Raise RefusedAddress at the latest at its end when something in it was refused, whatever a library made of that.
    """
    _install()
    outer = _watch.get()
    watch = Watch(policy if outer is None else policy.within(outer.policy))
    token = _watch.set(watch)
    try:
        yield watch
    except Exception as error:
        if watch.refusals:
            raise watch.refusals[0] from error
        raise
    finally:
        _watch.reset(token)
    if watch.refusals:
        raise watch.refusals[0]


def _install() -> None:
    """Replace the methods, once."""
    with _installing:
        if _installed.is_set():
            return
        for name, place in (("connect", 0), ("connect_ex", 0), ("sendto", -1), ("sendmsg", 3)):
            setattr(socket.socket, name, _checking(getattr(socket.socket, name), place))
        for owner, name, inheriting in (
            (threading.Thread, "start", _inheriting_start),
            (ThreadPoolExecutor, "submit", _inheriting_submit),
        ):
            setattr(owner, name, inheriting(getattr(owner, name)))
        _hide_proxies()
        _installed.set()


def _checking(original: Callable[..., T], place: int) -> Callable[..., T]:
    """A method of a socket whose argument at `place` is the address, if it is given."""

    @wraps(original)
    def method(self: socket.socket, *args: Any) -> T:
        watch = _watch.get()
        if watch is None or not args or len(args) <= place or args[place] is None:
            return original(self, *args)
        changed = list(args)
        changed[place] = _allowed(watch, self, args[place])
        return original(self, *changed)

    return method


def _allowed(watch: Watch, sock: socket.socket, address: Any) -> Any:
    """The address to be given to the system in place of `address`: resolved, and allowed."""
    if sock.family == socket.AF_UNIX:
        watch.check_path(os.fsdecode(bytes(address) if isinstance(address, bytearray) else address))
        return address
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        watch.refuse(RefusedAddress(repr(address), "is neither IPv4, IPv6 nor a Unix socket"))
    host, port, *rest = address
    if not isinstance(host, str):
        host = bytes(host).decode("idna")
    ip = _resolved(sock, _SPELLINGS.get(host, host), port)
    watch.check(host or ip, ip, port)
    return (ip, port, *rest)


def _resolved(sock: socket.socket, host: str, port: int) -> str:
    """Octal, hexadecimal and shortened spellings are the resolver's business, as they are without us."""
    try:
        return str(ip_address(host))
    except ValueError:
        return str(socket.getaddrinfo(host, port, sock.family, sock.type)[0][4][0])


def _inheriting_start(original: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    """A pool's threads serve all its callers: there it is the work that carries the policy."""

    @wraps(original)
    def start(self: threading.Thread) -> None:
        watch = _watch.get()
        if watch is not None and getattr(self, "_target", None) is not pool._worker:
            vars(self)["run"] = _under(watch, self.run)
        original(self)

    return start


def _inheriting_submit(original: Callable[..., Future[T]]) -> Callable[..., Future[T]]:
    @wraps(original)
    def submit(
        self: ThreadPoolExecutor, function: Callable[..., T], /, *args: Any, **named: Any
    ) -> Future[T]:
        watch = _watch.get()
        return original(self, function if watch is None else _under(watch, function), *args, **named)

    return submit


def _under(watch: Watch, function: Callable[..., T]) -> Callable[..., T]:
    """The function, to be run in another thread under this policy."""

    def run(*args: Any, **named: Any) -> T:
        token = _watch.set(watch)
        try:
            return function(*args, **named)
        finally:
            _watch.reset(token)

    return run


def _hide_proxies() -> None:
    """Where `urllib`, `requests` and `httpx` look for the environment's proxies, they find none under a policy."""
    original = urllib.request.getproxies

    @wraps(original)
    def getproxies() -> dict[str, str]:
        return original() if _watch.get() is None else {}

    for name in _WITH_GETPROXIES:
        module = sys.modules.get(name)
        if module is not None and hasattr(module, "getproxies"):
            setattr(module, "getproxies", getproxies)  # noqa: B010 - a module's attribute, unknown to the type checker
