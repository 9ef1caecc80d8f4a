"""The digest: figures of a day or a week in words, as text and as HTML."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from notifications.core.digest import DigestFigures, DigestKind, HealedAtFirst, HeldMessage, WorstContainer
from notifications.messages import LANGUAGES, render_digest

GOLDEN = Path(__file__).parents[2] / "data" / "messages"
START = datetime(2026, 3, 2, tzinfo=UTC)
URL = "https://selfheal.example.org"

WEEK = DigestFigures(
    kind=DigestKind.WEEKLY,
    start=START,
    end=START + timedelta(days=7),
    failures=1_234,
    healed=1_200,
    healed_at_first=(HealedAtFirst("shop-web-1", "node-1"), HealedAtFirst("shop-db-1", "node-2", 3)),
    gave_up=4,
    restarts=1_310,
    mttd=0.42,
    mttr=75.0,
    mtbf=490_000.0,
    worst=tuple(
        WorstContainer(f"shop-worker-{n}", "node-3", 90 - n, 120 - n, 3_700.0 * (6 - n)) for n in range(6)
    ),
    sent=57,
    muted={"silence": 12, "held": 30, "rate limit <b>": 2},
    held=(
        HeldMessage(
            START + timedelta(hours=3), "warning", "shop-web-1 is healthy again", "shop / web @ node-1"
        ),
        HeldMessage(START + timedelta(hours=4), "odd", "<script>\nshop-db-1"),
    ),
    path="/admin/healing/failurerecord/",
)
QUIET = DigestFigures(kind=DigestKind.DAILY, start=START, end=START + timedelta(days=1))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("case", ["weekly", "quiet"])
def test_golden(case: str, language: str) -> None:
    """A full week and a day on which nothing happened read as approved."""
    text = render_digest({"weekly": WEEK, "quiet": QUIET}[case], language, URL)
    expected = (GOLDEN / f"digest_{case}.{language}.txt").read_text(encoding="utf-8")
    assert f"{text.title}\n\n{text.body}\n" == expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_html_has_the_figures_and_no_markup_of_others(language: str) -> None:
    """The mail shows the same numbers and names, escaped."""
    html = render_digest(WEEK, language, URL).html
    for fact in (
        "1,234",
        "1,200",
        "MTTR",
        "MTBF",
        "shop-worker-0",
        "shop-db-1",
        "shop-web-1 is healthy again",
        "57",
    ):
        assert fact in html
    assert "&lt;script&gt; shop-db-1" in html and "<script" not in html
    assert f'href="{URL}/admin/healing/failurerecord/"' in html


def test_only_five_are_the_worst() -> None:
    """The list is short however many were counted."""
    text = render_digest(WEEK, "en", URL)
    assert "5. shop-worker-4" in text.body and "shop-worker-5" not in text.body + text.html


def test_long_lists_have_an_end() -> None:
    """Thousands of containers that were healed at first make no mail that nobody reads."""
    many = replace(
        WEEK,
        healed_at_first=tuple(HealedAtFirst(f"c-{n}", "h") for n in range(2_000)),
        held=tuple(HeldMessage(START, "warning", f"held {n}") for n in range(2_000)),
    )
    text = render_digest(many, "en", URL)
    assert text.body.count("- and 1,980 more") == 2
    assert "at the first attempt: 2,000" in text.body and "Kept for this digest: 2,000" in text.body
    assert len(text.html) < 20_000


def test_times_are_those_of_the_clock_on_the_wall() -> None:
    """A day that begins at 08:00 in Tokyo is named by its date there, not by that in UTC."""
    zone = ZoneInfo("Asia/Tokyo")
    start = datetime(2026, 3, 2, 8, tzinfo=zone)
    held = (HeldMessage(datetime(2026, 3, 1, 23, 30, tzinfo=UTC), "warning", "x"),)
    text = render_digest(replace(QUIET, start=start, end=start + timedelta(days=1), held=held), "en", URL)
    assert text.title.startswith("Daily digest of 2026-03-02")
    assert "From 2026-03-02 08:00 JST to 2026-03-03 08:00 JST" in text.body
    assert "- 2026-03-02 08:30 JST [WARNING] x" in text.body


def test_kinds_are_checked() -> None:
    """A wrong word does not become a digest."""
    with pytest.raises(ValueError, match="hourly"):
        replace(QUIET, kind="hourly")  # type: ignore[arg-type]
    assert replace(QUIET, kind="weekly").kind is DigestKind.WEEKLY  # type: ignore[arg-type]
