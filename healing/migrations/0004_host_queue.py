"""A queue of its own for each host that has workers near it."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("healing", "0003_latency_and_demand")]

    operations = [
        migrations.AddField(
            model_name="host",
            name="queue",
            field=models.CharField(
                blank=True,
                default="",
                help_text=(
                    "Workers near the engine take its work from queues of this name; empty: the common workers do. "
                    "Small letters, digits and hyphens."
                ),
                max_length=40,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-z0-9-]+\\Z",
                        "The name of a queue is made of small letters, digits and hyphens, such as rack-7.",
                    )
                ],
            ),
        ),
    ]
