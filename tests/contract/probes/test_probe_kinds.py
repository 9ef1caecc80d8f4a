"""What is particular to one kind of probe."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Sequence
from typing import Any, cast

import pytest

from healing.core.errors import (
    ActionFailed,
    ActionTimedOut,
    ConfigError,
    ContainerNotFound,
    EngineConflict,
    EngineRefused,
    EngineUnreachable,
)
from healing.core.ports import Engine
from healing.core.probespec import PluginSettings, ProbeSpec
from healing.core.types import ExecResult, ProbeResult, ProbeTarget, ProbeVerdict
from healing.probes import build, parse
from healing.probes.connect import judge_os_error
from tests.contract.probes.servers import (
    Handler,
    LocalExec,
    RefusingExec,
    answering,
    closed_port,
    cutting,
    dripping,
    flooding,
    http_answer,
    serving,
    silent,
)

OWN = ProbeTarget("container", ("127.0.0.1",))
LONG = 20.0


def ask(handler: Handler, options: dict[str, Any] | None = None, timeout: float = LONG) -> ProbeResult:
    """One http probe of one server."""

    async def scenario() -> ProbeResult:
        async with serving(handler) as port:
            probe = build(parse("web", f"http://:{port}/health?x=1", options), None)
            return await asyncio.wait_for(probe.check(OWN, timeout), LONG)

    return asyncio.run(scenario())


def run(command: str, engine: object, timeout: float = LONG) -> ProbeResult:
    """One exec probe."""
    return asyncio.run(build(parse("run", f"exec:{command}"), cast(Engine, engine)).check(OWN, timeout))


@pytest.mark.parametrize(
    ("status", "wanted", "verdict"),
    [
        (200, None, ProbeVerdict.PASSED),
        (301, None, ProbeVerdict.PASSED),
        (404, None, ProbeVerdict.FAILED),
        (500, None, ProbeVerdict.FAILED),
        (301, "200-299", ProbeVerdict.FAILED),
        (503, "200,503", ProbeVerdict.PASSED),
    ],
)
def test_status_range(status: int, wanted: str | None, verdict: ProbeVerdict) -> None:
    """Protects the status range; a redirect is an answer and is not followed."""
    location = "Location: http://127.0.0.1:1/\r\n" if status == 301 else ""
    result = ask(answering(http_answer(status, b"why", location)), {"status": wanted})
    assert result.verdict is verdict, result.message
    assert str(status) in result.message


@pytest.mark.parametrize(
    ("match", "verdict"),
    [("ready", ProbeVerdict.PASSED), ("/re+ady$/", ProbeVerdict.PASSED), ("asleep", ProbeVerdict.FAILED)],
)
def test_body_match(match: str, verdict: ProbeVerdict) -> None:
    """Protects pages that answer 200 and say that they are broken."""
    assert ask(answering(http_answer(200, b"I am ready")), {"body_match": match}).verdict is verdict


def test_request_asks_for_the_path_with_its_query() -> None:
    """Protects the request line and the Host header that the server sees."""
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(http_answer(204))
        await writer.drain()
        await reader.read()

    assert ask(handler).verdict is ProbeVerdict.PASSED
    assert seen[0].startswith(b"GET /health?x=1 HTTP/1.1\r\nHost: 127.0.0.1:")


def test_chunked_and_interim_answers_are_understood() -> None:
    """Protects servers that answer in pieces, or with 100 Continue first."""
    raw = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nup\r\n0\r\n\r\n"
    assert ask(answering(raw), {"body_match": "/^up$/"}).verdict is ProbeVerdict.PASSED


def test_answer_without_length_ends_with_the_connection() -> None:
    """Protects HTTP/1.0 servers, busybox httpd among them."""
    assert ask(answering(b"HTTP/1.0 200 OK\r\n\r\nup"), {"body_match": "up"}).verdict is ProbeVerdict.PASSED


@pytest.mark.parametrize("handler", [answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), answering(b""), cutting])
def test_what_is_not_http_fails(handler: Handler) -> None:
    """Protects from calling a port healthy because something listens on it."""
    result = ask(handler)
    assert result.verdict is ProbeVerdict.FAILED, result.message
    assert not result.hung


def test_tls_to_a_plain_server_fails() -> None:
    """Protects from a TLS mismatch being taken for a fault of ours."""

    async def scenario() -> ProbeResult:
        async with serving(answering(http_answer(200))) as port:
            return await build(parse("web", f"https://:{port}/", {"tls_verify": False}), None).check(OWN, 0.3)

    assert asyncio.run(scenario()).verdict is ProbeVerdict.FAILED


def test_dripping_peer_is_cut_at_the_timeout() -> None:
    """Protects the total timeout against a peer that always says a little more; that is not hung."""
    result = ask(dripping, timeout=0.3)
    assert result.verdict is ProbeVerdict.FAILED
    assert not result.hung
    assert "did not finish" in result.message


def test_endless_body_is_read_to_its_limit_only() -> None:
    """Protects our memory: 64 KiB are enough to judge by."""
    assert ask(flooding, {"body_match": "xxx"}).verdict is ProbeVerdict.PASSED
    assert ask(flooding, {"body_match": "end"}).verdict is ProbeVerdict.FAILED


def test_silent_peer_is_hung() -> None:
    """Protects the diagnosis "hung", which rests on this flag."""
    result = ask(silent, timeout=0.3)
    assert (result.verdict, result.hung) == (ProbeVerdict.FAILED, True)
    assert "said nothing" in result.message


def test_next_address_is_tried_when_the_first_refuses() -> None:
    """Protects containers with several networks, of which the service may use one."""

    async def scenario() -> ProbeResult:
        async with serving(silent) as port:
            probe = build(parse("db", f"tcp://:{port}"), None)
            return await probe.check(ProbeTarget("container", ("127.0.0.2", "127.0.0.1")), LONG)

    result = asyncio.run(scenario())
    assert result.verdict is ProbeVerdict.PASSED
    assert "127.0.0.1" in result.message


def test_one_refusal_among_unknowns_is_a_failure() -> None:
    """Protects the verdict: one address that was really asked decides."""
    probe = build(parse("db", f"tcp://:{closed_port()}"), None)
    result = asyncio.run(probe.check(ProbeTarget("container", ("::ffff:0:1%nowhere", "127.0.0.1")), LONG))
    assert result.verdict is ProbeVerdict.FAILED
    assert "refused" in result.message


@pytest.mark.parametrize("text", ["http://nosuch.invalid:80/", "tcp://nosuch.invalid:80"])
def test_name_that_does_not_resolve_is_unknown(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects containers while our own DNS is broken."""

    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    result = asyncio.run(build(parse("p", text), None).check(OWN, LONG))
    assert result.verdict is ProbeVerdict.UNKNOWN
    assert "nosuch.invalid" in result.message


@pytest.mark.parametrize("text", ["http://slow.invalid:80/", "tcp://slow.invalid:80"])
def test_resolver_that_hangs_is_unknown_in_time(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the timeout, and the containers, from a resolver that does not answer."""
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(LONG) and [])
    try:
        result = asyncio.run(build(parse("p", text), None).check(OWN, 0.2))
    finally:
        release.set()
    assert result.verdict is ProbeVerdict.UNKNOWN
    assert result.latency < LONG


@pytest.mark.parametrize(
    ("number", "verdict"),
    [
        (errno.ECONNREFUSED, ProbeVerdict.FAILED),
        (errno.ECONNRESET, ProbeVerdict.FAILED),
        (errno.ETIMEDOUT, ProbeVerdict.FAILED),
        (errno.ENETUNREACH, ProbeVerdict.UNKNOWN),
        (errno.EHOSTUNREACH, ProbeVerdict.UNKNOWN),
        (errno.EMFILE, ProbeVerdict.UNKNOWN),
        (errno.EADDRNOTAVAIL, ProbeVerdict.UNKNOWN),
        (errno.EACCES, ProbeVerdict.UNKNOWN),
    ],
)
def test_whose_fault_an_error_is(number: int, verdict: ProbeVerdict) -> None:
    """Protects the line between the peer's failures and ours."""
    assert judge_os_error(OSError(number, "…")) is verdict


def test_exec_says_what_the_command_said() -> None:
    """Protects the evidence: exit code and output reach the record."""
    result = run("sh -c 'echo disk is full; exit 3'", LocalExec())
    assert result.verdict is ProbeVerdict.FAILED
    assert "exited with 3" in result.message
    assert "disk is full" in result.message


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ActionTimedOut("too slow"), ProbeVerdict.FAILED),
        (EngineUnreachable("gone"), ProbeVerdict.UNKNOWN),
        (EngineRefused("TLS mismatch"), ProbeVerdict.UNKNOWN),
        (ActionFailed("HTTP 500"), ProbeVerdict.UNKNOWN),
        (EngineConflict("container is paused"), ProbeVerdict.UNKNOWN),
        (ContainerNotFound("no such container"), ProbeVerdict.UNKNOWN),
        (ZeroDivisionError("a bug"), ProbeVerdict.UNKNOWN),
    ],
)
def test_exec_tells_the_engines_fault_from_the_containers(error: Exception, verdict: ProbeVerdict) -> None:
    """Protects containers from being blamed for an engine that would not run the command."""
    assert run("check", RefusingExec(error)).verdict is verdict


class _Answers:
    def __init__(self, answer: ExecResult) -> None:
        self._answer = answer

    def exec(self, container_id: str, argv: Sequence[str], timeout: float) -> ExecResult:
        return self._answer


@pytest.mark.parametrize(
    ("code", "output", "verdict"),
    [
        (127, "sh: check: not found", ProbeVerdict.FAILED),
        (126, "OCI runtime exec failed: exec failed: no such file", ProbeVerdict.UNKNOWN),
        (1, "OCI runtime exec failed", ProbeVerdict.FAILED),
    ],
)
def test_command_that_the_engine_cannot_start_is_unknown(
    code: int, output: str, verdict: ProbeVerdict
) -> None:
    """Protects from restarting for a misspelt probe command."""
    assert run("check", _Answers(ExecResult(code, output))).verdict is verdict


def test_engine_that_never_returns_is_unknown_in_time() -> None:
    """Protects the sweep, and its end, from an engine call that hangs."""
    release = threading.Event()

    class Hanging:
        def exec(self, container_id: str, argv: Sequence[str], timeout: float) -> ExecResult:
            release.wait(LONG)
            return ExecResult(0, "")

    try:
        result = run("check", Hanging(), timeout=0.1)
    finally:
        release.set()
    assert result.verdict is ProbeVerdict.UNKNOWN
    assert result.latency < LONG


def test_exec_without_an_engine_cannot_be_built() -> None:
    """Protects from a probe that could never look."""
    with pytest.raises(ConfigError, match="engine"):
        build(parse("run", "exec:true"), None)


def test_kind_that_is_not_installed_cannot_be_built() -> None:
    """Protects a configuration whose plug-in was removed: a sentence names it."""
    with pytest.raises(ConfigError, match="'redis'"):
        build(ProbeSpec("cache", "redis", "redis://:1", PluginSettings("//:1")), None)
