"""The machine that was measured on, in one sentence."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path


def machine(*parts: str) -> str:
    """Cores, processor, kernel, `parts` that a measurement adds, Python and date."""
    cores = f"{len(os.sched_getaffinity(0))} cores ({_processor()})"
    known = [cores, f"Linux {platform.release()}", *parts, f"Python {platform.python_version()}"]
    return f"{', '.join(known)}, {datetime.now(UTC):%Y-%m-%d}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
