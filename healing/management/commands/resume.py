"""`manage.py resume …`: end a pause before its time."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from healing.api import control
from healing.management.output import sentences
from healing.management.selection import add_scope_arguments, scope_label, selected_scopes


class Command(BaseCommand):
    help = "End the pause of what is selected. A pause of something wider (its host, everything) goes on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_scope_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        with sentences():
            scopes = selected_scopes(options)
            for scope in scopes:
                control.resume(scope)
        for scope in scopes:
            self.stdout.write(f"Resumed {scope_label(scope)}.")
