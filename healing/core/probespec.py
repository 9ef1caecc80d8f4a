"""The text forms of a probe, parsed strictly: `http://:8080/path`, `https://host:8443/`, `tcp://:5432`, `exec:command`.

An empty host means the container's own address. What does not fit into the text is given as options.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import SplitResult, urlsplit

from healing.core.errors import ConfigError
from healing.core.probeoptions import (
    SHORTEST_INTERVAL,
    BodyMatch,
    StatusRanges,
    read_body_match,
    read_bool,
    read_seconds,
    read_status,
)

BUILT_IN_KINDS = ("http", "tcp", "exec")
DEFAULT_STATUS: StatusRanges = ((200, 399),)
COMMON_OPTIONS = ("interval", "timeout")
HTTP_OPTIONS = ("status", "body_match", "tls_verify")
FORMS = "http://:8080/path, https://:8443/path, tcp://:5432 or exec:command"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_HOST = re.compile(r"[A-Za-z0-9_.:%-]+")
_SHELL_WORDS = frozenset({"|", "||", "&&", ";", "&", ">", ">>", "<", "2>&1"})


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """One GET. `host` is empty for the container's own address; `path` holds the query too."""

    host: str
    port: int
    path: str
    tls: bool = False
    tls_verify: bool = True
    status: StatusRanges = DEFAULT_STATUS
    body_match: BodyMatch | None = None

    def accepts(self, status: int) -> bool:
        return any(low <= status <= high for low, high in self.status)


@dataclass(frozen=True, slots=True)
class TcpSettings:
    """One connection. `host` is empty for the container's own address."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class ExecSettings:
    """One command inside the container, without a shell; exit code 0 passes."""

    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """What stands after the colon for a kind that is not built in; the plug-in parses it and the options itself."""

    rest: str
    options: Mapping[str, Any] = field(default_factory=dict)


Settings = HttpSettings | TcpSettings | ExecSettings | PluginSettings


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """One probe of a container. `interval` and `timeout` are seconds.

    A timeout of None is the healing config's; an interval of None, or of no less than the config's check_interval,
    means that the probe runs with each check.
    """

    name: str
    kind: str
    text: str
    settings: Settings
    interval: float | None = None
    timeout: float | None = None

    def no_oftener_than(self, shortest: float) -> ProbeSpec:
        """The same, with an interval of at least `shortest` seconds where it has one."""
        if self.interval is None or self.interval >= shortest:
            return self
        return replace(self, interval=shortest)


def parse_probe(
    name: str,
    text: str,
    options: Mapping[str, Any] | None = None,
    plugin_kinds: Collection[str] = (),
) -> ProbeSpec:
    """Parse one probe, or raise ConfigError for `probe.<name>` or `probe.<name>.<option>`.

    Options of every kind: `interval`, `timeout` (seconds). Of http: `status` (such as "200-299,304"),
    `body_match` (a piece of text, or /a regular expression/), `tls_verify` (true or false).
    """
    field_name = f"probe.{name}"
    if not _NAME.fullmatch(name):
        raise ConfigError(field_name, "a probe's name is 1 to 63 letters, digits, '-', '_' or '.'")
    scheme, rest = _split_scheme(field_name, text)
    given = dict(options or {})
    interval = read_seconds(f"{field_name}.interval", given.pop("interval", None), SHORTEST_INTERVAL)
    timeout = read_seconds(f"{field_name}.timeout", given.pop("timeout", None))
    if scheme in _PARSERS:
        kind, parser = _PARSERS[scheme]
        settings: Settings = parser(field_name, text.strip(), given)
    elif scheme in plugin_kinds:
        kind, settings = scheme, PluginSettings(rest, given)
    else:
        raise ConfigError(field_name, f"there is no probe of kind {scheme!r}; write {FORMS}")
    return ProbeSpec(name, kind, text.strip(), settings, interval, timeout)


def group_options(named: Mapping[str, Any]) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Probes and their options from flat names: `web` and `web.interval` are the probe `web` with an option.

    A name is an option's only where the probe before its last dot stands there too. In the order of the names.
    """
    grouped: dict[str, tuple[Any, dict[str, Any]]] = {}
    for name in sorted(named, key=len):
        probe, _, option = name.rpartition(".")
        if probe in grouped and option in (*COMMON_OPTIONS, *HTTP_OPTIONS):
            grouped[probe][1][option] = named[name]
        else:
            grouped[name] = (named[name], {})
    return {name: grouped[name] for name in sorted(grouped)}


def _split_scheme(field_name: str, text: str) -> tuple[str, str]:
    found = _SCHEME.fullmatch(text.strip())
    if found is None or ("://" not in text and not found[2]):
        raise ConfigError(field_name, f"{text!r} is not a probe; write {FORMS}")
    return found[1].lower(), found[2]


def _parse_http(field_name: str, text: str, options: dict[str, Any]) -> HttpSettings:
    _refuse_others(field_name, options, HTTP_OPTIONS)
    url = _split_url(field_name, text)
    tls = url.scheme == "https"
    host, port = _host_and_port(field_name, url, default_port=443 if tls else 80)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    return HttpSettings(
        host=host,
        port=port,
        path=path,
        tls=tls,
        tls_verify=read_bool(f"{field_name}.tls_verify", options.get("tls_verify"), default=True),
        status=read_status(f"{field_name}.status", options.get("status"), DEFAULT_STATUS),
        body_match=read_body_match(f"{field_name}.body_match", options.get("body_match")),
    )


def _parse_tcp(field_name: str, text: str, options: dict[str, Any]) -> TcpSettings:
    _refuse_others(field_name, options, ())
    url = _split_url(field_name, text)
    if url.path or url.query:
        raise ConfigError(field_name, f"{text!r} has a path; a tcp probe is tcp://:5432 or tcp://host:5432")
    host, port = _host_and_port(field_name, url, default_port=None)
    return TcpSettings(host, port)


def _parse_exec(field_name: str, text: str, options: dict[str, Any]) -> ExecSettings:
    _refuse_others(field_name, options, ())
    command = text.split(":", 1)[1].strip()
    if command.startswith("//"):
        raise ConfigError(
            field_name, f"{text!r} is no command; write exec:command, without slashes before it"
        )
    if "\0" in command:
        raise ConfigError(field_name, "a command cannot hold a NUL character")
    try:
        argv = tuple(shlex.split(command))
        bare = _SHELL_WORDS.intersection(shlex.split(command, posix=False))
    except ValueError as error:
        raise ConfigError(field_name, f"{command!r}: {error}; close the quote or escape it") from None
    if not argv or not argv[0]:
        raise ConfigError(field_name, "there is no command; write exec:command with arguments")
    if bare:
        raise ConfigError(
            field_name,
            f"{' '.join(sorted(bare))} needs a shell, and there is none; write exec:sh -c '…'",
        )
    return ExecSettings(argv)


def _split_url(field_name: str, text: str) -> SplitResult:
    if not text.isascii() or any(character <= " " or character == "\x7f" for character in text):
        raise ConfigError(field_name, f"{text!r} holds a space or a non-ASCII character; percent-encode it")
    try:
        url = urlsplit(text)
    except ValueError as error:
        raise ConfigError(field_name, f"{text!r}: {error}; write {FORMS}") from None
    if not text[len(url.scheme) + 1 :].startswith("//"):
        raise ConfigError(field_name, f"{text!r} lacks the slashes; write {url.scheme}://:port")
    if "@" in url.netloc:
        raise ConfigError(field_name, "a user name or password does not belong into a probe; leave it out")
    if "#" in text:
        raise ConfigError(
            field_name, f"{text!r} has a fragment, which no server sees; leave out # and the rest"
        )
    return url


def _host_and_port(field_name: str, url: SplitResult, default_port: int | None) -> tuple[str, int]:
    try:
        port = url.port
    except ValueError:
        raise ConfigError(field_name, f"{url.netloc!r}: the port must be a number from 1 to 65535") from None
    host = url.hostname or ""
    if port is None and not url.netloc.endswith(":"):
        port = default_port
    if not port:
        raise ConfigError(field_name, f"the port is missing; write {url.scheme}://{host}:port, 1 to 65535")
    if host and not _HOST.fullmatch(host):
        raise ConfigError(field_name, f"{host!r} is not a host name or address")
    return host, port


def _refuse_others(field_name: str, options: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for option in sorted(options):
        if option not in known:
            names = ", ".join((*known, *COMMON_OPTIONS))
            raise ConfigError(f"{field_name}.{option}", f"this probe has no such option; it has {names}")


_PARSERS: dict[str, tuple[str, Callable[[str, str, dict[str, Any]], Settings]]] = {
    "http": ("http", _parse_http),
    "https": ("http", _parse_http),
    "tcp": ("tcp", _parse_tcp),
    "exec": ("exec", _parse_exec),
}
