"""A private OpenSSH server, and an `ssh` that knows nothing but what the test tells it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.paths import needed, new_folder
from tests.testbed.process import Child, free_port

_SERVER = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized_keys
ForceCommand PATH={folder}/there; export PATH; /bin/sh -c "$SSH_ORIGINAL_COMMAND"
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
"""
_CLIENT = """
IdentityFile {folder}/client
IdentitiesOnly yes
IdentityAgent none
UserKnownHostsFile {folder}/known_hosts
GlobalKnownHostsFile /dev/null
"""
_DIAL = """#!{python}
import os, socket, threading
engine = socket.socket(socket.AF_UNIX)
engine.connect({path!r})
def there():
    while data := os.read(0, 65536):
        engine.sendall(data)
    engine.shutdown(socket.SHUT_WR)
threading.Thread(target=there, daemon=True).start()
while data := engine.recv(65536):
    os.write(1, data)
"""


@dataclass(frozen=True)
class SshServer:
    """`here` is a folder for PATH with the `ssh` to use; only programs put into `there` are found on the other side."""

    folder: Path
    port: int

    @property
    def address(self) -> str:
        return f"ssh://{pwd.getpwuid(os.getuid()).pw_name}@127.0.0.1:{self.port}"

    @property
    def here(self) -> Path:
        return self.folder / "here"

    def accept_our_key(self) -> None:
        shutil.copy(self.folder / "client.pub", self.folder / "authorized_keys")

    def accept_nobody(self) -> None:
        (self.folder / "authorized_keys").write_text("")

    def know_nobody(self) -> None:
        (self.folder / "known_hosts").write_text("")

    def know_host_by(self, key: str = "host") -> None:
        """Write a key of this folder into known_hosts as the server's."""
        public = (self.folder / f"{key}.pub").read_text()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {public}")

    def put_there(self, script: str) -> None:
        """The `docker` of the other side."""
        _program(self.folder / "there" / "docker", script)

    def put_dialling(self, path: str) -> None:
        """A `docker` that passes the connection on to the engine's socket at `path`, as `system dial-stdio` does."""
        self.put_there(_DIAL.format(python=sys.executable, path=path))


@contextmanager
def ssh_server() -> Iterator[SshServer]:
    """A started server that accepts no key, has no `docker`, and whose own key nobody knows."""
    folder = new_folder("ssh")
    server = SshServer(folder, free_port())
    child = None
    try:
        _lay_out(server)
        child = Child(
            [needed("sshd", "openssh-server"), "-D", "-e", "-f", f"{folder}/sshd_config"], folder / "log"
        )
        child.wait_ready(lambda: _greets(server.port))
        yield server
    finally:
        if child is not None:
            child.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _lay_out(server: SshServer) -> None:
    folder = server.folder
    for key in ("host", "client"):
        command = [
            needed("ssh-keygen", "openssh-client"),
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-f",
            f"{folder}/{key}",
        ]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    for name in ("here", "there"):
        (folder / name).mkdir()
    server.accept_nobody()
    server.know_nobody()
    (folder / "sshd_config").write_text(_SERVER.format(folder=folder, port=server.port))
    (folder / "ssh_config").write_text(_CLIENT.format(folder=folder))
    ssh = needed("ssh", "openssh-client")
    _program(server.here / "ssh", f'#!/bin/sh\nexec {ssh} -F {folder}/ssh_config "$@"\n')
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", 0o755, exist_ok=True)


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _greets(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 2) as connection:
        return connection.recv(4) == b"SSH-"
