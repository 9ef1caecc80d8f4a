"""What an exit code means."""

from __future__ import annotations

import signal

_MEANINGS = {
    0: "finished without an error",
    1: "the program reported an error",
    2: "the program was used wrongly, or reported an error",
    125: "the engine could not run the container",
    126: "the command cannot be executed: permission, or not a program",
    127: "the command was not found",
    128: "the engine could not start the container's process",
    255: "the program reported an error, or the engine lost it",
}

SIGNAL_BASE = 128


def signal_of(exit_code: int) -> int | None:
    """The number of the signal that ended the process, where the code says so."""
    number = exit_code - SIGNAL_BASE
    return number if 1 <= number <= 64 else None


def meaning(exit_code: int) -> str:
    """One clause for people, such as "exit code 137: ended by SIGKILL"."""
    if exit_code in _MEANINGS:
        return f"exit code {exit_code}: {_MEANINGS[exit_code]}"
    number = signal_of(exit_code)
    if number is None:
        return f"exit code {exit_code}: the program's own error code"
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"exit code {exit_code}: ended by {name}"
