"""What is important goes first, and what is put off is counted."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("healing", "0005_check_times"),
    ]

    operations = [
        migrations.CreateModel(
            name="Overload",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("queue", models.CharField(max_length=100, unique=True)),
                (
                    "level",
                    models.SmallIntegerField(
                        choices=[(0, "none"), (1, "non-critical"), (2, "default")],
                        default=0,
                        help_text="Checks of this priority and below are put off.",
                        verbose_name="shed",
                    ),
                ),
                (
                    "lateness",
                    models.FloatField(default=0.0, help_text="Seconds that checks wait for a worker."),
                ),
                (
                    "heals_waiting",
                    models.IntegerField(default=0, help_text="Heals that were due and that nobody had."),
                ),
                ("measured_at", models.DateTimeField()),
                ("late_since", models.DateTimeField(blank=True, null=True)),
                ("calm_since", models.DateTimeField(blank=True, null=True)),
                ("raised_at", models.DateTimeField(blank=True, null=True)),
                ("lowered_at", models.DateTimeField(blank=True, null=True)),
                ("hold", models.FloatField(default=30.0, help_text="Seconds of calm before less is shed.")),
                (
                    "told_at",
                    models.DateTimeField(
                        blank=True, help_text="When people were told; empty once it is over.", null=True
                    ),
                ),
                (
                    "counted_before",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text="Checks put off by priority before this overload began.",
                    ),
                ),
            ],
            options={
                "ordering": ["queue"],
            },
        ),
        migrations.AddField(
            model_name="checkshard",
            name="begun_at",
            field=models.DateTimeField(
                blank=True, help_text="When a worker took it up; empty while nobody has.", null=True
            ),
        ),
        migrations.AddField(
            model_name="checkshard",
            name="is_cut_short",
            field=models.BooleanField(default=False, help_text="Its last sweep had no time for everything."),
        ),
        migrations.AddField(
            model_name="checkshard",
            name="priority",
            field=models.SmallIntegerField(
                choices=[(0, "critical"), (1, "default"), (2, "non-critical")],
                default=0,
                help_text="That of its most important container; critical as long as that is not known.",
            ),
        ),
        migrations.AddField(
            model_name="failurerecord",
            name="priority",
            field=models.SmallIntegerField(
                choices=[(0, "critical"), (1, "default"), (2, "non-critical")],
                default=1,
                help_text="Its container's when it was found.",
            ),
        ),
        migrations.AddField(
            model_name="failurerecord",
            name="put_off_at",
            field=models.DateTimeField(
                blank=True,
                help_text="When it had to wait for others because too many heals were under way.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="healthstatus",
            name="priority",
            field=models.SmallIntegerField(
                choices=[(0, "critical"), (1, "default"), (2, "non-critical")],
                default=1,
                help_text="Its config's, as the last sweep of its host found it.",
            ),
        ),
        migrations.CreateModel(
            name="PutOff",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("hour", models.DateTimeField(help_text="The beginning of the hour.")),
                (
                    "priority",
                    models.SmallIntegerField(choices=[(0, "critical"), (1, "default"), (2, "non-critical")]),
                ),
                ("checks", models.BigIntegerField(default=0)),
                (
                    "host",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="put_off", to="healing.host"
                    ),
                ),
            ],
            options={
                "verbose_name": "checks put off",
                "verbose_name_plural": "checks put off",
                "ordering": ["-hour", "host_id", "priority"],
                "constraints": [
                    models.UniqueConstraint(fields=("host", "hour", "priority"), name="put_off_identity")
                ],
            },
        ),
    ]
