"""The steps of `manage.py up`: each works, or says in one sentence why not."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model

from healing.models import Host
from selfheal_project.up import hosts
from selfheal_project.up.admin_user import ensure_admin
from selfheal_project.up.broker import look_for_broker
from selfheal_project.up.errors import StartRefused
from selfheal_project.up.place import HomeLock, bound_socket, port_is_free, writable_home
from tests.testbed.containers import Containers
from tests.testbed.process import free_port

NOBODY = 65534


def test_only_one_selfheal_on_a_state_folder(tmp_path: Path) -> None:
    """A second start says who holds the folder; after the first has ended the lock is free again."""
    first, second = HomeLock(tmp_path), HomeLock(tmp_path)
    first.acquire()
    with pytest.raises(StartRefused, match=rf"already runs here \(pid {os.getpid()}\)"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_a_state_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """The sentence names the folder and the variable that leads to another one."""
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(StartRefused, match=r"state folder .*file/home cannot be written .*SELFHEAL_HOME"):
        writable_home(blocker / "home")


def test_the_state_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    """Passwords and keys lie in it."""
    writable_home(tmp_path / "new")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_taken_port() -> None:
    """The sentence says that it is taken, and what to set."""
    taken = bound_socket("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with pytest.raises(StartRefused, match=f"Port {port} on 127.0.0.1 is taken .*PORT"):
        port_is_free("127.0.0.1", port)
    taken.close()
    port_is_free("127.0.0.1", port)


def test_an_address_that_is_not_ours() -> None:
    """An address to listen on that this machine does not have is told from a taken port."""
    with pytest.raises(StartRefused, match="no such address; set SELFHEAL_BIND"):
        bound_socket("192.0.2.1", free_port())
    with pytest.raises(StartRefused, match=r"SELFHEAL_BIND='no\.such\.name\.invalid'"):
        bound_socket("no.such.name.invalid", free_port())


@pytest.mark.django_db
def test_the_admin_is_created_once(tmp_path: Path) -> None:
    """The generated password is kept for its owner only, and the second start tells the same one."""
    first = ensure_admin(tmp_path, {})
    password = (tmp_path / "admin_password").read_text().strip()
    assert password in first
    assert len(password) >= 20
    assert stat.S_IMODE((tmp_path / "admin_password").stat().st_mode) == 0o600
    user = get_user_model().objects.get(username="admin")
    assert user.check_password(password)
    assert user.is_superuser
    assert ensure_admin(tmp_path, {}) == first
    assert get_user_model().objects.count() == 1


@pytest.mark.django_db
def test_a_changed_password_stays_changed(tmp_path: Path) -> None:
    """Neither the file nor the environment overwrites what a person set, and it is not printed."""
    ensure_admin(tmp_path, {})
    user = get_user_model().objects.get(username="admin")
    user.set_password("chosen by a person")
    user.save()
    told = ensure_admin(tmp_path, {"SELFHEAL_ADMIN_PASSWORD": "from the environment"})
    assert told == "the password you set"
    assert get_user_model().objects.get(username="admin").check_password("chosen by a person")


@pytest.mark.django_db
def test_a_given_password_is_used_and_not_written_down(tmp_path: Path) -> None:
    """A password from the environment appears neither on the screen nor in a file."""
    told = ensure_admin(tmp_path, {"SELFHEAL_ADMIN_PASSWORD": "given by somebody"})
    assert "given by somebody" not in told
    assert get_user_model().objects.get(username="admin").check_password("given by somebody")
    assert not (tmp_path / "admin_password").exists()


@pytest.mark.django_db
def test_without_docker_there_are_local_processes(tmp_path: Path) -> None:
    """A first look works anywhere, and what is missing is said."""
    lines = hosts.ensure_hosts(tmp_path, {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert f"no Docker engine at unix://{tmp_path}/none.sock" in lines[0]
    assert "process engine" in lines[1]
    host = Host.objects.get()
    assert (host.name, host.engine_kind) == ("local-processes", "process")
    assert host.address == f"process://{tmp_path}/processes"


@pytest.mark.django_db
def test_docker_is_found_and_followed(tmp_path: Path, docker_host: str, containers: Containers) -> None:
    """The engine becomes host `local`; when DOCKER_HOST changes, the row follows, and what people set stays."""
    containers.run(labels={"selfheal.enable": "true"})
    (line,) = hosts.ensure_hosts(tmp_path, {"DOCKER_HOST": docker_host})
    assert line.startswith("Docker Engine ")
    assert "labelled" in line
    host = Host.objects.get()
    assert (host.name, host.engine_kind, host.address) == ("local", "docker", docker_host)
    Host.objects.update(address="unix:///old.sock", enabled=False, start_grace=7)
    hosts.ensure_hosts(tmp_path, {"DOCKER_HOST": docker_host})
    host.refresh_from_db()
    assert (host.address, host.enabled, host.start_grace) == (docker_host, False, 7)


@pytest.mark.django_db
def test_a_docker_that_is_away_keeps_its_row(tmp_path: Path) -> None:
    """An engine that does not answer at the start is supervised again when it is back."""
    Host.objects.create(name="local", address="unix:///run/away.sock")
    hosts.ensure_hosts(tmp_path, {"DOCKER_HOST": "unix:///run/away.sock"})
    assert list(Host.objects.values_list("name", flat=True)) == ["local"]


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "nonsense", "tcp://127.0.0.1"])
def test_a_bad_docker_host_is_said(address: str) -> None:
    """A DOCKER_HOST that is no address gets a sentence instead of a trace."""
    line, config = hosts.look_for_docker({"DOCKER_HOST": address})
    assert line.startswith("DOCKER_HOST is not used: ")
    assert config is None


@pytest.fixture
def closed_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A listening Unix socket that only its owner may use, in a folder that everybody may enter."""
    folder = Path(os.path.realpath(tmp_path_factory.mktemp("s")))
    for parent in [folder, *folder.parents][:3]:
        if parent.stat().st_uid == os.getuid() and parent != Path("/tmp"):
            parent.chmod(0o755)
    path = folder / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        path.chmod(0o000)
        yield path


def as_nobody(work: Callable[[], str]) -> str:
    """The result of `work` as a user without rights; root may read everything."""
    ours, theirs = get_context("fork").Pipe(duplex=False)

    def run(answer: Connection) -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        answer.send(work())

    process = get_context("fork").Process(target=run, args=(theirs,))
    process.start()
    try:
        assert ours.poll(30)
        return str(ours.recv())
    finally:
        process.join(10)


def test_an_unreadable_socket(closed_socket: Path) -> None:
    """A socket that this user may not use is told from one that is not there."""
    address = f"unix://{closed_socket}"
    line = as_nobody(lambda: hosts.look_for_docker({"DOCKER_HOST": address})[0])
    assert f"the Docker socket {closed_socket} is there but this user may not read it" in line


def test_a_broker_that_does_not_answer() -> None:
    """It is said at the start, without its password and without hanging, and is no reason not to start."""
    port = free_port()
    told = look_for_broker(f"redis://:secret@127.0.0.1:{port}/0")
    assert told.startswith(f"redis://:**@127.0.0.1:{port}/0 does not answer")
    assert "secret" not in told


@pytest.mark.parametrize("url", ["unix:///run/redis.sock", "redis://:secret@127.0.0.1:6379/first"])
def test_an_address_of_no_broker(url: str) -> None:
    """What no waiting mends is refused in a sentence, without the password."""
    with pytest.raises(StartRefused, match=r"The broker .* cannot be used \(.*\); mend CELERY") as refused:
        look_for_broker(url)
    assert "secret" not in str(refused.value)


def test_a_broker_that_answers(redis_url: str) -> None:
    """A running Redis is accepted and named, and nothing else is said of it."""
    assert look_for_broker(redis_url) == redis_url
