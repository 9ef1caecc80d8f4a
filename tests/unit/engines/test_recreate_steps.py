"""What a recreate asks of an engine: what an earlier one has left over, and what the new container is made with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from healing.core.errors import ContainerNotFound, EngineConflict, PermanentError
from healing.engines.docker_recreate import Recreation, creation

OLD_PARENT, NEW_PARENT = "container:" + "a" * 64, "container:" + "b" * 64


class Engine:
    """Containers by their names, as an engine's API keeps them: a name is taken once."""

    def __init__(self, **running: bool) -> None:
        self.asked: list[str] = []
        self.containers: dict[str, dict[str, Any]] = {}
        for name, runs in running.items():
            self._add(name, name.replace("_old", ".selfheal-old"), runs)

    def names(self) -> dict[str, bool]:
        return {each["Name"][1:]: each["State"]["Running"] for each in self.containers.values()}

    def get(self, path: str, what: str, seconds: float) -> Any:
        return {"Id": "sha256:1"} if path.startswith("/images") else self._find(path.split("/")[2])

    def send(
        self,
        method: str,
        path: str,
        what: str,
        seconds: float,
        query: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Any:
        self.asked.append(what)
        if path == "/containers/create":
            return self._add("made", (query or {})["name"], False)
        container, step = self._find(path.split("/")[2]), path.split("/")[-1]
        if method == "DELETE":
            del self.containers[container["Id"]]
        elif step == "rename":
            self._rename(container, (query or {})["name"])
        else:
            container["State"] = {"Running": step == "start"}
        return None

    def _add(self, container_id: str, name: str, runs: bool) -> dict[str, Any]:
        host = {"NetworkMode": "none"}
        made = {"Id": container_id, "Name": f"/{name}", "State": {"Running": runs}, "Image": "sha256:1"}
        self.containers[container_id] = made | {"Config": {"Image": "app:1"}, "HostConfig": host}
        return self.containers[container_id]

    def _find(self, key: str) -> dict[str, Any]:
        for each in self.containers.values():
            if key in (each["Id"], each["Name"][1:]):
                return each
        raise ContainerNotFound(key)

    def _rename(self, container: dict[str, Any], name: str) -> None:
        if name in self.names():
            raise EngineConflict(f"409: {name} is in use")
        container["Name"] = f"/{name}"


def recreate(engine: Engine) -> str:
    return Recreation(engine, None, 1, time.monotonic() + 60).run("app")


def test_an_old_container_that_an_earlier_call_has_left_over_is_removed_first() -> None:
    """It has the name that this recreate needs for the container which it sets aside."""
    engine = Engine(app=True, app_old=False)
    assert recreate(engine) == "made"
    assert engine.names() == {"app": True}
    assert engine.asked[0] == "remove app.selfheal-old"


def test_one_that_runs_is_refused_before_anything_is_stopped() -> None:
    """Whatever started it, it is not ours to end: people are told what to do, and the container goes on."""
    engine = Engine(app=True, app_old=True)
    with pytest.raises(PermanentError, match=r"app\.selfheal-old runs.*remove or rename"):
        recreate(engine)
    assert engine.names() == {"app": True, "app.selfheal-old": True}
    assert engine.asked == []


def inspected(**host: Any) -> dict[str, Any]:
    """As an engine tells of a container with one volume."""
    volume = {"Type": "volume", "Name": "kept", "Destination": "/data", "RW": True}
    return {"Id": "c" * 64, "Config": {}, "HostConfig": {"NetworkMode": "none", **host}, "Mounts": [volume]}


@pytest.mark.parametrize("target", ["/data", "/data/", "//data", "/var/../data"])
def test_a_volume_is_mounted_once_however_its_place_was_written(target: str) -> None:
    """The engine tells the place cleaned; two mounts on one place are refused by some engines, and ambiguous on others."""
    by_bind = creation(inspected(Binds=[f"kept:{target}:rw"]), "app:1", None)["HostConfig"]
    assert by_bind["Binds"] == [f"kept:{target}:rw"]
    by_mount = creation(inspected(Mounts=[{"Type": "volume", "Target": target}]), "app:1", None)["HostConfig"]
    assert by_mount["Binds"] is None
    assert by_mount["Mounts"] == [{"Type": "volume", "Target": target, "Source": "kept"}]


def test_all_that_was_shared_with_the_old_parent_is_shared_with_the_new() -> None:
    """Processes and IPC of a container that is gone can no more be joined than its network; others stay as they are."""
    old = inspected(NetworkMode=OLD_PARENT, PidMode=OLD_PARENT, IpcMode="container:" + "d" * 64)
    host = creation(old, "app:1", NEW_PARENT)["HostConfig"]
    assert (host["NetworkMode"], host["PidMode"]) == (NEW_PARENT, NEW_PARENT)
    assert host["IpcMode"] == "container:" + "d" * 64
