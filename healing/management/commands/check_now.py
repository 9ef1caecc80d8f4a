"""`manage.py check_now NAME…`: look at containers now, without waiting for their interval."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from healing import tasks
from healing.api.lookup import find_container
from healing.management.output import sentences


class Command(BaseCommand):
    help = "Ask the workers to check these containers at once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "names", nargs="+", metavar="NAME", help="the containers' names, or their engine ids"
        )
        parser.add_argument("--host", help="the host, where several have a container of that name")

    def handle(self, *args: Any, **options: Any) -> None:
        with sentences():
            containers = [find_container(name, options["host"]) for name in options["names"]]
        tasks.check_now([container.pk for container in containers])
        self.stdout.write(f"Asked for a check of {', '.join(container.name for container in containers)}.")
