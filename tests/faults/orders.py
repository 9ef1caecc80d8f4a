"""What is to happen to a process of ours at a named point of a heal, and the names of these points.

A point is a log record with a stable `action` (docs/operations.md): the process that is about to write it is killed or
stopped, once. `site/sitecustomize.py` carries it out inside the processes.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.testbed.wait import until

SITE = Path(__file__).resolve().parent / "site"


@dataclass(frozen=True)
class CrashPoint:
    """A point between two effects of a heal: `action` of the record, and what else the record says."""

    name: str
    action: str
    where: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


CRASH_POINTS = (
    CrashPoint("the failure is found, and not yet committed", "failure_found"),
    CrashPoint("claimed for diagnosis", "claimed", {"stage": "diagnose"}),
    CrashPoint("decided, and the intent not yet committed", "decided"),
    CrashPoint("the intent is committed, and the hint not sent", "stage_done", {"stage": "diagnose"}),
    CrashPoint("claimed for the restart", "claimed", {"stage": "restart"}),
    CrashPoint("on record as called, and not called", "restart"),
    CrashPoint("answered, and the answer not on record", "answered"),
    CrashPoint("the answer is on record, and the hint not sent", "stage_done", {"stage": "restart"}),
    CrashPoint("claimed for verification", "claimed", {"stage": "verify"}),
    CrashPoint("healed, and the place not handed on", "healed"),
)
"""All points of a heal in their order; while the engine works on the call is one more, seen by the engine's proxy."""


class Order:
    """One order that has been given. `strikes` are the processes that it has hit so far, as (time, pid)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def strikes(self) -> list[tuple[float, int]]:
        found = [
            path.name.rpartition(".struck-")[2]
            for path in self.path.parent.glob(f"{self.path.name}.struck-*")
        ]
        return sorted((int(at) / 1e9, int(pid)) for at, pid in (name.split("-") for name in found))

    def wait(self, timeout: float = 30) -> int:
        """Until it has hit a process; its pid."""
        until(lambda: self.strikes, timeout, f"somebody comes to this point: {self._text()}")
        return self.strikes[0][1]

    def withdraw(self) -> None:
        self.path.unlink(missing_ok=True)

    def _text(self) -> str:
        return self.path.read_text() if self.path.exists() else "it has been carried out"


class Orders:
    """The folder in which the processes find their orders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count()
        folder.mkdir(mode=0o777)
        os.chmod(folder, 0o777)

    @property
    def environ(self) -> dict[str, str]:
        """What a process needs to look for orders."""
        return {"FAULT_ORDERS": str(self.folder), "PYTHONPATH": str(SITE)}

    def give(
        self, action: str, do: str = "kill", *, once: bool = True, seconds: float = 1.0, **where: object
    ) -> Order:
        """`do`: kill, stop (SIGSTOP), or wait (that thread alone, for `seconds`). `where`: what the record must say too."""
        path = self.folder / f"{next(self._numbers):03}-{action}.order"
        draft = path.with_suffix(".draft")
        draft.write_text(
            json.dumps({"action": action, "do": do, "once": once, "seconds": seconds, "where": where})
        )
        draft.rename(path)
        return Order(path)

    def at(self, point: CrashPoint, do: str = "kill", *, once: bool = True, **where: object) -> Order:
        return self.give(point.action, do, once=once, **{**point.where, **where})

    def withdraw_all(self) -> None:
        for path in self.folder.glob("*.order"):
            path.unlink(missing_ok=True)
