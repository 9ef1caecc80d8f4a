"""The database: reachable, and its tables as the code expects them."""

from __future__ import annotations

from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from selfheal_project.up.errors import StartRefused


def migrate() -> bool:
    """Bring the tables up to date, quietly; True where there was something to do. Raise StartRefused."""
    try:
        executor = MigrationExecutor(connection)
        if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return False
        call_command("migrate", verbosity=0, interactive=False)
    except DatabaseError as error:
        raise StartRefused(
            f"The database ({describe()}) cannot be used: {' '.join(str(error).split())}; check DATABASE_URL."
        ) from error
    return True


def describe() -> str:
    """The database in words for people, without its password."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"SQLite, {settings['NAME']}"
    return f"PostgreSQL, {settings['NAME']} at {settings['HOST'] or 'the local socket'}"
