"""Every alert of healing has a name, and every name is documented."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from healing.core.alertnames import AlertName, of_cause
from notifications.failover import ALERTNAME

ROOT = Path(__file__).resolve().parents[2]


def _calls() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted((ROOT / "healing").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Alert":
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_no_alert_is_written_without_a_name_and_a_key() -> None:
    """Without a name no route or silence finds it; without a key nothing could ever end it."""
    found = list(_calls())
    assert len(found) >= 8
    for where, call in found:
        given = {keyword.arg for keyword in call.keywords}
        assert "alertname" in given, where
        assert "alert_key" in given or None in given, where


def test_every_name_is_documented() -> None:
    """People write matchers by the table."""
    section = (ROOT / "docs/notifications.md").read_text().split("\n## What is told\n")[1]
    table = next(block for block in section.split("\n\n") if block.startswith("| name |"))
    rows = [line.split("|")[1].strip().strip("`") for line in table.splitlines() if line.startswith("| `")]
    assert rows == [*(name.value for name in AlertName), ALERTNAME]


def test_a_crash_loop_is_told_as_one() -> None:
    """Any other cause is a failed container's."""
    assert of_cause("crash loop") is AlertName.CRASH_LOOP
    assert of_cause("exit code 1") is AlertName.CONTAINER_FAILED
