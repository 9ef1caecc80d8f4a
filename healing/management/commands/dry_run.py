"""`manage.py dry_run on|off|status …`: record what would be done, and touch nothing."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from healing.api import control
from healing.api.control import Pausable
from healing.effective import config_book
from healing.management.output import sentences
from healing.management.selection import add_scope_arguments, is_narrowed, scope_label, selected_scopes
from healing.models import Container, Host, Project, Service, SystemState, Tenant

_SCOPES: tuple[type[Pausable], ...] = (SystemState, Tenant, Host, Project, Service, Container)


class Command(BaseCommand):
    help = "Switch the dry run of what is selected: failures are recorded with what would be done, nothing is touched."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "what", choices=("on", "off", "status"), help="status without a selection shows all that are on"
        )
        add_scope_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["what"] == "status" and not options["all"] and not is_narrowed(options):
            self._show_all()
            return
        with sentences():
            scopes = selected_scopes(options)
            if options["what"] != "status":
                for scope in scopes:
                    control.set_dry_run(scope, options["what"] == "on")
        for scope in scopes:
            self.stdout.write(f"{scope_label(scope)}: {_state(scope, options['what'])}")

    def _show_all(self) -> None:
        found = [scope for model in _SCOPES for scope in model._default_manager.filter(dry_run=True)]
        for scope in found:
            self.stdout.write(f"{scope_label(scope)}: dry run is on")
        if not found:
            self.stdout.write("No dry run is on.")


def _state(scope: Pausable, what: str) -> str:
    """Its own switch; for a container also what holds for it by a wider scope."""
    is_on = scope.dry_run
    text = f"dry run is {'on' if is_on else 'off'}"
    wider = config_book().dry_run_by(scope) if isinstance(scope, Container) and not is_on else ""
    return f"{text}, and yet it is under that of {wider}" if wider else text
