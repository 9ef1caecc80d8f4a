"""The fleet's control socket: one JSON object a line each way, for a benchmark in another process.

`{"do": "unhealthy", "engine": "engine-01", "container": "web"}` calls `Fleet.unhealthy` with the other fields, and
is answered with `{"ok": true, "result": …}` or `{"ok": false, "error": "…"}`.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.fleet.errors import Refusal
from benchmarks.fleet.fleet import Fleet

logger = logging.getLogger(__name__)

SOCKET = "control.sock"

COMMANDS = frozenset(
    {
        "addresses", "answer_exec", "break_streams", "bring_up", "clear_rules", "containers", "delay", "die", "dump",
        "fail", "forget_requests", "hang", "heal_report", "healthy", "oom", "requests", "resume", "start_random_faults",
        "stop_random_faults", "take_down", "unhealthy",
    }
)  # fmt: skip


async def open_control(fleet: Fleet, path: Path) -> asyncio.AbstractServer:
    """Listen at `path`; the caller closes the server."""
    path.unlink(missing_ok=True)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await obey(fleet, line)).encode() + b"\n")
                await writer.drain()
        except ConnectionError as error:
            logger.debug("a control client went away: %s", error, extra={"action": "control_client_gone"})
        finally:
            writer.close()

    return await asyncio.start_unix_server(serve, str(path), limit=1 << 20)


async def obey(fleet: Fleet, line: bytes) -> dict[str, Any]:
    """Do what one line says; its answer."""
    try:
        fields = json.loads(line)
        name = fields.pop("do")
        if name not in COMMANDS:
            raise LookupError(f"there is no command {name!r}: there are {', '.join(sorted(COMMANDS))}")
        result = getattr(fleet, name)(**fields)
        if inspect.isawaitable(result):
            result = await result
    except (ValueError, TypeError, AttributeError, LookupError, OSError, Refusal) as error:
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}
    return {"ok": True, "result": result}


class ControlError(Exception):
    """The fleet did not do it; the text says why."""


class Control:
    """A client of the control socket. Not for several threads at once."""

    def __init__(self, path: Path, timeout: float = 30.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._socket.connect(str(path))
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._socket.close()

    def do(self, command: str, **fields: Any) -> Any:
        """The command's result. Raise ControlError with the fleet's words."""
        self._socket.sendall(json.dumps({"do": command, **fields}).encode() + b"\n")
        line = self._file.readline()
        if not line:
            raise ControlError("the fleet has ended")
        answer = json.loads(line)
        if not answer["ok"]:
            raise ControlError(answer["error"])
        return answer["result"]
