"""Channel settings are encrypted; the root route and the first rule of inhibition are there from the start."""

from datetime import timedelta

from django.db import migrations
from django.utils import timezone

from notifications.secrets import decrypt, encrypt


def encrypt_settings(apps, schema_editor):
    """The column is text by now and still holds plain JSON."""
    table = schema_editor.quote_name("notifications_channel")
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(f"SELECT id, config FROM {table}")
        for pk, plain in cursor.fetchall():
            cursor.execute(f"UPDATE {table} SET config = %s WHERE id = %s", [encrypt(plain or "{}"), pk])


def decrypt_settings(apps, schema_editor):
    table = schema_editor.quote_name("notifications_channel")
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(f"SELECT id, config FROM {table}")
        for pk, token in cursor.fetchall():
            cursor.execute(f"UPDATE {table} SET config = %s WHERE id = %s", [decrypt(token), pk])


def begin(apps, schema_editor):
    """What was there goes on as it was: channels may call where they called, and what waits is routed."""
    channel = apps.get_model("notifications", "Channel").objects
    channel.exclude(kind="log").update(allow_private=True)
    channel.filter(kind="log").update(rate_limit=0)
    apps.get_model("notifications", "Notification").objects.filter(state="pending", deliveries=None).update(
        route_at=timezone.now()
    )
    apps.get_model("notifications", "Route").objects.get_or_create(
        name="everything",
        parent=None,
        defaults={
            "group_by": ["alertname", "host", "project"],
            "group_wait": timedelta(seconds=30),
            "group_interval": timedelta(minutes=5),
            "repeat_interval": timedelta(hours=4),
        },
    )
    apps.get_model("notifications", "InhibitRule").objects.get_or_create(
        name="a host that is down mutes its containers",
        defaults={
            "source_matchers": 'alertname="host_down"',
            "target_matchers": 'container=~".+"',
            "equal": ["host"],
        },
    )


class Migration(migrations.Migration):
    dependencies = [("notifications", "0003_alerting")]
    operations = [
        migrations.RunPython(encrypt_settings, decrypt_settings),
        migrations.RunPython(begin, migrations.RunPython.noop),
    ]
