"""Answers that go on: events, and the output of exec."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.fleet import commands, http
from benchmarks.fleet.commands import NotSimulated, Plan, ProgramNotFound
from benchmarks.fleet.container import NANOSECONDS, Container, now
from benchmarks.fleet.errors import Refusal, not_running
from benchmarks.fleet.events import EventFilter, Listener
from benchmarks.fleet.execs import Exec
from benchmarks.fleet.payloads import encode

if TYPE_CHECKING:
    from benchmarks.fleet.endpoint import Exchange

CANNOT_RUN = 126


def open_events(exchange: Exchange, _: str) -> None:
    """What was since `since`, then what happens, until `until`."""
    query, log = exchange.request.query, exchange.world.events
    try:
        chosen = EventFilter.parse(query.get("filters", ""))
        since, until = (_moment(query.get(key, "")) for key in ("since", "until"))
    except ValueError as error:
        raise Refusal(400, f"invalid filter or time: {error}") from error
    exchange.note(200)
    connection = exchange.connection
    connection.send(http.stream_head())
    listener = Listener(chosen, lambda line: _tell(exchange, line), connection.abort)
    for event in log.since(since, now()) if since is not None else ():
        if until is None or event.at_ns <= until:
            listener.hear(event)
    if until is not None and until <= now():
        exchange.endpoint.when_answering(partial(_finish_events, exchange))
        return
    log.listeners.add(listener)
    connection.on_lost = lambda: log.listeners.discard(listener)
    if until is not None:
        seconds = (until - now()) / NANOSECONDS
        asyncio.get_running_loop().call_later(seconds, _until_reached, exchange, listener)


def _tell(exchange: Exchange, line: bytes) -> None:
    exchange.endpoint.when_answering(lambda: exchange.connection.send(http.chunk(line)))


def _until_reached(exchange: Exchange, listener: Listener) -> None:
    if listener in exchange.world.events.listeners:
        exchange.world.events.listeners.discard(listener)
        exchange.endpoint.when_answering(partial(_finish_events, exchange))


def _finish_events(exchange: Exchange) -> None:
    exchange.connection.reply(http.LAST_CHUNK)


def _moment(text: str) -> int | None:
    """ "seconds.nanoseconds" since 1970, as nanoseconds. Raise ValueError."""
    if not text:
        return None
    seconds, _, fraction = text.partition(".")
    return int(seconds) * NANOSECONDS + int(fraction[:9].ljust(9, "0") if fraction else 0)


async def exec_create(exchange: Exchange, name: str) -> bytes:
    container = exchange.world.find(name)
    _require_running(container)
    body = exchange.request.json()
    argv = tuple(str(word) for word in body.get("Cmd") or ())
    if not argv:
        raise Refusal(400, "No exec command specified")
    attached = {number for number, key in ((1, "AttachStdout"), (2, "AttachStderr")) if body.get(key)}
    made = Exec(container, argv, frozenset(attached))
    exchange.world.execs.add(made)
    return http.answer(201, encode({"Id": made.id}))


def exec_inspect(exchange: Exchange, identity: str) -> None:
    made = exchange.world.execs.find(identity)
    entrypoint, *arguments = made.argv
    process = {"tty": False, "entrypoint": entrypoint, "arguments": arguments, "privileged": False}
    exchange.reply(
        http.answer(
            200,
            encode(
                {
                    "ID": made.id,
                    "Running": made.running,
                    "ExitCode": made.exit_code,
                    "ProcessConfig": process,
                    "OpenStdin": False,
                    "OpenStderr": 2 in made.streams,
                    "OpenStdout": 1 in made.streams,
                    "CanRemove": False,
                    "ContainerID": made.container.id,
                    "DetachKeys": "",
                    "Pid": made.container.pid,
                }
            ),
        )
    )


def exec_start(exchange: Exchange, identity: str) -> None:
    """Begin, and send the output over the connection that is no HTTP any more; or `Detach`."""
    made = exchange.world.execs.find(identity)
    if made.running or made.exit_code is not None:
        raise Refusal(409, f"Error: Exec command {identity} has already run")
    _require_running(made.container)
    detached, plain = (bool(exchange.request.json().get(key)) for key in ("Detach", "Tty"))
    try:
        plan = exchange.world.plan_of(made.container, made.argv)
    except (ProgramNotFound, NotSimulated) as error:
        plan = Plan(((commands.STDOUT, f"{error}\r\n"),), 0.0, CANNOT_RUN)
    made.running = True
    if detached:
        exchange.reply(http.answer(200))
    else:
        exchange.note(200)
        exchange.connection.send(http.hijacked_head("upgrade" in exchange.request.headers))
        exchange.connection.on_lost = None
    send = None if detached else exchange
    exchange.world.life.spawn(_run(exchange.world.life.pace.exec_seconds, made, plan, send, plain))


async def _run(seconds: float, made: Exec, plan: Plan, exchange: Exchange | None, plain: bool) -> None:
    await asyncio.sleep(seconds)
    if exchange is not None:
        data = b"".join(
            text.encode() if plain else http.frame(stream, text.encode())
            for stream, text in plan.output
            if stream in made.streams and text
        )
        connection = exchange.connection
        exchange.endpoint.when_answering(lambda: connection.send(data))
    await asyncio.sleep(plan.seconds)
    if plan.exit_code is None:
        return
    made.running, made.exit_code = False, plan.exit_code
    if exchange is not None:
        exchange.endpoint.when_answering(connection.close)


def _require_running(container: Container) -> None:
    if container.status == "paused":
        raise Refusal(409, f"Container {container.id} is paused, unpause the container before exec")
    if container.status != "running":
        raise not_running(container.id)
