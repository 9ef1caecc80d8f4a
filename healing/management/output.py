"""How commands show things: tables for people, JSON for machines, errors as one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TextIO

from django.core.management.base import CommandError
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from healing.api.lookup import LookupFailed
from healing.commands import Refused
from healing.core.errors import ConfigError, PluginError
from healing.core.wording import shown

STYLES: Mapping[str, str] = {
    "healthy": "green",
    "unhealthy": "bold red",
    "unknown": "yellow",
    "success": "green",
    "succeeded": "green",
    "failed": "red",
    "pending": "yellow",
    "quarantined": "bold red",
    "ok": "green",
    "warning": "yellow",
    "error": "bold red",
    "critical": "bold red",
}
"""The colour of each word that means something."""


def as_json(data: Any) -> str:
    """Indented JSON; times as ISO 8601 in UTC with their offset."""
    return json.dumps(data, indent=2, ensure_ascii=False, default=_plain)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def console(stream: TextIO) -> Console:
    """A console on a command's stdout: colours on a terminal only, and a width that a pipe cannot squeeze."""
    is_terminal = bool(getattr(stream, "isatty", lambda: False)())
    return Console(
        file=stream, force_terminal=is_terminal, width=None if is_terminal else 140, highlight=False
    )


def word(value: object) -> Text:
    """A cell: text as it is (never markup: it may be a log line), in its colour if the word has one."""
    text = shown(value)
    return Text(text, style=STYLES.get(text, ""))


def pairs_table(title: str, rows: Iterable[tuple[str, object]]) -> Table:
    """Two columns: what it is, and its value."""
    table = Table(title=Text(title), box=box.SIMPLE, show_header=False, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value if isinstance(value, Text) else word(value))
    return table


def rows_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table with a header."""
    table = Table(title=Text(title), box=box.SIMPLE_HEAD, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else word(cell) for cell in row))
    return table


@contextmanager
def sentences() -> Iterator[None]:
    """Turn errors that people can mend into one sentence and exit status 1."""
    try:
        yield
    except (LookupFailed, Refused, ConfigError, PluginError, ValueError) as error:
        raise CommandError(str(error)) from error
