"""The docker engine against engines that are down, dumb, slow or something else."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from healing.core.errors import (
    ActionFailed,
    ActionTimedOut,
    ContainerNotFound,
    EngineConflict,
    EngineRefused,
    EngineUnreachable,
    PluginError,
    TemporaryError,
)
from healing.core.ports import EngineConfig
from healing.engines.docker import DockerEngine
from tests.contract.engines.peers import (
    Handler,
    closing,
    dripping,
    http,
    only,
    peer,
    saying,
    saying_once,
    silent,
)

TIMEOUT = 0.5
SLACK = 1.5
VERSION = http("200 OK", b'{"ApiVersion": "1.41", "Version": "20.10"}')
INFO = http("200 OK", b'{"SystemTime": "2030-01-01T00:00:00Z"}')

CALLS: dict[str, Callable[[DockerEngine], object]] = {
    "info": lambda engine: engine.info(),
    "list": lambda engine: engine.list(),
    "inspect": lambda engine: engine.inspect("web"),
    "logs": lambda engine: engine.logs("web", 5),
    "exec": lambda engine: engine.exec("web", ["true"], TIMEOUT),
    "start": lambda engine: engine.start("web", TIMEOUT),
    "restart": lambda engine: engine.restart("web", 1, TIMEOUT),
    "events": lambda engine: next(iter(engine.events(None, TIMEOUT))),
}


def engine_at(address: str, **options: object) -> DockerEngine:
    return DockerEngine(EngineConfig("docker", address, timeout=TIMEOUT, **options))  # type: ignore[arg-type]


@pytest.fixture(params=sorted(CALLS))
def call(request: pytest.FixtureRequest) -> Callable[[DockerEngine], object]:
    return CALLS[request.param]


@pytest.mark.parametrize("handler", [silent, dripping], ids=["silent", "dripping"])
def test_every_call_ends_in_time(call: Callable[[DockerEngine], object], handler: Handler) -> None:
    """A peer that accepts and says nothing, or next to nothing, costs the timeout and no more."""
    with peer(handler) as address:
        begun = time.monotonic()
        with pytest.raises(EngineUnreachable):
            call(engine_at(address))
        assert time.monotonic() - begun < TIMEOUT + SLACK


@pytest.mark.parametrize("handler", [silent, dripping], ids=["silent", "dripping"])
@pytest.mark.parametrize("name", ["start", "restart"])
def test_an_action_without_answer_is_ambiguous(name: str, handler: Handler) -> None:
    """The engine has the request and does not answer: it may still act, so nobody must send it again."""
    with peer(only({"/version": VERSION}, handler)) as address:
        begun = time.monotonic()
        with pytest.raises(ActionTimedOut):
            CALLS[name](engine_at(address))
        assert time.monotonic() - begun < TIMEOUT + SLACK


@pytest.mark.parametrize("name", ["start", "restart"])
def test_an_action_whose_connection_is_lost_is_ambiguous_and_sent_once(name: str) -> None:
    """A lost answer is no proof of a lost request."""
    posts: list[bytes] = []

    def lose(connection: socket.socket, _: object) -> None:
        posts.append(b"seen")

    with peer(only({"/version": VERSION}, lose)) as address, pytest.raises(ActionTimedOut):
        CALLS[name](engine_at(address))
    assert len(posts) == 1


def test_an_action_on_a_silent_exec_is_temporary() -> None:
    """An exec that could not be made says nothing about the container."""
    with peer(only({"/version": VERSION}, silent)) as address, pytest.raises(TemporaryError):
        CALLS["exec"](engine_at(address))


def test_a_connection_refused_is_no_action() -> None:
    """Nothing was sent, so the action can be tried again: unreachable, not ambiguous."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(EngineUnreachable, match="nothing listens at"):
        engine_at(f"tcp://127.0.0.1:{port}").restart("web", 1, TIMEOUT)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        ("404 Not Found", b'{"message": "No such container: web"}', ContainerNotFound),
        ("409 Conflict", b'{"message": "container is marked for removal"}', EngineConflict),
        ("500 Internal Server Error", b'{"message": "driver failed programming"}', ActionFailed),
        ("400 Bad Request", b'{"message": "OCI runtime create failed"}', ActionFailed),
        ("403 Forbidden", b"<html>Forbidden</html>", EngineRefused),
        ("404 Not Found", b"<html>nginx</html>", EngineRefused),
    ],
)
def test_an_engines_no_keeps_its_reason(status: str, body: bytes, error: type[PluginError]) -> None:
    """Each refusal is told from the others, with the engine's own words where it has some."""
    handler = only({"/version": VERSION, "/restart": http(status, body)}, silent)
    with peer(handler) as address, pytest.raises(error) as caught:
        engine_at(address).restart("web", 1, TIMEOUT)
    if body.startswith(b"{"):
        assert body.decode()[13:-2] in str(caught.value)


PAGE = b"<html>The server you asked has not answered in time</html>"
CHANGES: dict[str, Callable[[DockerEngine], object]] = {
    "start": CALLS["start"],
    "restart": CALLS["restart"],
    "a step of a recreate": lambda engine: engine._change(
        "POST", "/containers/web/stop", "stop web", TIMEOUT, None, None
    ),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("502 Bad Gateway", PAGE),
        ("503 Service Unavailable", PAGE),
        ("504 Gateway Time-out", PAGE),
        ("504 Gateway Time-out", b'{"message": "The upstream server is timing out"}'),
    ],
)
def test_a_proxy_that_answers_for_its_engine_leaves_an_action_ambiguous(
    name: str, status: str, body: bytes
) -> None:
    """The engine may be at work on what the proxy no longer waits for, so nobody must send it again."""
    answers = {f"/{path}": http(status, body) for path in ("start", "restart", "stop")}
    with (
        peer(only({"/version": VERSION, **answers}, silent)) as address,
        pytest.raises(ActionTimedOut, match=f"answered {status[:3]}, so it may still happen"),
    ):
        CHANGES[name](engine_at(address))


def test_stop_timeout_is_rounded_up() -> None:
    """The API takes whole seconds: a container never gets less time than its configuration says."""
    seen: list[bytes] = []

    def note(connection: socket.socket, stopped: object) -> None:
        while request := connection.recv(65536):
            seen.append(request.split(b"\r\n")[0])
            connection.sendall(VERSION if b"/version" in request else b"HTTP/1.1 204 No Content\r\n\r\n")

    with peer(note) as address:
        engine_at(address).restart("web", 1.2, TIMEOUT)
    assert seen[-1] == b"POST /v1.41/containers/web/restart?t=2 HTTP/1.1"


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (saying(http("200 OK", b"<html>Welcome to nginx</html>", "text/html")), "is not a container engine"),
        (saying(http("200 OK", b'{"hello": "world"}')), "is not a container engine"),
        (saying(b"220 mail.example.com ESMTP\r\n"), "is not a container engine"),
        (
            saying_once(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"),
            "wants TLS",
        ),
    ],
    ids=["web-server", "other-api", "no-http", "tls-engine"],
)
def test_what_is_no_engine_is_said_to_be_none(handler: Handler, words: str) -> None:
    """A wrong address is a person's to mend, and they are told so."""
    with peer(handler) as address, pytest.raises(EngineRefused, match=words):
        engine_at(address).list()


def test_a_peer_that_hangs_up_is_unreachable() -> None:
    """An engine that is going down closes its connections."""
    with peer(closing) as address, pytest.raises(EngineUnreachable, match="closed the connection"):
        engine_at(address).list()


def test_a_missing_socket_says_what_to_do(tmp_path: Path) -> None:
    """The first thing that a new user sees when no engine runs."""
    with pytest.raises(EngineUnreachable, match="there is no socket .*: start the engine"):
        engine_at(f"unix://{tmp_path}/none.sock").list()


def test_a_name_that_does_not_resolve_says_so() -> None:
    """An address with a typing error is told from an engine that is down."""
    with pytest.raises(EngineUnreachable, match=r"'engine\.invalid' .* does not resolve"):
        engine_at("tcp://engine.invalid:2375").list()


def test_an_overlong_socket_path_says_so(tmp_path: Path) -> None:
    """A limit of the operating system that few people know."""
    with pytest.raises(EngineRefused, match="too long"):
        engine_at(f"unix:///{'x' * 150}").list()


def test_a_stale_kept_connection_is_replaced_once() -> None:
    """An engine that was restarted between two reads costs no failed check."""
    answered: list[int] = []

    def once(connection: socket.socket, stopped: object) -> None:
        request = connection.recv(65536)
        answered.append(1)
        connection.sendall(VERSION if b"/version" in request else http("200 OK", b"[]"))

    with peer(once) as address:
        engine = engine_at(address)
        assert engine.list() == []
        assert engine.list() == []
    assert len(answered) == 3


def stream_of(*chunks: bytes) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for chunk in chunks:
        yield b"%x\r\n%s\r\n" % (len(chunk), chunk)


EVENT = b'{"Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":{"name":"web"}},"timeNano":1}'


def streaming(*chunks: bytes, alive: bool, ends: bool) -> Handler:
    """Answers /events with these chunks; afterwards pings are answered or not, the stream ends or goes silent."""
    pings = {"/_ping": http("200 OK", b"OK", "text/plain")} if alive else {}

    def events(connection: socket.socket, stopped: object) -> None:
        for part in stream_of(*chunks):
            connection.sendall(part)
        if not ends:
            silent(connection, stopped)  # type: ignore[arg-type]

    return only({"/version": VERSION, "/info": INFO, **pings}, events)


def test_a_stream_that_ends_is_an_engine_that_went() -> None:
    """The watcher reconnects and lists again; it does not believe that nothing happens."""
    with peer(streaming(EVENT + b"\n", alive=True, ends=True)) as address:
        stream = engine_at(address).events(None, 5)
        assert next(stream).container_id == "c1"
        with pytest.raises(EngineUnreachable):
            next(stream)


def test_a_silent_stream_of_a_dead_engine_is_found_out() -> None:
    """A connection that nobody will ever write to again does not hold the watcher."""
    with peer(streaming(EVENT + b"\n", alive=False, ends=False)) as address:
        stream = engine_at(address).events(None, 0.2)
        next(stream)
        begun = time.monotonic()
        with pytest.raises(EngineUnreachable):
            next(stream)
        assert time.monotonic() - begun < 0.2 + TIMEOUT + SLACK


def test_a_silent_stream_of_a_living_engine_goes_on() -> None:
    """A quiet night is no outage."""

    def late(connection: socket.socket, stopped: object) -> None:
        head, *parts = stream_of(EVENT + b"\n")
        connection.sendall(head)
        time.sleep(0.5)  # a silence longer than the idle timeout, which is counted in real time
        connection.sendall(parts[0])

    handler = only({"/version": VERSION, "/info": INFO, "/_ping": http("200 OK", b"OK")}, late)
    with peer(handler) as address:
        assert next(engine_at(address).events(None, 0.1)).container_id == "c1"


def test_events_split_and_joined_are_told_apart() -> None:
    """What one read brings is not one event: half of one, or three."""
    lines = [EVENT.replace(b"c1", b"c%d" % number) + b"\n" for number in range(3)]
    joined = b"".join(lines)
    with peer(streaming(joined[:50], joined[50:], b"not json\n", alive=True, ends=True)) as address:
        stream = engine_at(address).events(None, 5)
        assert [next(stream).container_id for _ in range(3)] == ["c0", "c1", "c2"]


def test_an_engine_that_no_longer_speaks_our_version_is_asked_anew() -> None:
    """An engine upgraded while we run is found again without a restart of ours."""
    versions = iter(["1.30", "1.41"])

    def upgraded(connection: socket.socket, stopped: object) -> None:
        while request := connection.recv(65536):
            if b"/version" in request:
                answer = http("200 OK", b'{"ApiVersion": "%s"}' % next(versions).encode())
            elif b"/v1.30/" in request:
                answer = http("400 Bad Request", b'{"message": "client version 1.30 is too old"}')
            else:
                answer = http("200 OK", b"[]")
            connection.sendall(answer)

    with peer(upgraded) as address:
        engine = engine_at(address)
        with pytest.raises(EngineRefused):
            engine.list()
        assert engine.list() == []
