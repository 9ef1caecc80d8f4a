"""The examples of docs/notifications.md are what the product reads."""

from __future__ import annotations

import json
import re
from pathlib import Path

from notifications.core.intervals import parse_intervals
from notifications.core.labels import BUILT_IN
from notifications.core.matchers import COUNT_LIMIT, VALUE_LIMIT, parse_matchers
from notifications.core.routing import GROUP_INTERVAL, GROUP_WAIT, REPEAT_INTERVAL

PAGE = (Path(__file__).parents[3] / "docs" / "notifications.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    return re.split(r"^## ", PAGE.split(f"## {heading}\n", 1)[1], flags=re.MULTILINE)[0]


def test_matchers() -> None:
    """Protects people who copy a matcher from the page."""
    text = section("Matchers")
    rows = re.findall(r"^\| `(.+?)` \|", text, flags=re.MULTILINE)
    assert [each.op for row in rows for each in parse_matchers(row.replace("\\|", "|"))] == [
        "=",
        "!=",
        "=~",
        "!~",
    ]
    assert all(f"`{name}`" in text for name in BUILT_IN)
    assert f"At most {COUNT_LIMIT} matchers of at most {VALUE_LIMIT:,} characters" in text


def test_inhibition() -> None:
    """Protects people who copy the rule from the page."""
    rows = dict(re.findall(r"^\| (.+?) \| `(.+?)` \|", section("Inhibition"), flags=re.MULTILINE))
    assert parse_matchers(rows["source matchers"])
    assert parse_matchers(rows["target matchers"])
    assert json.loads(rows["equal"]) == ["host"]


def test_time_intervals() -> None:
    """Protects people who copy the interval from the page."""
    (block,) = re.findall(r"```json\n(.+?)```", section("Time intervals"), flags=re.DOTALL)
    assert parse_intervals(json.loads(block), "spec")


def test_defaults() -> None:
    """Protects the timings that the page names."""
    assert [each.total_seconds() for each in (GROUP_WAIT, GROUP_INTERVAL, REPEAT_INTERVAL)] == [
        30,
        300,
        14_400,
    ]
    rows = dict(
        re.findall(r"^\| (group \w+|repeat \w+) \|.+\| (\d+ \w+) \|$", section("Routes"), flags=re.MULTILINE)
    )
    assert rows == {"group wait": "30 s", "group interval": "5 min", "repeat interval": "4 h"}
