"""`manage.py release NAME…`: end a quarantine by hand."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from healing import commands
from healing.api.lookup import find_container
from healing.management.output import sentences


class Command(BaseCommand):
    help = "Release containers from quarantine: their budget and back-off begin anew."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "names", nargs="+", metavar="NAME", help="the containers' names, or their engine ids"
        )
        parser.add_argument("--host", help="the host, where several have a container of that name")

    def handle(self, *args: Any, **options: Any) -> None:
        with sentences():
            containers = [find_container(name, options["host"]) for name in options["names"]]
            for container in containers:
                commands.release(container)
        self.stdout.write(f"Released {', '.join(container.name for container in containers)}.")
