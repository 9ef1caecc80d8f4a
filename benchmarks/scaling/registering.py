"""`python -m benchmarks.scaling.registering FOLDER`: put a simulated fleet under supervision, in bulk.

As `register_containers` would write it, but one inspection an engine: its containers differ in id, name and labels only.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

FIRST_HOST = "local"
"""The name that `manage.py up` gives to the engine of DOCKER_HOST."""


def main(arguments: list[str]) -> int:
    """Make the tables and the rows of the database that the environment names; print how many containers."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "selfheal_project.settings")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
    sockets = sorted(Path(arguments[0]).glob("engine-*.sock"))
    print(
        sum(_register(path, FIRST_HOST if not number else path.stem) for number, path in enumerate(sockets))
    )
    return 0


def _register(path: Path, host_name: str) -> int:
    from healing.core.ports import EngineConfig
    from healing.engines import open_engine
    from healing.models import Host
    from healing.registration.engine import register_snapshots

    host = Host.objects.create(name=host_name, address=f"unix://{path}")
    engine = open_engine(EngineConfig("docker", host.address))
    try:
        summaries = engine.list()
        model = engine.inspect(summaries[0].id)
    finally:
        engine.close()
    snapshots = [replace(model, id=one.id, name=one.name, labels=one.labels) for one in summaries]
    return len(register_snapshots(host, snapshots).created)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
