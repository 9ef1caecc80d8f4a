"""The environment, read strictly: a malformed or unknown value stops the start with a sentence."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ImproperlyConfigured

KNOWN = {
    "SELFHEAL_HOME": "folder for all state of the embedded mode (default: var/ in the project)",
    "SELFHEAL_SECRET_KEY": "Django's secret key (default: generated once in SELFHEAL_HOME)",
    "SELFHEAL_SECRET_KEY_FALLBACKS": "former secret keys, comma-separated: what they encrypted or signed is still read",
    "SELFHEAL_URL": "address of these web pages as people reach them, for the links in messages (default: no links)",
    "SELFHEAL_ALLOWED_HOSTS": "comma-separated names under which the web pages may be asked for",
    "SELFHEAL_HTTPS": "true where the web pages are served behind HTTPS",
    "SELFHEAL_BIND": "address to listen on (default 127.0.0.1)",
    "SELFHEAL_LOG_FORMAT": "text or json",
    "SELFHEAL_LOG_LEVEL": "DEBUG, INFO, WARNING or ERROR",
    "SELFHEAL_FLOWER_PASSWORD": "password of Flower's user selfheal (default: generated once in SELFHEAL_HOME)",
    "SELFHEAL_FLOWER_PORT": "port of Flower (default 5555)",
    "SELFHEAL_ADMIN_PASSWORD": "first password of the user admin (default: generated once in SELFHEAL_HOME)",
    "SELFHEAL_CONTAINER_ID": "engine id of the container that this process runs in, where it cannot be told",
    "SELFHEAL_TICK": "seconds between two ticks of beat, 1 to 10 (default 1)",
    "SELFHEAL_HEARTBEAT_URL": "address that is called while all of Selfheal is well (default: none)",
    "SELFHEAL_HEARTBEAT_EVERY": "seconds between two such calls, 5 to 86400 (default 60)",
    "SELFHEAL_DIGEST_TIMEZONE": "time zone whose 08:00 begins a digest's day, such as Europe/Berlin (default UTC)",
}
_OTHER_PREFIXES = ("SELFHEAL_TEST_", "SELFHEAL_BENCH_", "SELFHEAL_DEMO_", "SELFHEAL_ALERT_")


def check_known(environ: Mapping[str, str] = os.environ) -> None:
    """Refuse a misspelt SELFHEAL_ variable, which would otherwise be silently without effect."""
    for name in environ:
        if name.startswith("SELFHEAL_") and name not in KNOWN and not name.startswith(_OTHER_PREFIXES):
            raise ImproperlyConfigured(
                f"The environment variable {name} is unknown. Known are: {', '.join(sorted(KNOWN))}."
            )


def boolean(name: str, default: bool = False, environ: Mapping[str, str] = os.environ) -> bool:
    text = environ.get(name, "").strip().lower()
    if not text:
        return default
    if text in ("true", "1", "yes", "on"):
        return True
    if text in ("false", "0", "no", "off"):
        return False
    raise ImproperlyConfigured(f"{name}={environ[name]!r} is neither true nor false; write true or false.")


def number(
    name: str, default: float, low: float, high: float, environ: Mapping[str, str] = os.environ
) -> float:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise ImproperlyConfigured(f"{name}={text!r} is not a number from {low:g} to {high:g}.")
    return value


def http_url(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """An http:// or https:// address; it may hold a secret, so a wrong one is not repeated."""
    text = environ.get(name, "").strip()
    if text and (urlsplit(text).scheme not in ("http", "https") or not urlsplit(text).hostname):
        raise ImproperlyConfigured(f"{name} is no address; write https://host/path.")
    return text


def time_zone(name: str, default: str = "UTC", environ: Mapping[str, str] = os.environ) -> ZoneInfo:
    """A time zone by its name in the tz database, such as Europe/Berlin."""
    text = environ.get(name, "").strip() or default
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ImproperlyConfigured(
            f"{name}={text!r} is no time zone; write a name such as UTC, Europe/Berlin or Asia/Shanghai."
        ) from None


def choice(name: str, default: str, allowed: tuple[str, ...], environ: Mapping[str, str] = os.environ) -> str:
    text = environ.get(name, "").strip() or default
    if text not in allowed:
        raise ImproperlyConfigured(f"{name}={text!r} is unknown; write one of {', '.join(allowed)}.")
    return text


def database(url: str, home: Path) -> dict[str, Any]:
    """Django's settings for postgres://user:password@host:port/name or sqlite:///path; SQLite in `home` when empty."""
    if not url:
        return _sqlite(home / "selfheal.sqlite3")
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        if not parts.path.strip("/"):
            raise ImproperlyConfigured("DATABASE_URL names no file; write sqlite:////absolute/path.")
        return _sqlite(Path(unquote(parts.path.removeprefix("/"))))
    if parts.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured(
            f"DATABASE_URL starts with {parts.scheme!r}; write postgres://user:password@host:5432/name "
            "or sqlite:////absolute/path."
        )
    return _postgres(url)


_KEEPALIVES = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""A server that is cut off without a reset is given up within half a minute (seconds; the last in milliseconds)."""
_AT_THE_SERVER = {
    "idle_in_transaction_session_timeout": "20s",
    "lock_timeout": "30s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "20s",
}
"""The server gives us up as well: what a frozen process, or one that is cut off, has locked is free again after 20 s.

All others would wait for it otherwise. The second is for one that goes on and on within a transaction.
"""


def _sqlite(path: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "CONN_MAX_AGE": 600,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def _postgres(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise ImproperlyConfigured("DATABASE_URL has a port that is not a number from 1 to 65535.") from None
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise ImproperlyConfigured(
            "DATABASE_URL names no database; write postgres://user:password@host:5432/name."
        )
    options: dict[str, Any] = {"connect_timeout": 5, **_KEEPALIVES, **dict(parse_qsl(parts.query))}
    options["options"] = " ".join([*_settings_at_the_server(), options.get("options", "")]).strip()
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or options.pop("host", "")),
        "PORT": str(port or ""),
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


def _settings_at_the_server() -> list[str]:
    """In front of what the URL says: of two the last one counts."""
    return [f"-c {name}={value}" for name, value in _AT_THE_SERVER.items()]


def broker(url: str) -> str:
    """The broker's URL; `selfheal-memory://localhost` (inside one process) when empty."""
    if not url:
        return "selfheal-memory://localhost"
    scheme = _scheme_of_broker(url)
    if scheme not in ("redis", "rediss", "unix", "sentinel", "amqp", "amqps", "selfheal-memory"):
        raise ImproperlyConfigured(
            f"CELERY_BROKER_URL starts with {scheme!r}; write redis://host:6379/0 or amqp://user:password@host:5672//, "
            "or leave it empty for one process."
        )
    return url.partition("?")[0] if scheme == "sentinel" else url


def _scheme_of_broker(url: str) -> str:
    """Refuses what would be refused later with an error that repeats a part of it, which may be of the password."""
    try:
        parts = [urlsplit(each) for each in url.split(";")]
        ports = [each.port for each in parts]
    except ValueError:
        ports = [0]
    if 0 in ports:
        raise ImproperlyConfigured(
            "CELERY_BROKER_URL has a port that is not a number from 1 to 65535, or is no address; "
            "write / : @ # ? ; and % in a password as %2F %3A %40 %23 %3F %3B %25."
        )
    return parts[0].scheme


def sentinel_options(url: str) -> dict[str, Any]:
    """Which Redis the Sentinels of `sentinel://a:26379;sentinel://b:26379/0?master_name=…` are asked for, and how.

    `mymaster` where it is not said. One that is dead is passed over in a second. Empty for other brokers.
    """
    if urlsplit(url).scheme != "sentinel":
        return {}
    query = dict(parse_qsl(url.partition("?")[2], keep_blank_values=True))
    name = query.pop("master_name", "mymaster")
    if query or not name:
        raise ImproperlyConfigured(
            f"CELERY_BROKER_URL ends with ?{url.partition('?')[2]}; after the Sentinels only ?master_name=NAME is known."
        )
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    asked = {"socket_timeout": 1, "socket_connect_timeout": 1, "retry": Retry(NoBackoff(), 0)}
    return {"master_name": name, "sentinel_kwargs": asked}


def is_rabbitmq(broker_url: str) -> bool:
    return urlsplit(broker_url).scheme in ("amqp", "amqps")


def broker_options(broker_url: str) -> dict[str, Any]:
    """What the transport is told, so that a broker that hangs is given up after seconds and not waited for."""
    if broker_url.startswith("selfheal-memory"):
        return {}
    if is_rabbitmq(broker_url):
        # Confirmed: RabbitMQ has the message on the disks of most of its nodes when sending it returns.
        return {"confirm_publish": True, "read_timeout": 10, "write_timeout": 10}
    return {
        # A page that sends a hint to a Redis that hangs waits three times as long: for its answer, to connect anew, and again.
        "socket_timeout": 2,
        "socket_connect_timeout": 2,
        "health_check_interval": 10,
        "visibility_timeout": 300,
        "unacked_restore_interval": 10,
        "priority_steps": sorted(message_priorities(broker_url)),
    }


def message_priorities(broker_url: str) -> tuple[int, int, int]:
    """The numbers by which this broker takes critical, default and non-critical messages in that order.

    With Redis and in one process the lowest number is taken first, with RabbitMQ the highest.
    """
    return (9, 4, 0) if is_rabbitmq(broker_url) else (0, 3, 6)


def stored_secret(home: Path, name: str, length: int = 50) -> str:
    """A secret that is generated once and kept in `home` (mode 0600)."""
    path = home / name
    try:
        return _kept(path) or _create(path, secrets.token_urlsafe(length)[:length])
    except OSError as error:
        raise ImproperlyConfigured(
            f"The state folder {home} cannot be used ({error.strerror}: {error.filename}); "
            "mend its permissions or set SELFHEAL_HOME to another folder."
        ) from error


def _kept(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def _create(path: Path, value: str) -> str:
    """Write `value` to `path` unless another process was quicker, whose value then holds."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(value + "\n")
    try:
        # A link appears complete or not at all, and never over one that is there.
        os.link(draft, path)
    except FileExistsError:
        return _kept(path)
    finally:
        draft.unlink()
    return value
