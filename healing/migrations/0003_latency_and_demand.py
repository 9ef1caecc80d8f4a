"""How long an engine took to answer; when a person asked for a heal."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("healing", "0002_profiles")]

    operations = [
        migrations.AddField(
            model_name="host",
            name="latency",
            field=models.FloatField(
                blank=True,
                editable=False,
                help_text="Seconds from connecting until the engine had said who it is: at the last test of the connection, "
                "or when its events were last connected to.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="host",
            name="latency_at",
            field=models.DateTimeField(
                blank=True, editable=False, null=True, verbose_name="latency measured at"
            ),
        ),
        migrations.AddField(
            model_name="failurerecord",
            name="forced_at",
            field=models.DateTimeField(blank=True, help_text="When a person asked last.", null=True),
        ),
    ]
