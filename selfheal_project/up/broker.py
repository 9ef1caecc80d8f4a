"""The broker of the separate processes: does it answer?"""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from kombu.exceptions import KombuError

from selfheal_project.up.errors import StartRefused


def broker_answers(url: str | None = None) -> str:
    """The broker's address (the configured one's) without its password. Raise StartRefused where it does not answer."""
    from selfheal_project.celery import app

    connection = app.connection_for_write(url, connect_timeout=5)
    shown = without_password(url or str(app.conf.broker_url))
    try:
        connection.ensure_connection(
            max_retries=1, interval_start=0, timeout=6, reraise_as_library_errors=True
        )
    except (KombuError, OSError) as error:
        raise StartRefused(
            f"The broker {shown} does not answer ({' '.join(str(error).split()).rstrip('.')}); "
            "start it, or mend CELERY_BROKER_URL, or leave that empty to run everything in one process."
        ) from error
    finally:
        connection.release()
    return shown


def without_password(url: str) -> str:
    """The URL with ** in the place of a password; Sentinels are several URLs with ; between them."""
    if ";" in url:
        return ";".join(without_password(each) for each in url.split(";"))
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:**@{place}"))
