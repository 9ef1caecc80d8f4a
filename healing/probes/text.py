"""Short, printable pieces of what a peer said, for messages that people read."""

from __future__ import annotations


def one_line(text: str, limit: int = 200) -> str:
    """The text on one line, control characters gone, cut to `limit` characters."""
    line = " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
