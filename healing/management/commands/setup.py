"""`manage.py setup`: what the separate processes need before they start."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = (
        "Prepare an installation of separate processes: tables, the user admin, periodic tasks, and the row of the "
        "engine that DOCKER_HOST names. Runs at every start; what people changed stays changed."
    )
    requires_migrations_checks = False

    def handle(self, *_: Any, **__: Any) -> None:
        from selfheal_project.beat_schedule import ensure_schedule
        from selfheal_project.up.admin_user import NAME, ensure_admin
        from selfheal_project.up.database import describe, migrate
        from selfheal_project.up.errors import StartRefused
        from selfheal_project.up.hosts import register_docker

        try:
            migrate()
            address = register_docker()
        except StartRefused as error:
            raise CommandError(str(error)) from None
        password = ensure_admin(settings.SELFHEAL_HOME)
        ensure_schedule()
        self.stdout.write(f"engine    {address}\ndatabase  {describe()}\nadmin     user {NAME}, {password}")
