"""The broker of the separate processes: does it answer?"""

from __future__ import annotations

from kombu.exceptions import KombuError

from selfheal_project.up.errors import StartRefused


def broker_answers() -> str:
    """The broker's address without its password. Raise StartRefused where it does not answer."""
    from selfheal_project.celery import app

    connection = app.connection_for_write(connect_timeout=5)
    try:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=6, reraise_as_library_errors=True)
    except (KombuError, OSError) as error:
        raise StartRefused(
            f"The broker {connection.as_uri()} does not answer: {' '.join(str(error).split())}; "
            "start it, or mend CELERY_BROKER_URL, or leave that empty to run everything in one process."
        ) from error
    finally:
        connection.release()
    return str(connection.as_uri())
