"""Processor time and memory of a process and its descendants, by what each of them is, from /proc."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

ALL = "selfheal"
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_WORKER = re.compile(r"\bworker .*?-n (\w+)@")
_KINDS = {
    "uvicorn": "web",
    " beat": "beat",
    " flower": "flower",
    "manage.py watch": "watch",
    "manage.py sweep": "sweep",
    "manage.py up": "up",
}

Amounts = Mapping[str, float]
"""Kind of process -> seconds, or bytes."""


def processor(pid: int, name: str = "") -> Amounts:
    """Seconds of processor time so far, of a family; those who have ended and were waited for included.

    `name` is one name for all; without it each process is called after its command line.
    """
    return _sums(pid, name, lambda fields: sum(int(value) for value in fields[11:15]) / _TICKS)


def resident(pid: int, name: str = "") -> Amounts:
    """Bytes of memory in use now, of a family."""
    return _sums(pid, name, lambda fields: float(int(fields[21]) * _PAGE))


def kind_of(command: str) -> str:
    """What a process of Selfheal is, by its command line: worker-heal, web, beat …; "" where that does not tell."""
    if worker := _WORKER.search(command):
        return f"worker-{worker[1]}"
    return next((kind for sign, kind in _KINDS.items() if sign in command), "")


def _sums(pid: int, name: str, amount: Callable[[list[str]], float]) -> Amounts:
    sums: dict[str, float] = defaultdict(float)
    for member, kind in _family(pid, name).items():
        if fields := stat_fields(member):
            sums[kind] += amount(fields)
    return dict(sums)


def _family(pid: int, name: str) -> dict[int, str]:
    """A process and its descendants; one that cannot be told by its command line is what its parent is."""
    parents = parents_of_all()
    found = {pid: name or kind_of(_command(pid)) or ALL} if pid in parents else {}
    waiting = list(found)
    for parent in waiting:
        for child in (child for child, of in parents.items() if of == parent and child not in found):
            found[child] = name or kind_of(_command(child)) or found[parent]
            waiting.append(child)
    return found


def parents_of_all() -> dict[int, int]:
    """Process -> its parent, of all that there are."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := stat_fields(int(entry.name))):
            parents[int(entry.name)] = int(fields[1])
    return parents


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; none where the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
