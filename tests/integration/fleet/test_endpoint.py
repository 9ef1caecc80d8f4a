"""The simulator's HTTP, with the docker package and with bare sockets."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from benchmarks.fleet import payloads
from benchmarks.fleet.container import NANOSECONDS, now
from benchmarks.fleet.control import Control, ControlError
from tests.integration.fleet.conftest import ONE, Scene
from tests.testbed.wait import until

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def client(scene: Scene) -> Iterator[docker.APIClient]:
    with docker.APIClient(
        base_url=scene.fleet.do(lambda fleet: fleet.addresses()[ONE]), version="auto"
    ) as made:
        yield made


def asked(scene: Scene, data: bytes) -> bytes:
    """What one connection answers to these bytes, until it is closed."""
    path = scene.fleet.do(lambda fleet: str(fleet.endpoint(ONE).path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(5)
        peer.connect(path)
        peer.sendall(data)
        return b"".join(iter(lambda: peer.recv(65536), b""))


def test_the_docker_package_runs_commands_over_an_upgraded_connection(
    client: docker.APIClient, scene: Scene
) -> None:
    """The hijacked stream is the engine's, also for others than Selfheal's own client."""
    made = client.exec_create(scene.web, ["sh", "-c", "echo out; echo err >&2; exit 4"])
    assert client.exec_start(made, demux=True) == (b"out\n", b"err\n")
    assert client.exec_inspect(made)["ExitCode"] == 4
    other = client.exec_create(scene.web, ["echo", "plain"])
    assert client.exec_start(other, tty=True) == b"plain\n"
    last = client.exec_create(scene.web, ["false"])
    client.exec_start(last, detach=True)
    until(lambda: client.exec_inspect(last)["ExitCode"] == 1, 5, "ended")


def test_the_list_can_be_filtered(client: docker.APIClient, scene: Scene) -> None:
    """Other healers ask for what is unhealthy, or labelled."""
    scene.fleet.do(lambda fleet: fleet.unhealthy(ONE, scene.web))
    assert [row["Id"] for row in client.containers(filters={"health": "unhealthy"})] == [scene.web]
    assert len(client.containers(filters={"label": "team=shop"})) == 20
    assert client.containers(filters={"label": "team=bakery"}) == []
    name = client.inspect_container(scene.web)["Name"]
    assert [row["Id"] for row in client.containers(filters={"name": f"^{name}$"})] == [scene.web]
    with pytest.raises(docker.errors.APIError, match="Invalid filter 'volume'"):
        client.containers(filters={"volume": "x"})


def test_pausing_and_its_refusals(client: docker.APIClient, scene: Scene) -> None:
    """A paused container says so, and what it cannot do then."""
    client.pause(scene.web)
    assert client.inspect_container(scene.web)["State"]["Paused"]
    with pytest.raises(docker.errors.APIError, match="is paused, unpause"):
        client.exec_create(scene.web, ["true"])
    client.unpause(scene.web)
    with pytest.raises(docker.errors.APIError, match="is not paused"):
        client.unpause(scene.web)
    with pytest.raises(docker.errors.APIError, match="cannot remove a running container"):
        client.remove_container(scene.web)
    with pytest.raises(docker.errors.APIError, match="already in use"):
        client.create_container("any", ["true"], name=client.inspect_container(scene.web)["Name"].lstrip("/"))


def test_events_between_two_times_end(client: docker.APIClient, scene: Scene) -> None:
    """`since` and `until` together give what the engine still has, and the end of the stream."""
    scene.fleet.do(lambda fleet: fleet.die(ONE, scene.web))
    at = scene.fleet.do(lambda fleet: int(fleet.heals.rows()[0]["at"]))
    seen = list(client.events(since=at, until=at + 1, decode=True))
    assert [event["Action"] for event in seen] == ["die"]


def test_requests_follow_each_other_on_one_connection(scene: Scene) -> None:
    """Kept-alive and sent ahead, each is answered in its turn; a list of many is sent in chunks."""
    get = b"GET /v1.41%s HTTP/1.1\r\nHost: docker\r\n%s\r\n"
    data = (
        get % (b"/_ping", b"")
        + get % (b"/containers/json?all=1", b"")
        + get % (b"/_ping", b"Connection: close\r\n")
    )
    answer = asked(scene, data)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert b"Transfer-Encoding: chunked" in answer
    assert answer.endswith(b"OK")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (b"/v1.99/_ping", b"400", b"is too new"),
        (b"/v1.0/_ping", b"400", b"is too old"),
        (b"/v1.41/nonsense", b"404", b"page not found"),
        (b"/containers/none/json", b"404", b"No such container"),
        (b"/_ping", b"200", b"OK"),
    ],
)
def test_versions_and_unknown_paths(scene: Scene, path: bytes, status: bytes, words: bytes) -> None:
    """As the engine answers them, with and without a version."""
    answer = asked(scene, b"GET %s HTTP/1.1\r\nConnection: close\r\n\r\n" % path)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert words in answer


def test_what_is_no_http_is_refused(scene: Scene) -> None:
    """A client in error is told, and the endpoint goes on."""
    assert asked(scene, b"hello\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert len(scene.one.list()) == 20


def test_an_unchanged_list_is_the_same_bytes(scene: Scene) -> None:
    """What is asked every few seconds is made once, and anew when something has happened."""

    def listed() -> bytes:
        return scene.fleet.do(lambda fleet: fleet.endpoint(ONE).world.list_all(bytes))

    first = listed()
    assert listed() is first
    scene.fleet.do(lambda fleet: fleet.die(ONE, scene.web))
    assert listed() is not first


def test_a_row_is_made_anew_for_what_has_changed_and_for_its_age(scene: Scene) -> None:
    """The other rows stay as they are, also their ages, for as long as those hold."""

    def rows(later: float = 0.0) -> dict[str, bytes]:
        moment = now() + round(later * NANOSECONDS)
        return scene.fleet.do(
            lambda fleet: {
                one.id: payloads.row(one, moment) for one in fleet.endpoint(ONE).world.containers.values()
            }
        )

    first = rows()
    assert b"(healthy)" in first[scene.web]
    scene.fleet.do(lambda fleet: fleet.die(ONE, scene.web))
    second = rows(later=1000)
    assert b"Exited (1)" in second[scene.web]
    assert all(second[identity] is first[identity] for identity in first if identity != scene.web)
    third = rows(later=5400)
    assert all(b"Up 2 hours" in row for identity, row in third.items() if identity != scene.web)


def test_every_request_is_logged(scene: Scene) -> None:
    """Method, path, status and time of each, and counters by route."""
    scene.fleet.do(lambda fleet: fleet.forget_requests())
    scene.one.list()
    scene.one.inspect(scene.web)
    with pytest.raises(Exception, match="No such container"):
        scene.one.inspect("none")
    report = scene.fleet.do(lambda fleet: fleet.requests(ONE))
    assert report["routes"]["GET /containers/json"] == 1
    assert report["routes"]["GET /containers/{id}/json"] == 2
    assert report["statuses"]["404"] == 1
    rows = scene.fleet.do(lambda fleet: fleet.endpoint(ONE).log.rows())
    assert ("GET", "/v1.41/containers/json?all=1", 200) in [
        (r["method"], r["path"], r["status"]) for r in rows
    ]


def test_old_events_are_pushed_out_by_health_checks(scene: Scene) -> None:
    """A real engine forgets within seconds what 20 containers checked five times a second leave of 256 events."""
    scene.fleet.do(lambda fleet: fleet.die(ONE, scene.web))

    def told(later: float) -> int:
        world = scene.fleet.do(lambda fleet: fleet.endpoint(ONE).world)
        now = int(scene.fleet.do(lambda fleet: fleet.heals.rows()[-1]["at"]) * 1e9)
        return len(scene.fleet.do(lambda _: world.events.since(0, now + int(later * 1e9))))

    assert told(0) == 1
    assert told(2) == 0


def test_the_command_and_its_control_socket(tmp_path: Path) -> None:
    """Another process runs the fleet, is told what to do in JSON, and leaves its logs behind."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.fleet",
        "--engines",
        "2",
        "--containers",
        "3",
        "--dir",
        str(tmp_path),
    ]
    command += ["--label", "team=shop", "--dump", str(tmp_path / "dump")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == f"ready: 2 engines, 6 containers in {tmp_path}\n"
            with Control(tmp_path / "control.sock") as control:
                assert set(control.do("addresses")) == {"engine-01", "engine-02"}
                name = control.do("containers", engine=ONE)[0]["name"]
                control.do("unhealthy", engine=ONE, container=name, heals=False)
                assert control.do("heal_report")["waiting"] == 1
                with pytest.raises(ControlError, match="No such container: none"):
                    control.do("die", engine=ONE, container="none")
                with pytest.raises(ControlError, match="there is no command 'close'"):
                    control.do("close")
        finally:
            process.send_signal(signal.SIGTERM)
        summary = json.loads(process.stdout.read())
    assert process.returncode == 0
    assert summary["heals"]["kinds"] == {"unhealthy": 1}
    assert json.loads((tmp_path / "dump/heals.jsonl").read_text())["name"] == name
    assert not os.path.exists(tmp_path / "control.sock")
