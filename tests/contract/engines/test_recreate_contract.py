"""What a recreate promises: the same container under a new id, or the old one as it was; and no third thing left over."""

from __future__ import annotations

from pathlib import Path

import pytest

from healing.core.errors import ContainerNotFound, PermanentError, PluginError
from healing.core.recreation import NEW, OLD
from healing.core.types import EngineState, RestartPolicy, Snapshot
from tests.contract.engines.labs import DockerLab, Lab, ProcessLab
from tests.testbed.containers import Containers
from tests.testbed.wait import until

MISSING = "f" * 64


def names(lab: Lab) -> list[str]:
    """The containers that belong to the test's `web`, whatever they are called by now."""
    base = lab.full_name("web")
    return sorted(row.name.removeprefix(base) for row in lab.engine.list() if row.name.startswith(base))


def made_with(snapshot: Snapshot) -> dict[str, object]:
    """What a container was made with, as far as it is healed by it."""
    kept = (
        "name", "image", "image_id", "labels", "restart_policy", "stop_signal", "stop_timeout", "health_command", "command",
        "network_mode",
    )  # fmt: skip
    return {name: getattr(snapshot, name) for name in kept}


def test_a_recreated_container_is_made_as_it_was(container_lab: Lab) -> None:
    """Same name, labels, image, policy and HEALTHCHECK, another id, running; the old one is gone."""
    lab, labels = container_lab, {"com.docker.compose.project": "shop", "team": "web"}
    policy = RestartPolicy("on-failure", 3)
    old = lab.run("web", health=True, labels=labels, policy=policy, stop_signal="SIGINT", stop_timeout=7)
    before = lab.engine.inspect(old)
    new = lab.engine.recreate(old, None, 1, 40)
    after = lab.engine.inspect(lab.full_name("web"))
    assert (after.id, after.state) == (new, EngineState.RUNNING)
    assert new != old
    assert made_with(after) == made_with(before)
    assert names(lab) == [""]
    with pytest.raises(ContainerNotFound):
        lab.engine.inspect(old)


def test_a_stopped_container_is_recreated_and_started(container_lab: Lab) -> None:
    """What is to be healed may have ended already."""
    lab = container_lab
    old = lab.run("web")
    lab.kill_from_outside(old)
    until(lambda: lab.engine.inspect(old).state is EngineState.EXITED, 15, "it has ended")
    new = lab.engine.recreate(old, None, 1, 40)
    assert lab.engine.inspect(new).is_running
    assert names(lab) == [""]


def test_what_cannot_be_recreated_stays_as_it_is(lab: Lab) -> None:
    """A container that is not there is not found; a process has nothing that could be made anew."""
    with pytest.raises(ContainerNotFound):
        lab.engine.recreate("no-such-container", None, 1, 20)
    if isinstance(lab, ProcessLab):
        process = lab.run("web")
        with pytest.raises(PermanentError, match="restart it"):
            lab.engine.recreate(process, None, 1, 20)
        assert lab.engine.inspect(process).is_running


def test_the_network_of_another_container_is_shared(containers: Containers) -> None:
    """The new one is made against the parent that is named, and sees its interface; the old one's hostname is not kept."""
    lab = DockerLab(containers)
    first, second = (containers.run(name) for name in ("first", "second"))
    old = containers.run("web", network_mode=f"container:{first}")
    new = lab.engine.recreate(old, f"container:{second}", 1, 40)
    assert lab.engine.inspect(new).network_mode == f"container:{second}"
    namespaces = {containers.exec(each, ["readlink", "/proc/self/ns/net"])[1] for each in (new, second)}
    assert len(namespaces) == 1


def test_a_refused_recreate_puts_the_old_container_back(container_lab: Lab) -> None:
    """A parent that is not there cannot be joined: the old container goes on, under its id and name."""
    lab = container_lab
    if isinstance(lab, DockerLab) or lab.kind == "fake":
        old = lab.run("web")
        with pytest.raises(PluginError) as refused:
            lab.engine.recreate(old, f"container:{MISSING}", 1, 40)
        assert not isinstance(refused.value, ContainerNotFound)
        assert lab.engine.inspect(lab.full_name("web")).id == old
        assert lab.engine.inspect(old).is_running
        assert names(lab) == [""]


def test_volumes_without_a_name_are_carried_over(containers: Containers) -> None:
    """Data of an image's VOLUME is the container's, and survives it."""
    lab = DockerLab(containers)
    old = containers.run("web", create={"volumes": ["/data"]}, network_mode="none")
    containers.exec(old, ["sh", "-c", "echo kept > /data/file"])
    new = lab.engine.recreate(old, None, 1, 40)
    assert containers.exec(new, ["cat", "/data/file"]) == (0, "kept\n")
    again = lab.engine.recreate(new, None, 1, 40)
    assert containers.exec(again, ["cat", "/data/file"]) == (0, "kept\n")


@pytest.mark.parametrize("step", ["made", "stopped", "set aside", "named", "started"])
def test_an_interrupted_recreate_is_finished_by_the_next(containers: Containers, step: str) -> None:
    """Wherever an earlier call has died, the next ends with one container of the name that runs, and nothing else."""
    lab, client = DockerLab(containers), containers.client
    old, name = containers.run("web", labels={"team": "web"}, network_mode="none"), containers.name("web")
    left_over = containers.create("web" + NEW, labels={"team": "web"}, network_mode="none")
    if step != "made":
        client.stop(old, timeout=1)
    if step in ("set aside", "named", "started"):
        client.rename(old, name + OLD)
    if step in ("named", "started"):
        client.rename(left_over, name)
    if step == "started":
        client.start(left_over)
    new = lab.engine.recreate(old, None, 1, 40)
    assert (new == left_over) == (step in ("named", "started"))
    after = lab.engine.inspect(new)
    assert (after.name, after.labels, after.is_running) == (name, {"team": "web"}, True)
    assert names(lab) == [""]


def test_a_start_that_fails_puts_the_old_container_back(containers: Containers, tmp_path: Path) -> None:
    """What was mounted is gone, so that no container can be started any more: the old one has its id and name again."""
    lab, folder = DockerLab(containers), tmp_path / "gone"
    folder.mkdir()
    mount = {"Type": "bind", "Source": str(folder), "Target": "/data", "ReadOnly": False}
    old = containers.run("web", network_mode="none", mounts=[mount])
    containers.exec(old, ["touch", "/tmp/here"])
    folder.rmdir()
    with pytest.raises(PluginError):
        lab.engine.recreate(old, None, 1, 40)
    assert lab.engine.inspect(containers.name("web")).id == old
    assert names(lab) == [""]
