"""The exec probe: a command inside the container, through the engine. Exit code 0 passes."""

from __future__ import annotations

import asyncio
import time

from healing.core.errors import ActionFailed, ConfigError, EngineUnreachable, PluginError, TemporaryError
from healing.core.ports import Engine
from healing.core.probespec import ExecSettings, ProbeSpec
from healing.core.types import ExecResult, ProbeResult, ProbeTarget, ProbeVerdict
from healing.probes.text import one_line
from healing.probes.threads import call_in_thread

GRACE = 0.5
"""Seconds beyond the timeout in which the engine may still report that the command did not end."""
_NEVER_RAN = ("oci runtime exec failed", "crun: ", "runc exec failed")


class ExecProbe:
    """Failed: non-zero, or not done in time. Unknown: the engine cannot be reached or will not run the command."""

    def __init__(self, spec: ProbeSpec, engine: Engine | None) -> None:
        if not isinstance(spec.settings, ExecSettings):
            raise ConfigError(f"probe.{spec.name}", f"{spec.text!r} is not an exec probe")
        if engine is None:
            raise ConfigError(
                f"probe.{spec.name}", "an exec probe needs the container's engine, and none was given"
            )
        self.name = spec.name
        self._argv = spec.settings.argv
        self._engine = engine

    async def check(self, target: ProbeTarget, timeout: float) -> ProbeResult:
        started = time.monotonic()
        verdict, message = await self._look(target.container_id, timeout)
        return ProbeResult(self.name, verdict, message, time.monotonic() - started)

    async def _look(self, container_id: str, timeout: float) -> tuple[ProbeVerdict, str]:
        try:
            async with asyncio.timeout(timeout + GRACE):
                result = await call_in_thread(lambda: self._engine.exec(container_id, self._argv, timeout))
        except TimeoutError:
            return (
                ProbeVerdict.UNKNOWN,
                f"the engine did not report on the command within {timeout + GRACE:.3g} s",
            )
        except PluginError as error:
            return self._judge_error(error, timeout)
        except Exception as error:
            return ProbeVerdict.UNKNOWN, f"the command could not be run: {type(error).__name__}: {error}"
        return self._judge_exit(result)

    def _judge_error(self, error: PluginError, timeout: float) -> tuple[ProbeVerdict, str]:
        timed_out = isinstance(error, TemporaryError) and not isinstance(
            error, EngineUnreachable | ActionFailed
        )
        if timed_out:
            return ProbeVerdict.FAILED, f"{self._argv[0]} did not end within {timeout:.3g} s"
        return ProbeVerdict.UNKNOWN, f"{self._argv[0]} could not be run: {error}"

    def _judge_exit(self, result: ExecResult) -> tuple[ProbeVerdict, str]:
        said = one_line(result.output)
        if result.exit_code == 0:
            return ProbeVerdict.PASSED, said or f"{self._argv[0]} exited with 0"
        if result.exit_code in (126, 127) and result.output.lstrip().lower().startswith(_NEVER_RAN):
            return ProbeVerdict.UNKNOWN, f"{self._argv[0]} could not be started in the container: {said}"
        message = f"{self._argv[0]} exited with {result.exit_code}" + (f": {said}" if said else "")
        return ProbeVerdict.FAILED, message
