"""What a migration leaves behind lets the code of before write on, until its processes have been stopped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from django.db import migrations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models import NOT_PROVIDED, CharField, Field, IntegerField

FROZEN = {"healing": "0007", "notifications": "0004"}
"""Up to these, installations have them as they are."""


def without_default(operations: Iterable[Operation]) -> list[str]:
    """The columns that whoever does not know them leaves empty, and that may not be empty."""
    return [
        f"{operation.model_name}.{operation.name}"
        for operation in operations
        if isinstance(operation, migrations.AddField)
        and not operation.field.many_to_many
        and not operation.field.null
        and operation.field.db_default is NOT_PROVIDED
    ]


def test_a_column_that_is_added_has_a_default_in_the_database() -> None:
    """`default` is Python's, and goes with the migration: an older process' INSERT would be refused."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    later = {
        f"{app}.{name}": without_default(migration.operations)
        for (app, name), migration in loader.disk_migrations.items()
        if app in FROZEN and name[:4] > FROZEN[app]
    }
    assert {name: columns for name, columns in later.items() if columns} == {}


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (IntegerField(default=0), ["thing.new"]),
        (IntegerField(null=True), []),
        (IntegerField(default=0, db_default=0), []),
        (CharField(max_length=5, default=""), ["thing.new"]),
    ],
    ids=["Python's default", "null", "the database's default", "text"],
)
def test_what_is_without_a_default(field: Field[Any, Any], expected: list[str]) -> None:
    """While no migration has come since, the rule itself is tried."""
    assert without_default([migrations.AddField("thing", "new", field)]) == expected
