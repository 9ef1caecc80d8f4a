"""`manage.py heal_now NAME`: heal a container now, whatever its back-off or quarantine say; never through a pause."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from healing import commands
from healing.api.lookup import find_container
from healing.management.output import sentences


class Command(BaseCommand):
    help = "Heal a container at once: skips back-off and quarantine, never a pause."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the container's name, or its engine id")
        parser.add_argument("--host", help="the host, where several have a container of that name")

    def handle(self, *args: Any, **options: Any) -> None:
        with sentences():
            container = find_container(options["name"], options["host"])
            record = commands.heal_now(container)
        self.stdout.write(
            f"Healing {container.name} under way as failure #{record.pk}. "
            f"See it with: manage.py failure_history {container.name}"
        )
