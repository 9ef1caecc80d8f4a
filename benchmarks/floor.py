"""The floor: the least that can heal. It knows no limits, writes nothing down, and does one container at a time.

`python -m benchmarks.floor DOCKER_HOST EVENT STOP_TIMEOUT`, where EVENT is `die` or `health_status: unhealthy`.
"""

import contextlib
import sys

import docker

host, event, stop_timeout = sys.argv[1:]
client = docker.APIClient(base_url=host, version="auto")
events = client.events(decode=True, filters={"type": "container", "event": event})
act = (
    client.start if event == "die" else lambda container: client.restart(container, timeout=int(stop_timeout))
)
print("ready", flush=True)
for seen in events:
    with contextlib.suppress(docker.errors.APIError):  # it may be gone by now
        act(seen["id"])
