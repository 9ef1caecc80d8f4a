"""The command channel: a program on this machine is run with the message on its standard input."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar, Self

from notifications.core.alert import Message
from notifications.core.config import read_environment, read_integer, read_lines, refuse_unknown, shortened
from notifications.core.errors import ConfigError, PermanentError, TemporaryError
from notifications.core.fields import Field, secret_names
from notifications.core.masking import mask

TIME_LIMIT = 30
LONGEST = 45
"""Seconds; less than what a claim of a delivery lasts."""
TEMPORARY = os.EX_TEMPFAIL
PREFIX = "SELFHEAL_ALERT_"
SHOWN = 400
_READ = 4 * SHOWN
_LOOK = 0.1
"""Seconds between two looks whether it has ended, while something else keeps its output open."""
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""What of our own environment goes along; our secrets stand in the rest."""


@dataclass(frozen=True, slots=True)
class CommandChannel:
    """Exit code 0 is success, 75 (EX_TEMPFAIL) is tried again, any other fails for good. There is no shell."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(
            "command",
            "Command",
            "The program's full path and its arguments, one a line; no shell reads them.",
            "lines",
            required=True,
        ),
        Field("time_limit", "Time limit", f"Seconds, up to {LONGEST}; then it is killed.", "integer"),
        Field(
            "environment", "Environment", 'Further variables, such as {"TOKEN": "…"}.', "json", secret=True
        ),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = secret_names(FIELDS)

    command: tuple[str, ...]
    time_limit: float = TIME_LIMIT
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        refuse_unknown(config, tuple(each.name for each in cls.FIELDS))
        command = read_lines(config, "command", required=True)
        if not command[0].startswith("/"):
            raise ConfigError(
                "command", "must begin with the full path of a program, such as /usr/local/bin/page"
            )
        return cls(
            command=command,
            time_limit=read_integer(config, "time_limit", TIME_LIMIT, 1, LONGEST),
            environment=read_environment(config, "environment"),
        )

    def send(self, message: Message) -> str:
        with tempfile.TemporaryFile() as given:
            given.write(json.dumps(message.payload(), ensure_ascii=False).encode("utf-8", "replace"))
            given.seek(0)
            code, output = self._run(message, given)
        said = mask(_one_line(output), [value for _, value in self.environment])
        return self._judge(code, said)

    def _run(self, message: Message, given: IO[bytes]) -> tuple[int, bytes]:
        """Exit code and output. The input is a file, so that a program that does not read it delays nothing."""
        try:
            process = subprocess.Popen(
                self.command,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**_kept(), **variables(message), **dict(self.environment)},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise PermanentError(f"{self.command[0]} cannot be run: {error.strerror or error}") from None
        with process:
            try:
                return _wait(process, time.monotonic() + self.time_limit)
            except TimeoutError:
                raise TemporaryError(f"{self._name} was killed after {self.time_limit:g} s") from None
            finally:
                if process.returncode is None:
                    _kill(process)

    def _judge(self, code: int, said: str) -> str:
        ended = (
            f"{self._name} ended with {code}" if code >= 0 else f"{self._name} was killed by signal {-code}"
        )
        answer = f"{ended}: {said}" if said else ended
        if code == 0:
            return answer
        if code == TEMPORARY:
            raise TemporaryError(answer)
        raise PermanentError(answer)

    @property
    def _name(self) -> str:
        return Path(self.command[0]).name


def variables(message: Message) -> dict[str, str]:
    """What a simple script needs, without reading JSON."""
    alert = message.alert
    texts = {
        "ID": message.id,
        "STATUS": message.status.value,
        "LEVEL": alert.level.value,
        "ALERTNAME": alert.alertname,
        "TITLE": message.title,
        "BODY": message.body[:16_000],
        "HOST": alert.host,
        "PROJECT": alert.project,
        "SERVICE": alert.service,
        "CONTAINER": alert.container,
        "THREAD": message.thread_key,
        "COUNT": str(len(message.all)),
    }
    return {f"{PREFIX}{name}": _storable(text) for name, text in texts.items()}


def _storable(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _kept() -> dict[str, str]:
    return {name: os.environ[name] for name in _KEPT if name in os.environ}


def _wait(process: subprocess.Popen[bytes], end: float) -> tuple[int, bytes]:
    """Read what it says until it has ended, also where something that it has started keeps its output open.

    Raise TimeoutError at `end`.
    """
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    poll = select.poll()
    poll.register(pipe, select.POLLIN | select.POLLHUP)
    said = b""
    while True:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if poll.poll(min(left, _LOOK) * 1000):
            piece = os.read(pipe, 65_536)
            said = (said + piece)[:_READ]
            if not piece:
                return _ended(process, left), said
        elif process.poll() is not None:
            return process.returncode, said
        if len(said) == _READ and process.poll() is not None:
            return process.returncode, said


def _ended(process: subprocess.Popen[bytes], left: float) -> int:
    """The exit code of a program that has closed its output."""
    try:
        return process.wait(left)
    except subprocess.TimeoutExpired:
        raise TimeoutError from None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The program and all that it has started; they are a process group of their own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _one_line(output: bytes) -> str:
    text = output.decode("utf-8", "replace")
    return shortened(
        " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split()), SHOWN
    )
