"""Which container this process itself runs in, so that it never restarts itself in the middle of a heal."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

_MOUNT = re.compile(r"/containers/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf)")


def id_in_mounts(mountinfo: str) -> str:
    """The engine's id of the container whose mounts these are, from the files that every engine mounts; else empty."""
    found = _MOUNT.search(mountinfo)
    return found[1] if found else ""


@cache
def own_container_id() -> str:
    """SELFHEAL_CONTAINER_ID where it is set, else what /proc/self/mountinfo says; empty outside of a container."""
    given = os.environ.get("SELFHEAL_CONTAINER_ID", "").strip()
    if given:
        return given
    try:
        return id_in_mounts(Path("/proc/self/mountinfo").read_text())
    except OSError:
        return ""


def is_own_container(engine_id: str) -> bool:
    """Whether the container with this engine id is the one that this process runs in."""
    own = own_container_id()
    return bool(own) and engine_id.startswith(own)
