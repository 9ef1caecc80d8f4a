"""The testbed itself: what all other tests rely on is real."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest
import redis

from tests.testbed import faults
from tests.testbed.browser import chromium
from tests.testbed.containers import Containers, healthcheck
from tests.testbed.engine import Engine, docker_engine
from tests.testbed.services import RedisServer, execute, fresh_database
from tests.testbed.wait import NotInTimeError, until


def test_container_turns_unhealthy_and_a_restart_cures_it(containers: Containers) -> None:
    """A fault put into a container shows as the engine's own verdict, and goes with a restart."""
    web = containers.run_web()
    containers.exec(web, faults.BREAK_HEALTH)
    containers.wait_health(web, "unhealthy")
    containers.client.restart(web, timeout=2)
    containers.wait_health(web, "healthy")


def test_container_is_reachable_and_can_be_made_to_hang(containers: Containers) -> None:
    """A container's address answers this machine, until its server is stopped behind an open port."""
    web = containers.run_web()
    url = f"http://{containers.address(web)}:{faults.PORT}/"
    assert until(lambda: urllib.request.urlopen(url, timeout=2).read(), 10, url) == b"ok\n"
    containers.exec(web, faults.BREAK_ANSWERS)
    with pytest.raises(TimeoutError):
        urllib.request.urlopen(url, timeout=0.5)


def test_health_command_over_http_sees_a_hung_server(containers: Containers) -> None:
    """The HTTP HEALTHCHECK passes on a live server and fails on a hung one."""
    web = containers.run_web(check=faults.HEALTH_HTTP)
    containers.exec(web, faults.BREAK_ANSWERS)
    containers.wait_health(web, "unhealthy")


def test_out_of_memory_is_flagged(containers: Containers) -> None:
    """The kernel's kill at the memory limit reaches the engine as OOMKilled."""
    eater = containers.run("oom", faults.OUT_OF_MEMORY, **faults.OUT_OF_MEMORY_LIMITS)
    containers.wait_status(eater, "exited")
    assert containers.state(eater)["OOMKilled"]
    assert containers.state(eater)["ExitCode"] == 137


def test_killed_from_outside(containers: Containers) -> None:
    """A kill past the engine ends the container with 137 and without the OOM flag."""
    idle = containers.run()
    containers.kill_from_outside(idle)
    containers.wait_status(idle, "exited")
    assert (containers.state(idle)["ExitCode"], containers.state(idle)["OOMKilled"]) == (137, False)


def test_engine_restarts_a_crashing_container_itself(containers: Containers) -> None:
    """A crash loop under the engine's own restart policy counts up."""
    loop = containers.run("loop", faults.CRASH, restart_policy="always")
    assert until(lambda: containers.client.inspect_container(loop)["RestartCount"] >= 2, 20, "two restarts")


def test_fault_commands_do_what_they_say(containers: Containers) -> None:
    """The scripted exits end a container when and as often as they promise."""
    once = containers.run("once", faults.crash_once(3))
    containers.wait_status(once, "exited")
    assert containers.state(once)["ExitCode"] == 3
    containers.client.start(once)
    on_file = containers.run("on-file", faults.exit_on_file(4))
    containers.exec(on_file, ["touch", "/tmp/end"])
    containers.wait_status(on_file, "exited")
    assert containers.state(on_file)["ExitCode"] == 4
    assert containers.state(once)["Running"]


def test_oom_on_file_and_http_status(containers: Containers) -> None:
    """A container can be told to run out of memory later, and one answers a chosen HTTP status."""
    eater = containers.run("eater", faults.oom_on_file(), **faults.OUT_OF_MEMORY_LIMITS)
    broken = containers.run("broken", faults.http_status(500))
    containers.exec(eater, ["touch", "/tmp/eat"])
    containers.wait_status(eater, "exited")
    assert containers.state(eater)["OOMKilled"]
    url = f"http://{containers.address(broken)}:{faults.PORT}/"
    assert until(lambda: _status(url), 10, "an answer") == 500


def _status(url: str) -> int:
    try:
        return int(urllib.request.urlopen(url, timeout=2).status)
    except urllib.error.HTTPError as answer:
        return answer.code


def test_containers_are_removed_with_their_test(docker_host: str) -> None:
    """Nothing of a test stays on the shared engine."""
    made = Containers(docker_host)
    made.run("left")
    made.remove_all()
    other = Containers(docker_host)
    assert not other.client.containers(all=True, filters={"name": made.prefix})
    other.remove_all()


def test_engine_of_its_own_survives_a_kill(own_engine: Engine, own_containers: Containers) -> None:
    """A killed engine leaves its containers running, and comes back on the same data."""
    web = own_containers.run("web", healthcheck=healthcheck(faults.HEALTH_FILE))
    pid = own_containers.state(web)["Pid"]
    own_engine.kill()
    assert Path(f"/proc/{pid}").exists()
    own_engine.start()
    assert [c["Id"] for c in own_containers.client.containers(all=True)] == [web]


def test_engines_leave_nothing_behind() -> None:
    """Several engines run beside each other; each takes its processes, files and mounts with it."""
    with docker_engine("one", bridge=False) as one, docker_engine("two", bridge=False) as two:
        containers = [Containers(engine.host) for engine in (one, two)]
        pids = [c.state(c.run(network_mode="none"))["Pid"] for c in containers]
        assert [len(c.client.containers()) for c in containers] == [1, 1]
        two.kill()
    for engine in (one, two):
        assert not engine.folder.exists()
        assert str(engine.folder) not in Path("/proc/self/mounts").read_text()
    assert not [pid for pid in pids if Path(f"/proc/{pid}/exe").exists()]


def test_redis_databases_are_empty_and_apart(redis_url: str) -> None:
    """A test's Redis database answers and holds nothing of other tests."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()
        assert client.dbsize() == 0
        client.set("left", "over")


def test_own_redis_can_be_killed_and_started_again(own_redis: RedisServer) -> None:
    """A Redis that was killed comes back on the same address without its data."""
    with redis.Redis.from_url(own_redis.url) as client:
        client.set("key", "value")
        own_redis.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        own_redis.start()
        assert client.get("key") is None


def test_paused_redis_accepts_and_says_nothing(own_redis: RedisServer) -> None:
    """A paused Redis is one that hangs, and goes on when resumed."""
    with redis.Redis.from_url(own_redis.url, socket_timeout=0.3, retry=None) as client:
        own_redis.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        own_redis.resume()
        assert until(client.ping, 5, "answers again")


def test_postgres_databases_are_new(postgres_address: str, postgres_url: str) -> None:
    """Each test gets an empty database of its own on the shared server."""
    assert execute(postgres_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
    execute(postgres_url, "CREATE TABLE mine (id int)")
    with fresh_database(postgres_address) as another:
        assert execute(another, "SELECT to_regclass('mine')") == [(None,)]


def test_browser_renders_a_page() -> None:
    """Chromium runs headless and shows what it is given."""
    with chromium() as browser:
        page = browser.new_page()
        page.set_content("<h1>healed</h1>")
        assert page.inner_text("h1") == "healed"


def test_until_says_what_it_waited_for() -> None:
    """A deadline that passes names the condition and the last thing seen."""
    with pytest.raises(NotInTimeError, match=r"the moon is full; last seen: 0"):
        until(lambda: 0, 0.05, "the moon is full")
    with pytest.raises(NotInTimeError, match=r"ZeroDivisionError"):
        until(lambda: 1 / 0, 0.05, "a division")
