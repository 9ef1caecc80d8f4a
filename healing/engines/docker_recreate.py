"""Recreating a container: what the new one is made with, and the steps, each of which can be taken back.

The successor is made first, under a name of its own, so that what cannot be made costs nothing. Then the old one is
stopped and set aside, the successor takes its name and is started, and the old one is removed. Two names tell a later
call how far an earlier one came.
"""

from __future__ import annotations

import contextlib
import math
import posixpath
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from healing.core.errors import (
    ActionFailed,
    ActionTimedOut,
    ContainerNotFound,
    PermanentError,
    PluginError,
)
from healing.core.recreation import NEW, OLD, lasting_name
from healing.core.types import SHARED_NETWORK

Body = Mapping[str, Any]

KEPT_FOR_RETURN = 8.0
"""Seconds of the deadline in which steps are taken back; less of a short one."""
_NOT_WITH_SHARED_NETWORK = ("Hostname", "Domainname", "ExposedPorts", "MacAddress")
_NOT_ENDPOINT = frozenset(
    {
        "NetworkID", "EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "IPv6Gateway", "GlobalIPv6Address",
        "GlobalIPv6PrefixLen", "DNSNames", "MacAddress",
    }
)  # fmt: skip


class Api(Protocol):
    """One engine's API; `seconds` limit each exchange. Raise the engine's errors."""

    def get(self, path: str, what: str, seconds: float) -> Any: ...

    def send(
        self,
        method: str,
        path: str,
        what: str,
        seconds: float,
        query: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Any: ...


def creation(old: Body, image: str, network_mode: str | None) -> dict[str, Any]:
    """The body of POST /containers/create that makes the container anew; `old` is as inspected."""
    config, host = dict(old["Config"]), dict(old["HostConfig"])
    mode = network_mode or str(host.get("NetworkMode") or "")
    _share_with(mode, host)
    config["Image"], host["NetworkMode"] = image, mode
    short = str(old["Id"])[:12]
    if config.get("Hostname") == short:
        config["Hostname"] = ""
    _carry_volumes(old, host)
    if mode.startswith(SHARED_NETWORK):
        for name in _NOT_WITH_SHARED_NETWORK:
            config.pop(name, None)
        host["PortBindings"] = {}
        return {**config, "HostConfig": host}
    first = _first_network(old, mode)
    endpoints = {first: _endpoint(_networks(old)[first], short)} if first else {}
    return {**config, "HostConfig": host, "NetworkingConfig": {"EndpointsConfig": endpoints}}


def _share_with(mode: str, host: dict[str, Any]) -> None:
    """What is shared with the old network parent beside its network is shared with the new one too."""
    before = str(host.get("NetworkMode") or "")
    for name in ("PidMode", "IpcMode"):
        if before.startswith(SHARED_NETWORK) and host.get(name) == before:
            host[name] = mode


def further_networks(old: Body, network_mode: str | None) -> dict[str, dict[str, Any]]:
    """The networks that the new container is to join once it is made, with their settings: older engines take one only."""
    mode = network_mode or str(old["HostConfig"].get("NetworkMode") or "")
    if mode.startswith(SHARED_NETWORK):
        return {}
    first, short = _first_network(old, mode), str(old["Id"])[:12]
    return {name: _endpoint(each, short) for name, each in _networks(old).items() if name != first}


def _networks(old: Body) -> dict[str, Any]:
    return dict((old.get("NetworkSettings") or {}).get("Networks") or {})


def _first_network(old: Body, mode: str) -> str:
    names = list(_networks(old))
    wanted = "bridge" if mode in ("default", "") else mode
    return wanted if wanted in names else (names[0] if names else "")


def _endpoint(settings: Body, short: str) -> dict[str, Any]:
    """What was asked for of a network, without what the engine has given; the old id was an alias of the old container."""
    kept = {name: value for name, value in settings.items() if name not in _NOT_ENDPOINT}
    kept["Aliases"] = [alias for alias in settings.get("Aliases") or () if alias != short] or None
    return kept


def _carry_volumes(old: Body, host: dict[str, Any]) -> None:
    """Volumes without a name of the user's are those of the old container, not new ones."""
    binds, mounts = list(host.get("Binds") or ()), [dict(mount) for mount in host.get("Mounts") or ()]
    named = {_clean(bind.split(":")[1]) for bind in binds if ":" in bind}
    specified = {_clean(str(mount.get("Target"))): mount for mount in mounts}
    for mount in old.get("Mounts") or ():
        where, volume = _clean(str(mount.get("Destination"))), mount.get("Name")
        if mount.get("Type") != "volume" or not volume or where in named:
            continue
        if where in specified:
            specified[where]["Source"] = specified[where].get("Source") or volume
        else:
            binds.append(f"{volume}:{where}{'' if mount.get('RW', True) else ':ro'}")
    host["Binds"], host["Mounts"] = binds or None, mounts or None


def _clean(path: str) -> str:
    """A place in a container as engines tell it, however it was written."""
    return posixpath.normpath("/" + path.lstrip("/"))


@dataclass(frozen=True, slots=True)
class Recreation:
    """One recreate of one container. It has to be over at `until`, by the monotonic clock."""

    api: Api
    network_mode: str | None
    stop_timeout: float
    until: float
    kept: float = KEPT_FOR_RETURN

    def run(self, container_id: str) -> str:
        """The new container's id. Raise what the engine raises, after the old one has been put back."""
        old = self._inspect(container_id)
        name = lasting_name(_name(old))
        if old["HostConfig"].get("AutoRemove"):
            raise PermanentError(
                f"{name} was started with --rm and could not be put back: recreate it by hand"
            )
        successor = self._left_over(old, name)
        try:
            if successor is None:
                successor = self._make(old, name)
                self._exchange(old, name, successor)
            self._start(successor, name)
        except ActionTimedOut as error:
            if successor is None or not self._runs(successor):
                self._put_back(old, name, successor, error)
                raise
        except ContainerNotFound as error:
            self._put_back(old, name, successor, error)
            raise ActionFailed(str(error)) from error  # another one: this one is there
        except PluginError as error:
            self._put_back(old, name, successor, error)
            raise
        with contextlib.suppress(PluginError):  # it does not run, and the next recreate removes it
            self._remove(str(old["Id"]), f"remove {name}{OLD}")
        return successor

    def _left_over(self, old: Body, name: str) -> str | None:
        """The successor that has the name already, where an earlier call came so far; one that was only made is removed."""
        made = self._named(name + NEW)
        if made is not None:
            with contextlib.suppress(ContainerNotFound):
                self._remove(str(made["Id"]), f"remove {name}{NEW}")
        if _name(old) == name:
            self._make_room(name + OLD)
            return None
        successor = self._named(name)
        if successor is not None:
            return str(successor["Id"])
        self._rename(str(old["Id"]), name)
        return None

    def _make_room(self, name: str) -> None:
        """Remove what an earlier call has set aside under this name and not removed. Raise PermanentError where that runs."""
        aside = self._named(name)
        if aside is None:
            return
        if aside["State"].get("Running"):
            raise PermanentError(f"{name} runs, and its name is needed: remove or rename that container")
        with contextlib.suppress(ContainerNotFound):
            self._remove(str(aside["Id"]), f"remove {name}")

    def _make(self, old: Body, name: str) -> str:
        body = creation(old, self._image(old), self.network_mode)
        query = {"name": name + NEW}
        made = str(self._send("POST", "/containers/create", f"create {name}{NEW}", query, body)["Id"])
        try:
            for network, settings in further_networks(old, self.network_mode).items():
                joining = {"Container": made, "EndpointConfig": settings}
                path, what = f"/networks/{quote(network)}/connect", f"connect {name}{NEW} to {network}"
                self._send("POST", path, what, body=joining)
        except PluginError:
            with contextlib.suppress(PluginError):
                self._remove(made, f"remove {name}{NEW}")
            raise
        return made

    def _exchange(self, old: Body, name: str, successor: str) -> None:
        container = str(old["Id"])
        query = {"t": str(math.ceil(self.stop_timeout))}
        self._send("POST", f"/containers/{container}/stop", f"stop {name}", query)
        self._rename(container, name + OLD)
        self._rename(successor, name)

    def _put_back(self, old: Body, name: str, successor: str | None, error: PluginError) -> None:
        """As it was before. Raise ActionFailed where that is refused, with both reasons."""
        container, was_running = str(old["Id"]), bool(old["State"].get("Running"))
        try:
            if successor is not None:
                with contextlib.suppress(ContainerNotFound):
                    self._remove(successor, f"remove {name}{NEW}")
            if _name(self._inspect(container, last=True)) != name:
                self._rename(container, name, last=True)
        except PluginError as second:
            raise ActionFailed(f"{error}; and the old container could not be put back: {second}") from error
        if was_running or _name(old) != name:
            with contextlib.suppress(PluginError):  # it may be what made the recreate necessary
                self._send("POST", f"/containers/{container}/start", f"start {name}", last=True)

    def _image(self, old: Body) -> str:
        """The image's name, as long as that means the image which the container was made from; else its id."""
        name, identity = str(old["Config"].get("Image") or ""), str(old.get("Image") or "")
        try:
            found = self.api.get(f"/images/{quote(name, safe='/:@')}/json", f"image {name}", self._left())
        except ContainerNotFound:
            return identity
        except PluginError:
            return name
        return name if found.get("Id") == identity else identity

    def _named(self, name: str) -> Body | None:
        """The container of exactly this name."""
        with contextlib.suppress(ContainerNotFound):
            found = self._inspect(name)
            return found if _name(found) == name else None
        return None

    def _runs(self, container: str) -> bool:
        with contextlib.suppress(PluginError):
            return bool(self._inspect(container, last=True)["State"].get("Running"))
        return False

    def _start(self, container: str, name: str) -> None:
        self._send("POST", f"/containers/{container}/start", f"start {name}")

    def _rename(self, container: str, name: str, *, last: bool = False) -> None:
        what = f"rename {container[:12]} to {name}"
        self._send("POST", f"/containers/{container}/rename", what, {"name": name}, last=last)

    def _remove(self, container: str, what: str) -> None:
        """With force, as it may just be starting; without its volumes."""
        self._send("DELETE", f"/containers/{container}", what, {"force": "1"}, last=True)

    def _inspect(self, container: str, *, last: bool = False) -> Body:
        found: Body = self.api.get(
            f"/containers/{quote(container)}/json", f"inspect {container}", self._left(last)
        )
        return found

    def _send(
        self,
        method: str,
        path: str,
        what: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        *,
        last: bool = False,
    ) -> Any:
        return self.api.send(method, path, what, self._left(last), query, body)

    def _left(self, last: bool = False) -> float:
        """Seconds left for a step; for the `last` ones all. Raise ActionTimedOut where none are."""
        left = self.until - time.monotonic() - (0.0 if last else self.kept)
        if left <= 0:
            raise ActionTimedOut("no time is left for the next step of the recreate")
        return left


def _name(body: Body) -> str:
    return str(body["Name"]).lstrip("/")
