"""One channel is there from the start: the log, for every level."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def create(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    channel = apps.get_model("notifications", "Channel")
    channel.objects.get_or_create(name="log", defaults={"kind": "log", "min_level": "info", "enabled": True})


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_initial")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
