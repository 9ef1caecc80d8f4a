"""Names of Linux signals, whatever we run on."""

from __future__ import annotations

# fmt: off
_SIGNALS = (
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
    "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
    "WINCH", "IO", "PWR", "SYS",
)
# fmt: on
_REAL_TIME_SIGNALS = range(34, 65)


def signal_name(value: object) -> str:
    """A signal as "SIGTERM", from "15", "TERM" or "SIGTERM" (Linux numbers, whatever we run on); "" for none."""
    text = str(value if value is not None else "").strip().upper()
    if not text.isdigit():
        return text if not text or text.startswith("SIG") else f"SIG{text}"
    number = int(text)
    if 1 <= number <= len(_SIGNALS):
        return f"SIG{_SIGNALS[number - 1]}"
    return f"SIGRTMIN+{number - 34}" if number in _REAL_TIME_SIGNALS else text
