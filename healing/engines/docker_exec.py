"""Commands run inside a container: create, start, read until the end or the deadline, ask for the exit code."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from typing import Any

from healing.core.errors import (
    ActionFailed,
    ActionTimedOut,
    EngineUnreachable,
    PermanentError,
    TemporaryError,
)
from healing.core.types import ExecResult
from healing.core.wording import storable
from healing.engines.docker_actions import DockerActions
from healing.engines.docker_errors import refusal
from healing.engines.docker_http import EngineHTTP, Stream
from healing.engines.docker_logs import Demultiplexer

OUTPUT_LIMIT = 4096

# Written by the engine into the output where the command could not be started at all; the exit code is then 126 or 127.
_NOT_STARTED = ("OCI runtime exec failed", "OCI permission denied", "OCI runtime error", "crun:", "runc exec")
_POLL = 0.01
_SPARE = 0.5


def run_in_container(
    actions: DockerActions,
    http_client: EngineHTTP,
    prefix: str,
    container_id: str,
    argv: Sequence[str],
    until: float,
) -> ExecResult:
    """Run `argv`; raise PermanentError where it cannot be run, TemporaryError where it has not ended at `until`.

    The engine cannot end a command that hangs: it is left behind in the container.
    """
    what = f"exec in {container_id}"
    try:
        exec_id = _create(actions, http_client, container_id, argv, until, what)
        start = f"{prefix}/exec/{exec_id}/start"
        stream = http_client.stream(
            "POST", start, what, _left(until), body=b'{"Detach": false, "Tty": false}'
        )
        output, ended = _read(stream, until - min(_SPARE, _left(until) / 10))
        exit_code = _exit_code(http_client, f"{prefix}/exec/{exec_id}/json", what, until, ended)
    except ActionFailed as error:
        raise PermanentError(str(error)) from error
    except ActionTimedOut as error:
        raise EngineUnreachable(str(error)) from error
    except TimeoutError as error:
        raise TemporaryError(f"{what}: {' '.join(argv)[:100]!r} did not end in time") from error
    text = storable(output.decode("utf-8", "replace"))
    if exit_code in (126, 127) and text.startswith(_NOT_STARTED):
        raise PermanentError(f"{what}: {text.strip()}")
    return ExecResult(exit_code, text)


def _create(
    actions: DockerActions,
    http_client: EngineHTTP,
    container_id: str,
    argv: Sequence[str],
    until: float,
    what: str,
) -> str:
    body = {"Cmd": list(argv), "AttachStdout": True, "AttachStderr": True}
    status, answer = actions.post(f"/containers/{container_id}/exec", what, _left(until), body=body)
    if status != 201:
        raise refusal(status, answer, http_client.address, what)
    return str(json.loads(answer)["Id"])


def _read(stream: Stream, until: float) -> tuple[bytes, bool]:
    """The output, cut to 4 KiB, and whether it had ended by `until`."""
    kept = bytearray()
    demultiplexer = Demultiplexer()
    try:
        stream.settimeout(_left(until))
        while data := stream.read1(65536):
            for part in demultiplexer.feed(data):
                kept += part[: OUTPUT_LIMIT - len(kept)]
        kept += demultiplexer.rest()[: OUTPUT_LIMIT - len(kept)]
    except TimeoutError:
        return bytes(kept), False
    except (OSError, http.client.HTTPException) as error:
        raise EngineUnreachable(f"the engine broke off while a command ran: {error}") from error
    finally:
        stream.close()
    return bytes(kept), True


def _exit_code(http_client: EngineHTTP, path: str, what: str, until: float, ended: bool) -> int:
    """Ask until the engine knows the exit code, a moment after the output's end.

    Output that has not ended may be held open by a child of a command that has: then its code is known too.
    """
    while True:
        state: dict[str, Any] = http_client.get_json(path, what, _left(until))
        if not state.get("Running") and state.get("ExitCode") is not None:
            return int(state["ExitCode"])
        if not ended:
            raise TimeoutError
        time.sleep(min(_POLL, _left(until)))


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
