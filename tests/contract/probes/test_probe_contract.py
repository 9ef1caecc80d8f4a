"""What every probe promises, whatever its kind, against real servers and real commands."""

from __future__ import annotations

import asyncio
import os
import resource
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import cast

import pytest

from healing.core.errors import EngineUnreachable
from healing.core.ports import Engine, Probe
from healing.core.types import ProbeResult, ProbeTarget, ProbeVerdict
from healing.probes import build, kinds, parse, run_probes
from tests.contract.probes.servers import (
    LocalExec,
    RefusingExec,
    answering,
    closed_port,
    full_backlog,
    http_answer,
    serving,
    silent,
    write_certificate,
)

FORMS = ("http", "https", "tcp", "exec")
OWN = ProbeTarget("container", ("127.0.0.1",))
NOWHERE = ProbeTarget("container", ())
LONG = 20.0


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    return write_certificate(tmp_path_factory.mktemp("tls"))[0]


def make(form: str, port: int, command: str = "true", engine: object = None) -> Probe:
    """A probe named `p` of the container's own address."""
    text = {"exec": f"exec:{command}", "tcp": f"tcp://:{port}"}.get(form, f"{form}://:{port}/")
    options = {"tls_verify": False} if form == "https" else {}
    return build(parse("p", text, options), cast(Engine, engine or LocalExec()))


@asynccontextmanager
async def working(form: str, tls: ssl.SSLContext) -> AsyncIterator[Probe]:
    async with serving(answering(http_answer(200)), tls if form == "https" else None) as port:
        yield make(form, port)


@asynccontextmanager
async def hanging(form: str) -> AsyncIterator[Probe]:
    if form == "tcp":
        async with full_backlog() as port:
            yield make(form, port)
    else:
        async with serving(silent) as port:
            yield make(form, port, "sleep 60")


def unable(form: str) -> tuple[Probe, ProbeTarget]:
    """A probe that cannot look: no address to ask, or an engine that does not answer."""
    return make(form, 1, engine=RefusingExec(EngineUnreachable("no answer"))), NOWHERE


async def look(probe: Probe, target: ProbeTarget = OWN, timeout: float = LONG) -> ProbeResult:
    return await probe.check(target, timeout)


def test_every_built_in_kind_is_covered() -> None:
    """Protects the suite: a new built-in kind has to join it."""
    assert {parse("p", make_text).kind for make_text in ("http://:1", "tcp://:1", "exec:x")} == set(kinds())


@pytest.mark.parametrize("form", FORMS)
def test_working_container_passes(form: str, tls: ssl.SSLContext) -> None:
    """Protects healthy containers from restarts."""

    async def scenario() -> ProbeResult:
        async with working(form, tls) as probe:
            return await look(probe)

    result = asyncio.run(scenario())
    assert result.verdict is ProbeVerdict.PASSED, result.message
    assert result.name == "p"
    assert result.message
    assert result.latency > 0
    assert not result.hung


@pytest.mark.parametrize("form", FORMS)
def test_broken_container_fails(form: str) -> None:
    """Protects the finding of failures: refused, or a non-zero exit code."""
    result = asyncio.run(look(make(form, closed_port(), "false")))
    assert result.verdict is ProbeVerdict.FAILED, result.message
    assert result.message
    assert not result.hung


@pytest.mark.parametrize("form", FORMS)
def test_timeout_holds_and_is_a_failure(form: str) -> None:
    """Protects the sweep: a peer that neither answers nor refuses costs its timeout, and no more."""

    async def scenario() -> ProbeResult:
        async with hanging(form) as probe:
            return await asyncio.wait_for(look(probe, timeout=0.3), LONG)

    result = asyncio.run(scenario())
    assert result.verdict is ProbeVerdict.FAILED, result.message
    assert 0.25 <= result.latency < LONG
    assert "0.3 s" in result.message
    assert result.hung is (form in ("http", "https"))


@pytest.mark.parametrize("form", FORMS)
def test_could_not_look_is_unknown(form: str) -> None:
    """Protects containers from being blamed for what is not theirs."""
    probe, target = unable(form)
    result = asyncio.run(look(probe, target))
    assert result.verdict is ProbeVerdict.UNKNOWN, result.message
    assert result.message


@pytest.mark.parametrize("form", FORMS)
def test_own_exhaustion_is_unknown(form: str) -> None:
    """Protects containers when this process has no file descriptors left."""

    async def scenario() -> ProbeResult:
        async with serving(answering(http_answer(200))) as port:
            probe = make(form, port)
            with no_descriptors_left():
                return await look(probe)

    result = asyncio.run(scenario())
    assert result.verdict is ProbeVerdict.UNKNOWN, result.message


@pytest.mark.parametrize("form", FORMS)
def test_odd_addresses_raise_nothing(form: str) -> None:
    """Protects the sweep from addresses that are none."""
    for address in ("", "not an address", "999.1.1.1", "::zz", "\0"):
        result = asyncio.run(look(make(form, 1, "false"), ProbeTarget("container", (address,)), timeout=2))
        assert isinstance(result, ProbeResult)


@pytest.mark.parametrize("form", ["http", "https", "tcp"])
def test_cancelling_ends_a_probe_at_once(form: str) -> None:
    """Protects the shutdown of a worker in the middle of a sweep."""

    async def scenario() -> None:
        async with hanging(form) as probe:
            task = asyncio.create_task(look(probe, timeout=600))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    started = time.monotonic()
    asyncio.run(scenario())
    assert time.monotonic() - started < LONG


@pytest.mark.parametrize("form", FORMS)
def test_no_descriptors_leak(form: str, tls: ssl.SSLContext) -> None:
    """Protects a watcher that runs for months."""

    async def scenario() -> tuple[int, int]:
        async with working(form, tls) as good, hanging(form) as bad:
            for probe, timeout in ((good, LONG), (bad, 0.05)):
                await look(probe, timeout=timeout)
            await asyncio.sleep(0.1)
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(10):
                await look(good)
                await look(bad, timeout=0.05)
            return before, await settled(before)

    before, after = asyncio.run(scenario())
    assert after <= before


async def settled(before: int) -> int:
    """The count of descriptors once the servers have noticed that their peers are gone; polls with a deadline."""
    end = time.monotonic() + LONG
    while (count := len(os.listdir("/proc/self/fd"))) > before and time.monotonic() < end:
        await asyncio.sleep(0.05)
    return count


def test_many_run_at_once_and_keep_their_order(tls: ssl.SSLContext) -> None:
    """Protects the speed of a sweep: hung peers are waited for together."""

    async def scenario() -> list[ProbeResult]:
        async with serving(silent) as hung, working("tcp", tls) as good:
            slow = make("http", hung)
            return await run_probes([(slow, OWN, 1.0), (good, OWN, LONG)] * 40, concurrency=80)

    started = time.monotonic()
    results = asyncio.run(scenario())
    assert time.monotonic() - started < 40
    assert [result.verdict for result in results[1::2]] == [ProbeVerdict.PASSED] * 40
    assert all(result.verdict is not ProbeVerdict.PASSED for result in results[0::2])


def test_no_jobs_no_results() -> None:
    """Protects the empty shard."""
    assert asyncio.run(run_probes([])) == []


class _Broken:
    name = "broken"

    async def check(self, target: ProbeTarget, timeout: float) -> ProbeResult:
        raise RuntimeError("boom")


class _Endless:
    name = "endless"

    async def check(self, target: ProbeTarget, timeout: float) -> ProbeResult:
        await asyncio.Event().wait()
        raise AssertionError


class _Blocking:
    name = "blocking"

    async def check(self, target: ProbeTarget, timeout: float) -> ProbeResult:
        threading.Event().wait(0.6)
        return ProbeResult(self.name, ProbeVerdict.PASSED, "held everything up")


def test_plug_in_that_breaks_its_contract_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the other probes of a sweep from a bad plug-in."""
    monkeypatch.setattr("healing.probes.run.GUARD", 0.05)
    broken, endless = asyncio.run(run_probes([(_Broken(), OWN, 1.0), (_Endless(), OWN, 0.05)]))
    assert (broken.name, broken.verdict) == ("broken", ProbeVerdict.UNKNOWN)
    assert "boom" in broken.message
    assert (endless.name, endless.verdict) == ("endless", ProbeVerdict.UNKNOWN)


def test_timeout_while_we_stood_still_is_unknown() -> None:
    """Protects containers when this process is starved: our lateness is not their failure."""

    async def scenario() -> list[ProbeResult]:
        async with serving(silent) as port:
            return await run_probes([(make("http", port), OWN, 0.5), (_Blocking(), OWN, LONG)])

    result = asyncio.run(scenario())[0]
    assert result.verdict is ProbeVerdict.UNKNOWN
    assert not result.hung
    assert "stood still" in result.message


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Lower this process's limit to what it has open; undone at the end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, soft), hard))
    try:
        with suppress(OSError):
            while True:
                spare.append(os.dup(0))
        yield
    finally:
        for descriptor in spare:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_verified_certificate_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects TLS verification: a certificate that is trusted passes, one that is not fails with the remedy."""
    from healing.probes import http

    context, certificate = write_certificate(tmp_path)

    async def scenario() -> ProbeResult:
        async with serving(answering(http_answer(200)), context) as port:
            return await look(build(parse("p", f"https://127.0.0.1:{port}/"), None))

    http._tls_context.cache_clear()
    refused = asyncio.run(scenario())
    assert refused.verdict is ProbeVerdict.FAILED
    assert "certificate" in refused.message
    assert "tls_verify" in refused.message
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    http._tls_context.cache_clear()
    accepted = asyncio.run(scenario())
    http._tls_context.cache_clear()
    assert accepted.verdict is ProbeVerdict.PASSED, accepted.message
