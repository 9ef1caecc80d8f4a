"""Frames of the engine's multiplexed output (logs, exec), and log lines."""

from __future__ import annotations

from collections.abc import Iterator

from healing.core.wording import storable

LINE_LIMIT = 1000

_HEADER = 8
_STREAMS = (0, 1, 2)


class Demultiplexer:
    """Takes bytes as they come and gives the payload: frames with an 8-byte header, or plain bytes (a TTY).

    Which of the two it is shows in the first header: the API says so only in newer versions.
    """

    def __init__(self) -> None:
        self._pending = b""
        self._left = 0
        self._plain: bool | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        data = self._pending + data
        self._pending = b""
        if self._plain is None and len(data) >= 4:
            self._plain = not (data[0] in _STREAMS and data[1:4] == b"\0\0\0")
        if self._plain:
            yield data
            return
        yield from self._frames(data)

    def rest(self) -> bytes:
        """What was too short to tell what it is: then it is plain."""
        return b"" if self._plain is False else self._pending

    def _frames(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._left == 0:
                if len(data) < _HEADER:
                    self._pending = data
                    return
                self._left = int.from_bytes(data[4:_HEADER], "big")
                data = data[_HEADER:]
            part, data = data[: self._left], data[self._left :]
            self._left -= len(part)
            if part:
                yield part


def last_lines(body: bytes, tail: int) -> list[str]:
    """The last `tail` lines, oldest first, each cut to 1,000 characters."""
    demultiplexer = Demultiplexer()
    output = b"".join(demultiplexer.feed(body)) + demultiplexer.rest()
    lines = output.decode("utf-8", "replace").splitlines()[-tail:] if tail > 0 else []
    return [storable(line[:LINE_LIMIT]) for line in lines]
