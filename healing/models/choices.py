"""Choices for model fields, from the enums of `healing.core`."""

from __future__ import annotations

from enum import StrEnum

from healing.core.shedding import RANKS


def choices(enum: type[StrEnum]) -> list[tuple[str, str]]:
    """(value, human label) pairs in the enum's order."""
    return [(member.value, member.value.replace("_", " ")) for member in enum]


def rank_choices() -> list[tuple[int, str]]:
    """(rank, priority) pairs, the most important first, so that the database orders by importance."""
    return [(rank, priority.value) for rank, priority in enumerate(RANKS)]
