"""Stand-ins for the public base images, for machines that reach no image registry.

One Debian system with Python, PostgreSQL and Redis from Debian's own packages is made by debootstrap and kept as an
archive in CACHE; an engine imports it, and thin layers on it behave as the public images do, as far as our files
count on that. The Python one carries the wheels that requirements.txt needs, fetched with this machine's pip and
whatever that is configured with, so that `pip install` in a build needs no network.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import docker

from tests.testbed.paths import PROJECT, ServiceMissingError, needed

CACHE = Path(os.environ.get("SELFHEAL_TEST_CACHE") or "/var/cache/selfheal-testbed")
PYTHON, POSTGRES, REDIS = "python:3.11-slim-bookworm", "postgres:15-bookworm", "redis:7.2-bookworm"
_DEBIAN, _TAG = "selfheal-test/debian", "1"
_SUITE = "bookworm"
_PACKAGES = ("python3", "python3-pip", "postgresql-15", "redis-server")
# Debian's Python is 3.11.2, and before 3.11.3 the package redis asks for this one.
_FOR_DEBIANS_PYTHON = "async-timeout==5.0.1"
_TRIES = 3
_DPKG = "force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\n"
# Not needed to run anything; without llvmjit PostgreSQL compiles no queries, which nobody here would notice.
_LEFT_OUT = (
    *(
        "./proc/*",
        "./sys/*",
        "./dev/*",
        "./var/cache/apt/*",
        "./var/lib/apt/lists/*",
        "./var/lib/postgresql/15",
    ),
    *("./usr/share/doc", "./usr/share/man", "./usr/share/locale", "./usr/share/i18n", "./usr/lib/llvm*"),
    *("./usr/lib/*/libLLVM*", "./usr/lib/*/libz3*", "./usr/lib/postgresql/15/lib/llvmjit*"),
    *("./etc/resolv.conf", "./usr/lib/python3.11/EXTERNALLY-MANAGED"),
)
_PIP_CONF = "[global]\nno-index = true\nfind-links = /srv/wheels\n"
_INIT_POSTGRES = """#!/bin/sh
# The public image's contract as far as we use it: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, PGDATA.
set -eu
as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    install -d -o postgres -g postgres -m 0700 "$PGDATA"
    printf '%s' "$POSTGRES_PASSWORD" > /run/password
    chown postgres /run/password
    as_postgres initdb -D "$PGDATA" -U "$POSTGRES_USER" --pwfile=/run/password \\
        --auth-local=trust --auth-host=scram-sha-256 -E UTF8 --locale=C.UTF-8
    rm /run/password
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    echo "CREATE DATABASE \\"$POSTGRES_DB\\"" | as_postgres postgres --single -D "$PGDATA" postgres
fi
install -d -o postgres -g postgres /run/postgresql
exec setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
"""
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def ensure_base_images(client: docker.APIClient) -> None:
    """Give the engine PYTHON, POSTGRES and REDIS. Some 3 minutes without a filled CACHE, seconds with one; needs root."""
    with _locked_cache(), ThreadPoolExecutor() as pool:
        wheels = pool.submit(_wheels)
        _import(client, _debian())
        _build(
            client,
            PYTHON,
            ['CMD ["python3"]'],
            {"etc/pip.conf": _PIP_CONF.encode(), "srv/wheels": wheels.result()},
        )
    start = ["ENV PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/data", "STOPSIGNAL SIGINT"]
    start += [
        "VOLUME /var/lib/postgresql/data",
        'ENTRYPOINT ["/init"]',
        'CMD ["postgres", "-c", "listen_addresses=*"]',
    ]
    _build(client, POSTGRES, start, {"init": _INIT_POSTGRES.encode()})
    _build(client, REDIS, ['CMD ["redis-server"]'], {})


@contextmanager
def _locked_cache() -> Iterator[None]:
    """One process at a time fills the cache."""
    if os.geteuid() != 0:
        raise ServiceMissingError("Making base images needs root (debootstrap); run the tests as root.")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _debian() -> Path:
    """The archive of the Debian system."""
    archive = CACHE / f"debian-{_digest(_SUITE, _PACKAGES, _DPKG, _LEFT_OUT, os.uname().machine)}.tar"
    if not archive.exists():
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="new-") as folder:
            root, draft = Path(folder, "root"), Path(folder, "debian.tar")
            _bootstrap(root)
            (root / "usr/bin/python").symlink_to("python3")
            left_out = [f"--exclude={pattern}" for pattern in _LEFT_OUT]
            _run("tar", "--create", "--file", str(draft), "--directory", str(root), *left_out, ".")
            draft.rename(archive)
    return archive


def _bootstrap(root: Path) -> None:
    """Debian into `root`; tried again where the mirror fails."""
    # In namespaces of its own, which take with them what it has mounted and started, however it ends.
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", needed("debootstrap", "debootstrap")]
    command += ["--variant=minbase", f"--include={','.join(_PACKAGES)}", _SUITE, str(root), *_mirror()]
    for remaining in reversed(range(_TRIES)):
        shutil.rmtree(root, ignore_errors=True)
        (root / "etc/dpkg/dpkg.cfg.d").mkdir(parents=True)
        (root / "etc/dpkg/dpkg.cfg.d/quick").write_text(_DPKG)
        try:
            _run(*command)
            return
        except ChildProcessError:
            if not remaining:
                raise


def _mirror() -> list[str]:
    """Where this machine's apt finds the suite; nothing where it does not, and debootstrap's own default counts."""
    command = [
        "apt-get",
        "indextargets",
        "--format",
        "$(CODENAME) $(COMPONENT) $(REPO_URI)",
        "Identifier: Packages",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [line.split() for line in done.stdout.splitlines()]
    return [uri for name, component, uri in found if (name, component) == (_SUITE, "main")][:1]


def _wheels() -> Path:
    """A folder with a wheel for everything in requirements.txt, for Python 3.11."""
    files = [PROJECT / "requirements.txt", PROJECT / "constraints.txt"]
    folder = (
        CACHE
        / f"wheels-{_digest(os.uname().machine, _FOR_DEBIANS_PYTHON, *(file.read_text() for file in files))}"
    )
    if not folder.exists():
        python = sys.executable if sys.version_info[:2] == (3, 11) else needed("python3.11", "python3.11")
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="new-") as draft:
            command = [
                sys.executable,
                "-m",
                "pip",
                "--python",
                python,
                "wheel",
                "--quiet",
                "--wheel-dir",
                f"{draft}/wheels",
            ]
            _run(*command, "--requirement", str(files[0]), "--constraint", str(files[1]), _FOR_DEBIANS_PYTHON)
            Path(draft, "wheels").rename(folder)
    return folder


def _run(*command: str) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode:
        raise ChildProcessError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout[-2000:]}")


def _import(client: docker.APIClient, archive: Path) -> None:
    answer = client.import_image_from_file(
        str(archive), repository=_DEBIAN, tag=_TAG, changes=[f"ENV {_PATH}"]
    )
    if "error" in answer:
        raise RuntimeError(f"the engine refused {archive}: {answer[-500:]}")


def _build(
    client: docker.APIClient, tag: str, lines: Sequence[str], files: Mapping[str, bytes | Path]
) -> None:
    """Put `files` (content or a folder, by their place from /) and the Dockerfile's `lines` over the Debian system."""
    copy = ["COPY root /"] if files else []
    dockerfile = "\n".join([f"FROM {_DEBIAN}:{_TAG}", *copy, *lines, ""])
    with tempfile.TemporaryFile() as context:
        with tarfile.open(fileobj=context, mode="w") as archive:
            _add(archive, "Dockerfile", dockerfile.encode())
            for place, content in files.items():
                _add(archive, f"root/{place}", content)
        context.seek(0)
        for answer in client.build(fileobj=context, custom_context=True, tag=tag, rm=True, decode=True):
            if "error" in answer:
                raise RuntimeError(f"the engine could not build {tag}: {json.dumps(answer)}")


def _add(archive: tarfile.TarFile, name: str, content: bytes | Path) -> None:
    if isinstance(content, Path):
        archive.add(content, name)
        return
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o755
    archive.addfile(entry, io.BytesIO(content))
