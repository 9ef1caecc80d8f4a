"""Apprise, loaded when it is first needed, and held to our rules.

Its plug-ins call `requests`; here they get a stand-in, so that each of their exchanges has the limits of ours,
follows no redirect, reads neither proxies nor passwords from this machine, and is seen. No attachment can be made, so
that no plug-in reads a file; no variable of the environment gets into an address; nothing is written to disk.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from notifications.channels.exchange import Answer, Request, exchange
from notifications.core.errors import ChannelError, PermanentError, TemporaryError

LOCAL = frozenset({"blink1", "dbus", "gio", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"})
FILES = frozenset({"fcm", "vapid"})
MAIL = frozenset({"mailto", "mailtos"})
SOCKETS = frozenset({"nostr"})

_loading = threading.Lock()


@dataclass(slots=True)
class Seen:
    """What one sending did: its exchanges, answered or not, and what Apprise said about them; `until` is its end."""

    until: float
    answers: list[Answer] = field(default_factory=list)
    faults: list[ChannelError] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


_seen: ContextVar[Seen | None] = ContextVar("selfheal_apprise_seen", default=None)


@contextmanager
def watching(until: float) -> Iterator[Seen]:
    """Collect what the plug-ins do in this block, and let no exchange go on past `until` (monotonic)."""
    seen = Seen(until)
    token = _seen.set(seen)
    try:
        yield seen
    finally:
        _seen.reset(token)


def refusal_of(schema: str) -> str:
    """Why addresses of this scheme are not taken; empty where they are."""
    plugin = _load().plugins.get(schema)
    if plugin is None:
        return f"Apprise has no service {schema}://"
    if schema in LOCAL:
        return f"{schema}:// shows messages on the machine that Selfheal runs on, where nobody sees them"
    if schema in FILES:
        return f"{schema}:// reads key files from this machine"
    if schema in SOCKETS or not (schema in MAIL or _speaks_http(plugin)):
        return f"{schema}:// does not use HTTP, so its answers and limits cannot be seen"
    if not plugin.enabled:
        return f"{schema}:// needs a library that is not installed"
    return ""


def parse(url: str) -> dict[str, Any] | None:
    """The parts of an address, as a plug-in wants them; None where no plug-in reads it."""
    parsed: dict[str, Any] | None = _load().parse(url)
    return parsed


def instantiate(parts: dict[str, Any]) -> Any:
    """A plug-in object that neither waits nor retries. Raise what the plug-in raises."""
    library = _load()
    plugin = library.apprise.Apprise.instantiate(parts, asset=library.asset(), suppress_exceptions=False)
    if plugin is not None:
        plugin.request_rate_per_sec = 0
    return plugin


@dataclass(frozen=True, slots=True)
class _Library:
    apprise: Any
    plugins: Any

    def parse(self, url: str) -> Any:
        return import_module("apprise.plugins").url_to_dict(url, secure_logging=True)

    def asset(self) -> Any:
        return self.apprise.AppriseAsset(
            app_id="Selfheal",
            app_desc="Selfheal",
            app_url="",
            image_path_mask="",
            image_url_mask="",
            image_url_logo="",
            http_redirects=False,
            allow_templates=False,
            storage_mode="memory",
            secure_logging=True,
            pgp_autogen=False,
            pem_autogen=False,
            language="en",
            timezone="UTC",
        )


def _load() -> _Library:
    with _loading:
        return _loaded()


@cache
def _loaded() -> _Library:
    apprise: Any = import_module("apprise")
    manager: Any = import_module("apprise.manager_plugins").NotificationManager()
    attachments: Any = import_module("apprise.manager_attachment").AttachmentManager()
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    logger.addHandler(_Listener())
    manager.load_modules()
    attachments.load_modules()
    for schema in attachments.schemas():
        attachments.remove(schema, unload=False)
    for name, module in list(sys.modules.items()):
        if name.startswith("apprise.") and isinstance(getattr(module, "requests", None), ModuleType):
            setattr(module, "requests", _Requests(module.requests))  # noqa: B010 - unknown to the type checker
    return _Library(apprise, {schema: manager[schema] for schema in manager.schemas()})


def _speaks_http(plugin: Any) -> bool:
    modules = [kind.__module__ for kind in plugin.__mro__ if kind.__module__.startswith("apprise.plugins.")]
    return any(hasattr(sys.modules.get(name), "requests") for name in modules)


class _Listener(logging.Handler):
    """What Apprise would log goes to who watches, and nowhere else: it may hold secrets."""

    def emit(self, record: logging.LogRecord) -> None:
        seen = _seen.get()
        if seen is not None:
            seen.said.append(record.getMessage())


class _Requests(ModuleType):
    """`requests`, except that its exchanges are ours."""

    def __init__(self, original: Any) -> None:
        super().__init__("requests")
        self._original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def request(self, method: str, url: str, **options: Any) -> Any:
        import requests

        allowed = {"params", "data", "json", "headers", "cookies", "files", "auth"}
        wanted = {name: value for name, value in options.items() if name in allowed}
        prepared = requests.Request(method.upper(), url, **wanted).prepare()
        answer = _exchange(prepared, verify=options.get("verify", True) is not False)
        response: Any = requests.Response()
        response.status_code = answer.status
        response.headers.update(answer.headers)
        response.url = prepared.url or url
        response.reason = answer.reason
        response.encoding = requests.utils.get_encoding_from_headers(response.headers)
        response._content, response._content_consumed = answer.body, True
        return response

    def get(self, url: str, **options: Any) -> Any:
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> Any:
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> Any:
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Any) -> Any:
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Any) -> Any:
        return self.request("DELETE", url, **options)

    def head(self, url: str, **options: Any) -> Any:
        return self.request("HEAD", url, **options)


def _exchange(prepared: Any, verify: bool) -> Answer:
    """Ours, with the errors that plug-ins expect."""
    import requests

    seen = _seen.get()
    if seen is None:
        raise requests.ConnectionError("nothing is sent outside of a sending")
    body = prepared.body or b""
    content = body.encode("utf-8", "replace") if isinstance(body, str) else bytes(body)
    headers = {name: value for name, value in prepared.headers.items() if name.lower() != "content-length"}
    left = seen.until - time.monotonic()
    try:
        if left <= 0:
            raise TemporaryError("there was no time left for all of its requests")
        answer = exchange(Request(prepared.url, content, headers, prepared.method), left, tls_verify=verify)
    except (PermanentError, TemporaryError) as fault:
        seen.faults.append(fault)
        raise requests.ConnectionError(str(fault)) from None
    seen.answers.append(answer)
    return answer
