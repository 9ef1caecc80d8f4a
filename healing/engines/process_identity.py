"""Which process a pid is: pids are used again, so one is known by its start time too, and never signalled without."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


def start_mark(pid: int) -> str:
    """A text that no later process with this pid has; "" where there is no such process."""
    if pid <= 0:
        return ""
    if (_PROC / "self/stat").exists():
        fields = _stat_fields(pid)
        return f"{_boot()}-{fields[19]}" if fields else ""
    return _ps(pid, "lstart")


def is_alive(pid: int, mark: str) -> bool:
    """Whether the very process that had this mark still runs (a zombie does not)."""
    if not mark or start_mark(pid) != mark:
        return False
    fields = _stat_fields(pid)
    return (fields[0] if fields else _ps(pid, "state")[:1]) not in ("Z", "X", "")


def signal_process(pid: int, mark: str, number: int) -> bool:
    """Signal that very process; False where it is gone."""
    if not is_alive(pid, mark):
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on; the command before them may hold anything."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


@cache
def _boot() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return "boot"


def _ps(pid: int, column: str) -> str:
    done = subprocess.run(
        ["ps", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()
