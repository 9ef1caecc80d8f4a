"""Running many probes at once, bounded, so that one bad peer or plug-in costs the others nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from healing.core.ports import Probe
from healing.core.types import ProbeResult, ProbeTarget, ProbeVerdict
from healing.core.wording import storable

Job = tuple[Probe, ProbeTarget, float]

GUARD = 2.0
"""Seconds beyond its timeout after which a probe that does not keep it is given up."""
LAG_SHARE = 0.5
"""A timeout is ours, not the peer's, when the event loop stood still for more than this share of it."""
_BEAT = 0.05


async def run_probes(jobs: Sequence[Job], concurrency: int = 64) -> list[ProbeResult]:
    """Run each (probe, target, timeout in seconds), at most `concurrency` at a time; results in the order of `jobs`.

    Never raises: a probe that breaks its contract is `unknown`. A timeout runs from the moment the probe starts.
    """
    gate = asyncio.Semaphore(concurrency)
    lag = LoopLag()
    watching = asyncio.create_task(lag.watch())
    try:
        return list(await asyncio.gather(*(_run_one(job, gate, lag) for job in jobs)))
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _run_one(job: Job, gate: asyncio.Semaphore, lag: LoopLag) -> ProbeResult:
    async with gate:
        return await run_guarded(*job, lag)


async def run_guarded(probe: Probe, target: ProbeTarget, timeout: float, lag: LoopLag) -> ProbeResult:
    """Look once, with what a probe must not do kept from its caller. Never raises; `lag` is the loop's, and watching."""
    stood_still = lag.total
    try:
        async with asyncio.timeout(timeout + GUARD):
            result = await probe.check(target, timeout)
    except TimeoutError:
        message = f"the probe did not keep its timeout of {timeout:.3g} s"
        return ProbeResult(probe.name, ProbeVerdict.UNKNOWN, message, timeout + GUARD)
    except Exception as error:
        message = storable(f"the probe itself broke: {type(error).__name__}: {error}")
        return ProbeResult(probe.name, ProbeVerdict.UNKNOWN, message)
    lag.beat()
    if (message := storable(result.message)) != result.message:
        result = replace(result, message=message)
    return _excuse(result, timeout, lag.total - stood_still)


def _excuse(result: ProbeResult, timeout: float, stood_still: float) -> ProbeResult:
    """A timeout that passed while this process could not look is nobody's failure but ours."""
    timed_out = result.verdict is ProbeVerdict.FAILED and result.latency >= timeout * 0.99
    if not timed_out or stood_still <= timeout * LAG_SHARE:
        return result
    message = (
        f"this process stood still for {stood_still:.3g} s of the probe's {timeout:.3g} s; it could not look"
    )
    return replace(result, verdict=ProbeVerdict.UNKNOWN, message=message, hung=False)


class LoopLag:
    """Counts the seconds for which the event loop ran nothing. `total` only grows."""

    def __init__(self) -> None:
        self.total = 0.0
        self._expected = asyncio.get_running_loop().time() + _BEAT

    async def watch(self) -> None:
        while True:
            self._expected = asyncio.get_running_loop().time() + _BEAT
            await asyncio.sleep(_BEAT)
            self.beat()

    def beat(self) -> None:
        """Add what the next beat is late by; called again within one delay, it adds only what is new."""
        now = asyncio.get_running_loop().time()
        if now > self._expected:
            self.total += now - self._expected
            self._expected = now
