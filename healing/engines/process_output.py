"""A log file that never grows past twice its limit: the older half is thrown away."""

from __future__ import annotations

from pathlib import Path

from healing.core.wording import storable

LINE_LIMIT = 1000


class CappedLog:
    """Appends to `path`; at `limit` bytes what is there becomes `old`, and the older `old` is gone."""

    def __init__(self, path: Path, old: Path, limit: int) -> None:
        self._path, self._old, self._limit = path, old, limit
        self._file = path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        if self._file.tell() + len(data) > self._limit and self._file.tell():
            self._file.close()
            self._path.replace(self._old)
            self._file = self._path.open("ab", buffering=0)
        self._file.write(data)


def last_lines(path: Path, old: Path, tail: int) -> list[str]:
    """The last `tail` lines of both files, oldest first, each cut to 1,000 characters."""
    if tail <= 0:
        return []
    data = _read(path)
    if data.count(b"\n") < tail:
        data = _read(old) + data
    lines = data.decode("utf-8", "replace").splitlines()[-tail:]
    return [storable(line[:LINE_LIMIT]) for line in lines]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
