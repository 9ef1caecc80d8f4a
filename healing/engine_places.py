"""Where the engines are: a channel that could call them would be root on their machines."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from healing.models import Host


def places() -> Iterator[tuple[str, int]]:
    """Hosts and ports of the engines that are reached by TCP; of a Unix socket its path, with port 0."""
    for address in Host.objects.values_list("address", flat=True):
        try:
            parts = urlsplit(address)
            host, port = parts.hostname or "", parts.port or 0
        except ValueError:
            continue
        if parts.scheme == "tcp" and host and port:
            yield host, port
        elif parts.scheme == "unix" and parts.path:
            yield parts.path, 0
