"""Which request goes where, and the answers that are no streams."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from benchmarks.fleet import http, payloads
from benchmarks.fleet.container import Container, now
from benchmarks.fleet.creating import new_container
from benchmarks.fleet.errors import Refusal
from benchmarks.fleet.listing import chosen
from benchmarks.fleet.signal_names import signal_name
from benchmarks.fleet.streams import exec_create, exec_inspect, exec_start, open_events

if TYPE_CHECKING:
    from benchmarks.fleet.endpoint import Exchange

Work = Awaitable[bytes]
Handler = Callable[["Exchange", str], Work | None]

_NO_CONTENT = http.answer(204)
_VERSION = http.answer(200, payloads.encode(payloads.VERSION))
_PONG = http.answer(200, b"OK", "text/plain; charset=utf-8")


def ok(body: bytes) -> bytes:
    return http.answer(200, body)


def ping(exchange: Exchange, _: str) -> None:
    exchange.reply(_PONG)


def version(exchange: Exchange, _: str) -> None:
    exchange.reply(_VERSION)


def info(exchange: Exchange, _: str) -> None:
    world = exchange.world
    exchange.reply(ok(payloads.info(world.name, world.states(), len(world.events.listeners), now())))


def list_containers(exchange: Exchange, _: str) -> None:
    query = exchange.request.query
    if is_true(query.get("all")) and not query.get("filters"):
        exchange.reply(exchange.world.list_all(ok))
    else:
        exchange.reply(ok(exchange.world.rows(chosen(exchange.world.containers.values(), query))))


def inspect(exchange: Exchange, name: str) -> None:
    exchange.reply(ok(payloads.inspect(exchange.world.find(name), now())))


def logs(exchange: Exchange, name: str) -> None:
    """The kept lines in frames; `follow`, `since`, `until` and `timestamps` are not simulated."""
    container, query = exchange.world.find(name), exchange.request.query
    wanted = {number for number, key in ((1, "stdout"), (2, "stderr")) if is_true(query.get(key))}
    lines = [(stream, text) for stream, text in container.log or () if stream in wanted]
    tail = query.get("tail", "all")
    if tail.isdigit():
        lines = lines[-int(tail) :] if int(tail) else []
    body = b"".join(http.frame(stream, text.encode()) for stream, text in lines)
    exchange.reply(http.answer(200, body, "application/octet-stream"))


async def create(exchange: Exchange, _: str) -> bytes:
    container = new_container(exchange.request.query.get("name", ""), exchange.request.json())
    exchange.world.create(container)
    return http.answer(201, payloads.encode({"Id": container.id, "Warnings": []}))


async def start(exchange: Exchange, name: str) -> bytes:
    await exchange.world.life.start(exchange.world.find(name))
    return _NO_CONTENT


async def stop(exchange: Exchange, name: str) -> bytes:
    await exchange.world.life.stop(exchange.world.find(name), stop_timeout(exchange))
    return _NO_CONTENT


async def restart(exchange: Exchange, name: str) -> bytes:
    await exchange.world.life.restart(exchange.world.find(name), stop_timeout(exchange))
    return _NO_CONTENT


async def kill(exchange: Exchange, name: str) -> bytes:
    container = exchange.world.find(name)
    asked = exchange.request.query.get("signal") or "SIGKILL"
    signal = signal_name(asked)
    if not signal:
        raise Refusal(400, f"Invalid signal: {asked}")
    await exchange.world.life.kill(container, signal)
    return _NO_CONTENT


async def pause(exchange: Exchange, name: str) -> bytes:
    exchange.world.life.pause(exchange.world.find(name))
    return _NO_CONTENT


async def unpause(exchange: Exchange, name: str) -> bytes:
    exchange.world.life.unpause(exchange.world.find(name))
    return _NO_CONTENT


async def rename(exchange: Exchange, name: str) -> bytes:
    exchange.world.rename(exchange.world.find(name), exchange.request.query.get("name", ""))
    return _NO_CONTENT


async def remove(exchange: Exchange, name: str) -> bytes:
    container: Container = exchange.world.find(name)
    await exchange.world.remove(container, is_true(exchange.request.query.get("force")))
    return _NO_CONTENT


def is_true(value: str | None) -> bool:
    return (value or "").lower() not in ("", "0", "no", "false", "none")


def stop_timeout(exchange: Exchange) -> float | None:
    """The query's `t`; None for the container's own."""
    text = exchange.request.query.get("t", "")
    try:
        return float(int(text)) if text else None
    except ValueError as error:
        raise Refusal(400, f'strconv.Atoi: parsing "{text}": invalid syntax') from error


_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/_ping", ping),
    ("HEAD", "/_ping", ping),
    ("GET", "/version", version),
    ("GET", "/info", info),
    ("GET", "/events", open_events),
    ("GET", "/containers/json", list_containers),
    ("POST", "/containers/create", create),
    ("GET", "/containers/{id}/json", inspect),
    ("GET", "/containers/{id}/logs", logs),
    ("POST", "/containers/{id}/start", start),
    ("POST", "/containers/{id}/stop", stop),
    ("POST", "/containers/{id}/restart", restart),
    ("POST", "/containers/{id}/kill", kill),
    ("POST", "/containers/{id}/pause", pause),
    ("POST", "/containers/{id}/unpause", unpause),
    ("POST", "/containers/{id}/rename", rename),
    ("POST", "/containers/{id}/exec", exec_create),
    ("DELETE", "/containers/{id}", remove),
    ("POST", "/exec/{id}/start", exec_start),
    ("GET", "/exec/{id}/json", exec_inspect),
)
_FIXED = {
    (method, path): (f"{method} {path}", handler) for method, path, handler in _ROUTES if "{" not in path
}
_WITH_ID = tuple(
    (method, re.compile(path.replace("{id}", "([^/]+)")), f"{method} {path}", handler)
    for method, path, handler in _ROUTES
    if "{" in path
)


def find(method: str, path: str) -> tuple[str, Handler, str]:
    """Name, handler and the id in the path ("" for none). Raise Refusal, the engine's 404 for what it does not know."""
    if (method, path) in _FIXED:
        return *_FIXED[method, path], ""
    for wanted, pattern, name, handler in _WITH_ID:
        if wanted == method and (found := pattern.fullmatch(path)):
            return name, handler, found[1]
    raise Refusal(404, "page not found")
