"""The first user of the admin, created once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from django.contrib.auth import get_user_model

from selfheal_project import env

NAME = "admin"
PASSWORD_FILE = "admin_password"
PASSWORD_VARIABLE = "SELFHEAL_ADMIN_PASSWORD"


def ensure_admin(home: Path, environ: Mapping[str, str] = os.environ) -> str:
    """Create the user where it is missing; return what to tell about its password. A changed one stays changed."""
    users = get_user_model().objects
    user = users.filter(username=NAME).first()
    if user is None:
        given = environ.get(PASSWORD_VARIABLE, "")
        users.create_superuser(NAME, password=given or env.stored_secret(home, PASSWORD_FILE, 20))
        return _given() if given else _stored(home)
    if (home / PASSWORD_FILE).exists() and user.check_password(_read(home)):
        return _stored(home)
    given = environ.get(PASSWORD_VARIABLE, "")
    return _given() if given and user.check_password(given) else "the password you set"


def _read(home: Path) -> str:
    return (home / PASSWORD_FILE).read_text().strip()


def _stored(home: Path) -> str:
    return f"password {_read(home)}  (kept in {home / PASSWORD_FILE} until you change it)"


def _given() -> str:
    return f"the password in {PASSWORD_VARIABLE}"
