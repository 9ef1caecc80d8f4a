"""The four profiles, and a row of system state."""

from __future__ import annotations

from typing import Any

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

PROFILES: dict[str, dict[str, Any]] = {
    "default": {
        "description": "What applies where nothing else is said.",
        "check_interval": 30,
        "check_timeout": 10,
        "failure_threshold": 3,
        "max_restarts": 5,
        "restart_window": 300,
        "auto_restart": True,
        "send_alert": True,
        "priority": "default",
    },
    "critical": {
        "description": "Databases, gateways: looked at often, acted on early.",
        "check_interval": 10,
        "check_timeout": 5,
        "failure_threshold": 2,
        "max_restarts": 10,
        "restart_window": 600,
        "auto_restart": True,
        "send_alert": True,
        "priority": "critical",
    },
    "non-critical": {
        "description": "Caches, queues: looked at seldom, healed quietly.",
        "check_interval": 60,
        "check_timeout": 10,
        "failure_threshold": 5,
        "max_restarts": 3,
        "restart_window": 300,
        "auto_restart": True,
        "send_alert": False,
        "priority": "non-critical",
    },
    "read-only": {
        "description": "Monitoring, logging: people are told, nothing is touched.",
        "check_interval": 30,
        "check_timeout": 10,
        "failure_threshold": 3,
        "auto_restart": False,
        "send_alert": True,
        "priority": "default",
    },
}


def create(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    config = apps.get_model("healing", "HealingConfig")
    for name, values in PROFILES.items():
        config.objects.get_or_create(name=name, defaults=values)
    apps.get_model("healing", "SystemState").objects.get_or_create(pk=1)


class Migration(migrations.Migration):
    dependencies = [("healing", "0001_initial")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
