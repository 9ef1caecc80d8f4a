"""Signals by the names and numbers that people give."""

from __future__ import annotations

import signal


def signal_name(text: str) -> str:
    """ "9", "KILL" or "SIGKILL" as "SIGKILL"; "" for what is no signal."""
    try:
        if text.isdigit():
            return signal.Signals(int(text)).name
        return signal.Signals[f"SIG{text.upper().removeprefix('SIG')}"].name
    except (KeyError, ValueError):
        return ""
