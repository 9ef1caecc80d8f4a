"""What the times of a health status mean, now that a sweep writes nothing for what is as it was."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("healing", "0004_host_queue")]

    operations = [
        migrations.AlterField(
            model_name="healthstatus",
            name="last_check_time",
            field=models.DateTimeField(
                blank=True, null=True, help_text="When it was last looked at by itself; see last_checked_at."
            ),
        ),
        migrations.AlterField(
            model_name="healthstatus",
            name="next_check_at",
            field=models.DateTimeField(
                blank=True,
                null=True,
                help_text="When to look at it by itself again; empty: with each sweep of its host.",
            ),
        ),
    ]
