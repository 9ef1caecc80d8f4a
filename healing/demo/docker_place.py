"""The demo's services as containers: on an image that is there already, or made of this machine's busybox."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import socket
import subprocess
import tarfile
import time
import uuid
from typing import Any

import docker
from docker.errors import DockerException
from docker.utils import kwargs_from_env
from requests.exceptions import RequestException

from healing.core.errors import ConfigError, PluginError
from healing.core.types import EngineState
from healing.demo.services import PROBED, Service
from healing.engines import docker_config, open_engine

PORT = 8080
FOLDER = "/tmp"  # noqa: S108 - inside a container of our own
SERVER = f"httpd -f -p {PORT} -h {FOLDER}"
DEADLINE = 20.0
_SECOND = 1_000_000_000
_OWN_IMAGE = "selfheal-demo-busybox:1"
_PROBE = f"http://:{PORT}/child"
_PROBE_INSIDE = f"exec:timeout 1 wget -q -O /dev/null http://127.0.0.1:{PORT}/child"
_TRIAL = f"{SERVER} & sleep 0.3; wget -q -O /dev/null http://127.0.0.1:{PORT}/ready && exit 42"


class Unusable(Exception):
    """Docker is not there, or cannot run the services; the text says why."""


class DockerPlace:
    """The Docker engine at DOCKER_HOST or the default socket."""

    def __init__(self) -> None:
        self._prefix = f"selfheal-demo-{uuid.uuid4().hex[:6]}"
        self._made: list[str] = []
        self._own_image = False
        try:
            self.config = docker_config(os.environ)
            self.engine = open_engine(self.config)
            version = self.engine.info().version
            self._client = docker.APIClient(**_client_options(self.config.address), timeout=60)
        except (PluginError, ConfigError, DockerException) as error:
            raise Unusable(f"Docker cannot be used: {error}") from error
        try:
            self._image = self._working_image()
            self._reachable = self._answers_from_here()
        except (DockerException, RequestException, OSError) as error:
            self.clean()
            raise Unusable(f"Docker cannot run the demo: {error}") from error
        except Unusable:
            self.clean()
            raise
        self.told = f"Docker Engine {version} at {self.config.address}"

    def start(self, service: Service) -> str:
        labels, network = dict(service.labels), "none"
        if service.name == PROBED:
            network = "default" if self._reachable else "none"
            labels["selfheal.probe.web"] = _PROBE if self._reachable else _PROBE_INSIDE
        identity = self._create(service.name, service.script, labels, service.healthcheck, network=network)
        self.engine.start(identity, DEADLINE)
        return identity

    def clean(self) -> None:
        for identity in self._made:
            with contextlib.suppress(DockerException, RequestException):
                self._client.remove_container(identity, force=True, v=True)
        self._made.clear()
        if self._own_image:
            with contextlib.suppress(DockerException, RequestException):
                self._client.remove_image(_OWN_IMAGE)
            self._own_image = False
        self.engine.close()

    def _create(
        self,
        name: str,
        script: str,
        labels: dict[str, str],
        check: str = "",
        image: str = "",
        network: str = "none",
    ) -> str:
        options: dict[str, Any] = {"environment": {"DIR": FOLDER, "SERVER": SERVER}, "labels": labels}
        if check:
            options["healthcheck"] = {
                "test": ["CMD-SHELL", check],
                "interval": _SECOND,
                "timeout": 5 * _SECOND,
                "retries": 1,
            }
        answer = self._client.create_container(
            image or self._image,
            ["sh", "-c", script],
            name=f"{self._prefix}-{name}",
            host_config=self._client.create_host_config(network_mode=network),
            stop_timeout=2,
            **options,
        )
        self._made.append(str(answer["Id"]))
        return str(answer["Id"])

    def _working_image(self) -> str:
        """An image with busybox's shell and web server; made of this machine's busybox where there is none."""
        for row in self._client.images():
            for tag in row.get("RepoTags") or ():
                if "busybox" in tag and self._works(tag):
                    return str(tag)
        busybox = shutil.which("busybox")
        if busybox is None:
            raise Unusable("Docker has no busybox image, and this machine has no busybox to make one of")
        self._client.import_image_from_data(
            _filesystem(busybox),
            repository=_OWN_IMAGE.partition(":")[0],
            tag=_OWN_IMAGE.partition(":")[2],
            changes=["ENV PATH=/bin"],
        )
        self._own_image = True
        if not self._works(_OWN_IMAGE):
            raise Unusable(
                "Docker has no busybox image, and this machine's busybox does not run in a container"
            )
        return _OWN_IMAGE

    def _works(self, image: str) -> bool:
        """Whether a trial container can do what the services do."""
        identity = self._create(
            f"trial-{uuid.uuid4().hex[:6]}", f"touch /tmp/ready; {_TRIAL}", {}, image=image
        )
        try:
            self.engine.start(identity, DEADLINE)
        except PluginError:
            return False
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            seen = self.engine.inspect(identity)
            if seen.state is EngineState.EXITED:
                return seen.exit_code == 42
            time.sleep(0.05)
        return False

    def _answers_from_here(self) -> bool:
        """Whether a container's own address can be reached, which Docker in a virtual machine does not allow."""
        identity = self._create("trial-net", f"exec {SERVER}", {}, network="default")
        try:
            self.engine.start(identity, DEADLINE)
            addresses = self.engine.inspect(identity).addresses
        except PluginError:
            return False
        deadline = time.monotonic() + 2
        while addresses and time.monotonic() < deadline:
            if _connects(addresses[0]):
                return True
            time.sleep(0.05)
        return False


def _connects(address: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, PORT), 1.0):
        return True
    return False


def _client_options(address: str) -> dict[str, Any]:
    options = dict(kwargs_from_env())
    options.setdefault("base_url", address)
    return options


def _filesystem(busybox: str) -> bytes:
    """A root folder with busybox and a link for each of its commands, as a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, mode in (("bin", 0o755), ("tmp", 0o1777)):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            archive.addfile(folder)
        archive.add(os.path.realpath(busybox), "bin/busybox")
        for name in subprocess.check_output([busybox, "--list"], text=True).split():
            if name != "busybox":
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "/bin/busybox"
                archive.addfile(link)
    return buffer.getvalue()
