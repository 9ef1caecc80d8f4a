"""What containers that fail at once have in common: candidates for the one cause behind them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

PART = 0.5
"""What so large a part of them has in common is told."""
RECENT = timedelta(hours=1)
_LONGEST = 160


@dataclass(frozen=True, slots=True)
class Sufferer:
    """One failing container. Empty texts are not known."""

    name: str
    host: str = ""
    project: str = ""
    image: str = ""
    message: str = ""
    image_changed_at: datetime | None = None


def in_common(sufferers: Sequence[Sufferer], now: datetime) -> list[str]:
    """Sentences about what at least half of them, and at least two, have in common; the most telling first."""
    sentences = [
        _most(sufferers, "say: {}", lambda one: " ".join(one.message.split())[:_LONGEST]),
        _changed(sufferers, now),
        _most(sufferers, "belong to project {}", lambda one: one.project),
        _most(sufferers, "run image {}", lambda one: one.image),
        _most(sufferers, "are on host {}", lambda one: one.host),
    ]
    return [sentence for sentence in sentences if sentence]


def _most(sufferers: Sequence[Sufferer], text: str, value_of: Callable[[Sufferer], str]) -> str:
    counted = Counter(value for one in sufferers if (value := value_of(one)))
    if not counted:
        return ""
    value, number = counted.most_common(1)[0]
    if number < 2 or number < PART * len(sufferers):
        return ""
    return f"{number} of {len(sufferers)} {text.format(value)}"


def _changed(sufferers: Sequence[Sufferer], now: datetime) -> str:
    changed = [one for one in sufferers if one.image_changed_at and now - one.image_changed_at <= RECENT]
    if len(changed) < 2 or len(changed) < PART * len(sufferers):
        return ""
    return f"{len(changed)} of {len(sufferers)} were given another image within the last hour"
