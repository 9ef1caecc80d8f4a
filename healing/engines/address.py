"""Engine addresses: unix:///path, tcp://host:port, ssh://user@host[:port], process:///folder, fake://name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from healing.core.errors import ConfigError
from healing.core.ports import EngineConfig

DEFAULT_DOCKER_ADDRESS = "unix:///var/run/docker.sock"

_HOST = re.compile(r"\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<name>[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?)")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?")
_FAKE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address: `path` for unix and process, `host`, `port`, `user` for tcp and ssh, `host` for fake."""

    text: str
    scheme: str
    path: str = ""
    host: str = ""
    port: int = 0
    user: str = ""

    def __str__(self) -> str:
        return self.text


def parse_address(text: str) -> Address:
    """Parse strictly: raise ConfigError (field `address`) that says what to write instead."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in _PARSERS:
        known = ", ".join(f"{name}://" for name in _PARSERS)
        hint = " (for TLS write tcp:// and give the TLS files)" if scheme in ("http", "https") else ""
        raise _bad(text, f"write an address that begins with one of {known}{hint}")
    if text != text.strip() or not text.isprintable():
        raise _bad(text, "remove the white space and control characters")
    return _PARSERS[scheme](text, rest)


def default_docker_address(environ: Mapping[str, str]) -> str:
    """DOCKER_HOST where it is set, else Docker's default socket."""
    return environ.get("DOCKER_HOST", "").strip() or DEFAULT_DOCKER_ADDRESS


def docker_config(environ: Mapping[str, str], timeout: float = 10.0) -> EngineConfig:
    """The engine that the docker command line would use: DOCKER_HOST, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH."""
    address = default_docker_address(environ)
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    folder = environ.get("DOCKER_CERT_PATH") or (f"{environ.get('HOME', '')}/.docker" if verify else "")
    if not (folder and address.startswith("tcp://")):
        return EngineConfig(kind="docker", address=address, timeout=timeout)
    files = {f"tls_{part}": str(PurePosixPath(folder) / f"{part}.pem") for part in ("ca", "cert", "key")}
    return EngineConfig(kind="docker", address=address, timeout=timeout, tls_verify=verify, **files)


def _bad(text: str, advice: str) -> ConfigError:
    return ConfigError("address", f"{text!r} is not an engine's address: {advice}")


def _folder(text: str, rest: str) -> Address:
    scheme = text.partition("://")[0]
    if not rest.startswith("/") or rest.strip("/") == "":
        raise _bad(text, f"write three slashes and an absolute path, as in {scheme}:///var/run/name")
    return Address(text, scheme, path=rest)


def _tcp(text: str, rest: str) -> Address:
    host, port = _host_and_port(text, rest)
    if not port:
        raise _bad(text, "add the port, as in tcp://host:2376 (2375 without TLS)")
    return Address(text, "tcp", host=host, port=port)


def _ssh(text: str, rest: str) -> Address:
    user, separator, place = rest.rpartition("@")
    if ":" in user:
        raise _bad(text, "a password has no place in an address; ssh uses keys")
    if separator and not _USER.fullmatch(user):
        raise _bad(text, "write the user as in ssh://user@host")
    host, port = _host_and_port(text, place)
    return Address(text, "ssh", host=host, port=port, user=user)


def _fake(text: str, rest: str) -> Address:
    if not _FAKE_NAME.fullmatch(rest):
        raise _bad(text, "write a name of letters, digits, '.', '_' and '-', as in fake://lab")
    return Address(text, "fake", host=rest)


def _host_and_port(text: str, rest: str) -> tuple[str, int]:
    match = _HOST.match(rest)
    if match is None:
        raise _bad(text, "write a host name or address after '://' (an IPv6 address in brackets)")
    host, tail = match["v6"] or match["name"], rest[match.end() :]
    if not tail:
        return host, 0
    if not re.fullmatch(r":[0-9]{1,5}", tail) or not 1 <= int(tail[1:]) <= 65535:
        raise _bad(text, f"{tail!r} is no port: write ':' and a number from 1 to 65535, and nothing after it")
    return host, int(tail[1:])


_PARSERS: dict[str, Callable[[str, str], Address]] = {
    "unix": _folder,
    "tcp": _tcp,
    "ssh": _ssh,
    "process": _folder,
    "fake": _fake,
}
