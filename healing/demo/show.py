"""The demo on a terminal (a live table), or in a pipe (one line for each thing that happens)."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TextIO

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from healing.demo.observe import Progress, Seen

Rows = Sequence[tuple[Progress, Seen]]


class Show:
    """Call `update` as often as you like; in a pipe, only what has changed is written."""

    def __init__(self, stream: TextIO) -> None:
        terminal = bool(getattr(stream, "isatty", lambda: False)())
        self.console = Console(
            file=stream, force_terminal=terminal, width=None if terminal else 160, highlight=False
        )
        self._live = Live(console=self.console, refresh_per_second=8) if terminal else None
        self._written: set[str] = set()

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)
        self.console.file.flush()

    def __enter__(self) -> Show:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, rows: Rows) -> None:
        if self._live is not None:
            self._live.update(table(rows))
            return
        for progress, seen in rows:
            for line in _lines(progress, seen):
                if line not in self._written:
                    self._written.add(line)
                    self.say(line)

    def finish(self, rows: Rows) -> None:
        """The last state; in a pipe the whole table once."""
        self.update(rows)
        if self._live is None:
            self.console.print(table(rows))
            self.console.file.flush()


def table(rows: Rows) -> Table:
    """All services; times count from the moment each was broken."""
    made = Table(box=box.SIMPLE_HEAD, expand=False)
    for title in (
        "service",
        "what we break",
        "found after",
        "cause",
        "restarted after",
        "ended after",
        "outcome",
    ):
        made.add_column(title, justify="right" if title.endswith("after") else "left", overflow="fold")
    for progress, seen in rows:
        style = ("green" if seen.as_expected else "bold red") if seen.outcome else ""
        made.add_row(
            progress.service.name,
            progress.service.sabotaged_by,
            _seconds(seen.found),
            seen.cause,
            ", ".join(_seconds(at) for at in seen.restarts),
            _seconds(seen.ended),
            f"[{style}]{seen.outcome}[/]" if style else _state(progress, seen),
        )
    return made


def _state(progress: Progress, seen: Seen) -> str:
    if progress.broken_at is None:
        return "works"
    if seen.found is None:
        return "broken"
    return "restarted, being verified" if seen.restarts else "found"


def _lines(progress: Progress, seen: Seen) -> list[str]:
    name = f"{progress.service.name:<9}"
    lines = []
    if progress.broken_at is not None:
        lines.append(f"{name}   0.0 s  broken: {progress.service.sabotaged_by}")
    if seen.found is not None:
        lines.append(f"{name} {_padded(seen.found)}  found")
    if seen.cause and seen.restarts:
        lines.append(f"{name} {_padded(seen.restarts[0])}  cause: {seen.cause}")
    lines += [f"{name} {_padded(at)}  restarted" for at in seen.restarts]
    if seen.ended is not None:
        lines.append(f"{name} {_padded(seen.ended)}  {seen.outcome}")
    return lines


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{max(value, 0.0):.1f} s"


def _padded(value: float) -> str:
    return f"{max(value, 0.0):5.1f} s"
