"""A private Prometheus Alertmanager, the peer that our groups are compared with."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.testbed.paths import needed
from tests.testbed.process import Child, free_port


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """It answers at `url`."""

    url: str

    def post(self, path: str, body: Any) -> bytes:
        request = urllib.request.Request(
            f"{self.url}/api/v2/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return bytes(response.read())

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v2/{path}", timeout=10) as response:
            return json.load(response)


@contextmanager
def alertmanager(folder: Path, config: dict[str, Any]) -> Iterator[Alertmanager]:
    """A started one with this configuration; it is alone, not a cluster."""
    port = free_port()
    # JSON is YAML.
    (folder / "alertmanager.yml").write_text(json.dumps(config))
    command = [
        needed("prometheus-alertmanager", "prometheus-alertmanager"),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    child = Child(command, folder / "alertmanager.log")
    running = Alertmanager(f"http://127.0.0.1:{port}")
    try:
        child.wait_ready(lambda: _answers(running))
        yield running
    finally:
        child.stop()


def _answers(running: Alertmanager) -> bool:
    try:
        return bool(running.get("status"))
    except OSError:
        return False
