"""Testing a connection over ssh, with a real sshd: it works, and each way in which it fails says what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from healing.admin.connection import ask
from healing.core.ports import EngineConfig
from tests.testbed.process import free_port
from tests.testbed.sshd import SshServer, ssh_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    """A server that is known, accepts our key, and has a `docker` that says nothing: each test takes one thing away."""
    with ssh_server() as started:
        monkeypatch.setenv("PATH", f"{started.here}{os.pathsep}{os.environ['PATH']}")
        started.accept_our_key()
        started.know_host_by("host")
        yield started


def tried(address: str) -> str:
    answer = ask(EngineConfig("docker", address, timeout=15))
    return answer.text


def missing(address: str, said: str, advice: str) -> list[str]:
    """What the answer lacks of ssh's or docker's own words, what to do, and how to try it by hand."""
    answer = tried(address)
    assert answer.startswith(f"ssh to {address} failed: "), answer
    return [part for part in (said, advice, ". Try `ssh -p ") if part not in answer]


def test_it_works(server: SshServer, docker_host: str) -> None:
    """An engine behind a real sshd says who it is."""
    server.put_dialling(docker_host.removeprefix("unix://"))
    assert tried(server.address).startswith("docker ")


def test_no_ssh_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that Selfheal runs on has no `ssh`."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tried("ssh://node-1") == "the `ssh` command is not installed here: install OpenSSH's client"


def test_the_host_key_is_unknown(server: SshServer) -> None:
    """Nobody has connected by hand yet."""
    server.know_nobody()
    assert not missing(
        server.address, "Host key verification failed", "is not known here: compare and accept it once"
    )


def test_the_host_key_has_changed(server: SshServer) -> None:
    """The machine was installed anew, or is another one."""
    server.know_host_by("client")
    assert not missing(server.address, "IDENTIFICATION HAS CHANGED", "`ssh-keygen -R '[127.0.0.1]:")


def test_our_key_is_not_accepted(server: SshServer) -> None:
    """The public key is missing over there."""
    server.accept_nobody()
    assert not missing(server.address, "Permission denied (publickey)", "to ~/.ssh/authorized_keys of ")


def test_docker_is_missing_there(server: SshServer) -> None:
    """The other side has no Docker command line, whatever its shell calls that."""
    assert not missing(
        server.address, "docker", "the `docker` command is missing over there, or is not in the PATH"
    )


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (
            "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
            "may not use the engine over there: add that user to the group docker on 127.0.0.1",
        ),
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            "127.0.0.1 was reached, but no engine answers over there: start it",
        ),
        (
            "docker: 'system dial-stdio' is not a docker command.",
            "the `docker` command over there is older than 18.09",
        ),
    ],
    ids=["no rights", "no engine", "old docker"],
)
def test_docker_refuses_there(server: SshServer, said: str, advice: str) -> None:
    """ssh works, and what it reaches does not."""
    server.put_there(f'#!/bin/sh\necho "{said}" >&2\nexit 1\n')
    assert not missing(server.address, said, advice)


def test_an_account_without_a_shell_is_quoted(server: SshServer) -> None:
    """What the other side only writes to its standard output is told too."""
    server.put_there('#!/bin/sh\necho "This account is currently not available."\nexit 1\n')
    assert not missing(server.address, "This account is currently not available.", "")


def test_no_ssh_server_there(server: SshServer) -> None:
    """The port is wrong, or sshd does not run."""
    address = server.address.replace(str(server.port), str(free_port()))
    assert not missing(
        address, "Connection refused", "no ssh server listens there: start it, or correct the port"
    )


def test_a_name_that_does_not_resolve(server: SshServer) -> None:
    """ssh's words for a typing error in the name."""
    answer = tried("ssh://ops@engine.invalid")
    assert "the name engine.invalid does not resolve: correct the address" in answer
    assert answer.endswith(
        "Try `ssh ops@engine.invalid docker version` on this machine until it works without a question"
    )
