"""ASGI entry point."""

from __future__ import annotations

import os
from typing import Any

from django.core.asgi import get_asgi_application
from django.core.signals import request_finished
from django.db import connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "selfheal_project.settings")
application = get_asgi_application()


def _close_connections(**_: Any) -> None:
    connections.close_all()


# Under ASGI every request has a thread of its own, so a connection that is kept is never used again.
request_finished.connect(_close_connections)
