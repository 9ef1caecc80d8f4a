"""Where the testbed finds programs and keeps its files."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
IN_CI = os.environ.get("CI", "").lower() in ("true", "1", "yes")
_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
_LONGEST_SOCKET_FOLDER = 40  # a unix socket's path holds 107 characters


class ServiceMissingError(Exception):
    """A service that a test needs is neither in the environment nor installed; the text says what to do."""


def program(name: str) -> str | None:
    """The path of an installed program, also where root's folders are not in PATH."""
    return shutil.which(name) or shutil.which(name, path=_SYSTEM_FOLDERS)


def postgres_program(name: str) -> str | None:
    """The path of one of PostgreSQL's server programs, newest version first."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(found[-1]) if found else program(name)


def rabbitmq_program(name: str) -> str | None:
    """The path of one of RabbitMQ's own programs: the one in PATH insists on being the system's service."""
    found = Path("/usr/lib/rabbitmq/bin") / name
    return str(found) if found.exists() else None


def faketime_library() -> str | None:
    """The library that gives the process which loads it another time, for programs with threads."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return str(found[0]) if found else None


def needed(name: str, package: str, path: str | None = None) -> str:
    """The path of a program, or ServiceMissingError naming its package."""
    path = path or program(name)
    if path is None:
        raise ServiceMissingError(
            f"The program {name} is missing; install the Debian package {package} "
            "(as root, `make test` does it), or give the address of a running service in SELFHEAL_TEST_*."
        )
    return path


def new_folder(purpose: str) -> Path:
    """A new folder under the system's temporary one, short enough for unix sockets and open to other users."""
    parent = tempfile.gettempdir()
    if len(parent) > _LONGEST_SOCKET_FOLDER:
        parent = "/tmp"
    folder = Path(tempfile.mkdtemp(prefix=f"shtest-{purpose}-", dir=parent))
    folder.chmod(0o755)
    return folder
