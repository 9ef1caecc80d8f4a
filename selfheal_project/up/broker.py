"""The broker of the separate processes: is there one, and does it answer?"""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from kombu import Connection
from kombu.exceptions import KombuError

from selfheal_project.up.errors import StartRefused


def look_for_broker(url: str | None = None) -> str:
    """The broker's address (the configured one's) without its password, and what to do where it does not answer.

    That is no reason not to start: what stands in for it would be away as well. Raise StartRefused where the address
    is that of no broker.
    """
    from selfheal_project.celery import app

    shown = without_password(url or str(app.conf.broker_url))
    try:
        error = _error_of(app.connection_for_write(url, connect_timeout=5))
    except (KeyError, ValueError) as wrong:
        raise StartRefused(
            f"The broker {shown} cannot be used ({_words(wrong)}); "
            "mend CELERY_BROKER_URL, or leave it empty to run everything in one process."
        ) from wrong
    if not error:
        return shown
    return (
        f"{shown} does not answer ({error}); start it, or mend CELERY_BROKER_URL: "
        "until then the sweeper stands in for it"
    )


def _error_of(connection: Connection) -> str:
    """Why it cannot be had, or empty. A broker that does not let us in may do so later, as one that is away."""
    reasons: tuple[type[BaseException], ...] = (
        KombuError,
        OSError,
        *connection.connection_errors,
        *connection.channel_errors,
    )
    try:
        connection.ensure_connection(
            max_retries=1, interval_start=0, timeout=6, reraise_as_library_errors=True
        )
    except reasons as error:
        return _words(error)
    finally:
        connection.release()
    return ""


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")


def without_password(url: str) -> str:
    """The URL with ** in the place of a password; Sentinels are several URLs with ; between them."""
    if ";" in url:
        return ";".join(without_password(each) for each in url.split(";"))
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:**@{place}"))
