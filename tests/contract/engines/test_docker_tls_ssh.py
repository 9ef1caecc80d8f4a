"""The docker engine over TLS and over ssh: a real engine behind each, and what goes wrong on the way."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from healing.core.errors import ConfigError, EngineRefused, EngineUnreachable
from healing.core.ports import EngineConfig
from healing.core.types import EngineState
from healing.engines.docker import DockerEngine
from tests.contract.engines.labs import Listener
from tests.contract.engines.peers import closing, forwarding, peer, silent
from tests.testbed.certificates import Certificates, make_pair
from tests.testbed.containers import Containers
from tests.testbed.wait import until


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.made_in(tmp_path_factory.mktemp("tls"))


def socket_of(containers: Containers) -> str:
    return containers.host.removeprefix("unix://")


def test_everything_works_over_tls(containers: Containers, certificates: Certificates) -> None:
    """Reads, actions, exec and events of a real engine, both sides proving who they are."""
    container = containers.run("web", network_mode="none")
    with peer(forwarding(socket_of(containers)), certificates.server_context()) as address:
        assert works_through(DockerEngine(certificates.config(address)), container)


def works_through(engine: DockerEngine, container: str) -> bool:
    """Reads, actions, exec, events, and an end that ends the stream; whether the container runs afterwards."""
    assert engine.info().kind == "docker"
    assert container in [row.id for row in engine.list()]
    listener = Listener(engine)
    assert engine.exec(container, ["echo", "hello"], 10).output == "hello\n"
    engine.restart(container, 2, 20)
    listener.wait_for(container, "start", "restart")
    runs = engine.inspect(container).state is EngineState.RUNNING
    begun = time.monotonic()
    engine.close()
    assert listener.ended(5)
    assert listener.error is None
    assert time.monotonic() - begun < 2
    return runs


def test_an_unknown_authority_is_refused(certificates: Certificates) -> None:
    """Somebody else's engine is not talked to."""
    with peer(closing, certificates.server_context()) as address:
        config = certificates.config(address, tls_ca=certificates.stranger.cert_file)
        with pytest.raises(EngineRefused, match="not signed by the CA in tls_ca"):
            DockerEngine(config).list()


def test_a_certificate_for_another_name_is_refused(certificates: Certificates, tmp_path: Path) -> None:
    """The certificate must be for the address that was written."""
    other = make_pair(tmp_path, "other", certificates.authority, "127.0.0.9")
    refused = pytest.raises(EngineRefused, match="its certificate is not for '127.0.0.1'")
    with peer(closing, certificates.server_context(other)) as address, refused:
        DockerEngine(certificates.config(address)).list()


def test_no_verification_only_when_asked(containers: Containers, certificates: Certificates) -> None:
    """`tls_verify` off talks to any certificate, and only then."""
    with peer(forwarding(socket_of(containers)), certificates.server_context()) as address:
        config = certificates.config(address, tls_ca=certificates.stranger.cert_file, tls_verify=False)
        assert DockerEngine(config).info().kind == "docker"


def test_without_our_certificate_the_engine_turns_us_away(certificates: Certificates) -> None:
    """The engine's no to our certificate names the fields to fill in."""
    with peer(closing, certificates.server_context()) as address:
        config = certificates.config(address, tls_cert="", tls_key="")
        with pytest.raises((EngineRefused, EngineUnreachable), match=r"certificate|TLS"):
            DockerEngine(config).list()


def test_tls_to_an_engine_without_tls(containers: Containers, certificates: Certificates) -> None:
    """The wrong port, 2375 for 2376, is the commonest mistake of all."""
    refused = pytest.raises(EngineRefused, match="does not speak TLS")
    with peer(forwarding(socket_of(containers))) as address, refused:
        DockerEngine(certificates.config(address)).list()


def test_no_tls_to_an_engine_with_tls(certificates: Certificates) -> None:
    """The other way round, whatever the server makes of it, is a sentence about TLS."""
    failed = pytest.raises((EngineRefused, EngineUnreachable), match="TLS")
    with peer(closing, certificates.server_context()) as address, failed:
        DockerEngine(EngineConfig("docker", address, timeout=3)).list()


def test_a_silent_tls_peer_costs_its_timeout(certificates: Certificates) -> None:
    """A handshake that never ends is bounded as all else is."""
    with peer(silent) as address:
        begun = time.monotonic()
        with pytest.raises(EngineUnreachable):
            DockerEngine(certificates.config(address)).list()
        assert time.monotonic() - begun < 5


def test_unusable_tls_files_are_named(certificates: Certificates, tmp_path: Path) -> None:
    """Which file, and what is wrong with it."""
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    with peer(silent) as address:
        with pytest.raises(EngineRefused, match=f"tls_ca: {broken} is no usable PEM file"):
            DockerEngine(certificates.config(address, tls_ca=str(broken))).list()
        with pytest.raises(EngineRefused, match="tls_ca: cannot read"):
            DockerEngine(certificates.config(address, tls_ca=str(tmp_path / "none.pem"))).list()
        with pytest.raises(EngineRefused, match="belong together"):
            DockerEngine(certificates.config(address, tls_key="")).list()


def test_tls_files_for_a_socket_are_a_mistake() -> None:
    """Settings that do nothing are not taken in silence."""
    with pytest.raises(ConfigError, match="tls_ca"):
        DockerEngine(EngineConfig("docker", "unix:///var/run/docker.sock", tls_ca="/ca.pem"))


SSH = """#!{python}
import os, socket, sys, threading
with open(os.environ["SSH_SEEN"], "a") as seen:
    seen.write(" ".join(sys.argv[1:]) + "\\n")
{before}
engine = socket.socket(socket.AF_UNIX)
engine.connect(os.environ["SSH_ENGINE"])
def there():
    while data := os.read(0, 65536):
        engine.sendall(data)
    engine.shutdown(socket.SHUT_WR)
threading.Thread(target=there, daemon=True).start()
while data := engine.recv(65536):
    os.write(1, data)
"""


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, first in PATH, for an `ssh` of the test's own."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SSH_SEEN", str(tmp_path / "seen"))
    return tmp_path


def write_ssh(folder: Path, before: str = "") -> None:
    program = folder / "ssh"
    program.write_text(SSH.format(python=sys.executable, before=before))
    program.chmod(0o755)


def test_everything_works_over_ssh(
    containers: Containers, ssh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The `ssh` command reaches the engine as `docker -H ssh://` does, and ends with us."""
    monkeypatch.setenv("SSH_ENGINE", socket_of(containers))
    write_ssh(ssh)
    container = containers.run("web", network_mode="none")
    assert works_through(DockerEngine(EngineConfig("docker", "ssh://ops@node-1:2222", timeout=5)), container)
    command = (ssh / "seen").read_text().splitlines()[0]
    assert "BatchMode=yes" in command
    assert command.endswith("-l ops -p 2222 -- node-1 docker system dial-stdio")
    until(lambda: not running_ssh(ssh), 10, "no ssh is left")


def running_ssh(folder: Path) -> list[str]:
    program = str(folder / "ssh").encode()
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [process.parent.name] if program in process.read_bytes().split(b"\0") else []
        except OSError:
            continue
    return found


def test_ssh_that_is_refused_says_why(ssh: Path) -> None:
    """ssh's own words, and how to try it by hand; an action was not sent."""
    write_ssh(ssh, 'sys.stderr.write("ops@node-1: Permission denied (publickey).\\n"); sys.exit(255)')
    engine = DockerEngine(EngineConfig("docker", "ssh://ops@node-1", timeout=3))
    with pytest.raises(
        EngineRefused, match=r"Permission denied \(publickey\).*ssh ops@node-1 docker version"
    ):
        engine.list()
    with pytest.raises(EngineRefused):
        engine.restart("web", 1, 3)


def test_ssh_to_a_host_that_is_down_is_unreachable(ssh: Path) -> None:
    """A host that is down comes back; nothing is to be mended."""
    write_ssh(
        ssh, 'sys.stderr.write("ssh: connect to host node-1 port 22: No route to host\\n"); sys.exit(255)'
    )
    with pytest.raises(EngineUnreachable, match="No route to host"):
        DockerEngine(EngineConfig("docker", "ssh://node-1", timeout=3)).list()


def test_ssh_that_hangs_costs_its_timeout(ssh: Path) -> None:
    """A name server or a firewall that says nothing does not hold a check."""
    write_ssh(ssh, "import time; time.sleep(60)")
    begun = time.monotonic()
    with pytest.raises(EngineUnreachable):
        DockerEngine(EngineConfig("docker", "ssh://node-1", timeout=1)).list()
    assert time.monotonic() - begun < 4
    until(lambda: not running_ssh(ssh), 10, "no ssh is left")


def test_a_missing_ssh_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container image without OpenSSH is a common place for us to run in."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineRefused, match="install OpenSSH"):
        DockerEngine(EngineConfig("docker", "ssh://node-1", timeout=1)).list()
