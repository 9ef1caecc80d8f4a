"""Runs every linter, shows what each found, and ends with 1 when one found something."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"
PACKAGES = ("healing", "notifications", "selfheal_project")
MANAGE = (sys.executable, "manage.py")

# What a production installation sets; the values are of no installation.
PRODUCTION = {
    "SELFHEAL_SECRET_KEY": "lint-only-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKL",
    "SELFHEAL_ALLOWED_HOSTS": "selfheal.example.com",
    "SELFHEAL_HTTPS": "true",
    "DATABASE_URL": "postgres://selfheal@127.0.0.1:1/selfheal",
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
}

CHECKS: list[tuple[str, tuple[str, ...], dict[str, str]]] = [
    ("ruff check", (sys.executable, "-m", "ruff", "check", "--quiet", "--output-format", "concise", "."), {}),
    (
        "ruff format",
        (sys.executable, "-m", "ruff", "format", "--check", "--quiet", "--output-format", "concise", "."),
        {},
    ),
    ("mypy", (sys.executable, "-m", "mypy", *PACKAGES), {}),
    ("import-linter", (sys.executable, "-c", LINT_IMPORTS), {}),
    ("migrations", (*MANAGE, "makemigrations", "--check", "--dry-run"), {}),
    ("deployment", (*MANAGE, "check", "--deploy", "--fail-level", "WARNING"), PRODUCTION),
]
_FOREIGN = ("DATABASE_URL", "CELERY_BROKER_URL", "DOCKER_HOST", "PORT")


def main() -> int:
    """0 when every linter is content."""
    home = tempfile.mkdtemp(prefix="selfheal-lint-")
    kept = {k: v for k, v in os.environ.items() if k not in _FOREIGN and not k.startswith("SELFHEAL_")}
    try:
        results = [
            _run(name, command, {**kept, "SELFHEAL_HOME": home, **variables})
            for name, command, variables in CHECKS
        ]
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return 0 if all(results) else 1


def _run(name: str, command: tuple[str, ...], environment: dict[str, str]) -> bool:
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(f"{'FAIL' if done.returncode else 'ok  '} {name}", flush=True)
    if done.returncode:
        print(done.stdout, flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
