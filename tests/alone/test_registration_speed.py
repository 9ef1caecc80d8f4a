"""How long a large registration takes, with nothing else running beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_ten_thousand_rows_are_imported_within_fifteen_seconds(tmp_path: Path) -> None:
    """The whole command, in a process of its own on a SQLite file, three times: new, unchanged, changed."""
    environment = os.environ | {"SELFHEAL_HOME": str(tmp_path / "home"), "DATABASE_URL": ""}

    def manage(*arguments: str) -> str:
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        return done.stdout

    manage("migrate", "-v0")
    manage(
        "shell",
        "-v0",
        "-c",
        "from healing.models import Host; Host.objects.create(name='h', address='unix:///x')",
    )
    file = tmp_path / "big.csv"
    for policy, key in (("always", "created"), ("always", "unchanged"), ("no", "updated")):
        lines = [f"c{n},p{n % 50},s{n % 300},{policy},{5 + n % 20},team=a;x=y" for n in range(10_000)]
        file.write_text("\n".join(["name,project,service,restart,check_interval,labels", *lines]))
        start = time.monotonic()
        report = json.loads(manage("register_containers", str(file), "--json"))
        assert time.monotonic() - start < 15
        assert len(report[key]) == 10_000
