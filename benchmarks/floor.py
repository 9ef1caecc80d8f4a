"""The floor: the least that can heal. It knows no limits, writes nothing down, and restarts what fails in a pool of threads.

`python -m benchmarks.floor DOCKER_HOST EVENT STOP_TIMEOUT THREADS`, where EVENT is `die` or `health_status: unhealthy`.
"""

import contextlib
import sys
from concurrent.futures import ThreadPoolExecutor

import docker

host, event, stop_timeout, threads = sys.argv[1:]
client = docker.APIClient(base_url=host, version="auto", max_pool_size=int(threads) + 1)
events = client.events(decode=True, filters={"type": "container", "event": event})


def act(container: str) -> None:
    with contextlib.suppress(docker.errors.APIError):  # it may be gone by now
        if event == "die":
            client.start(container)
        else:
            client.restart(container, timeout=int(stop_timeout))


print("ready", flush=True)
with ThreadPoolExecutor(int(threads)) as pool:
    for seen in events:
        pool.submit(act, seen["id"])
