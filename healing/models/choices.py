"""Choices for model fields, from the enums of `healing.core`."""

from __future__ import annotations

from enum import StrEnum


def choices(enum: type[StrEnum]) -> list[tuple[str, str]]:
    """(value, human label) pairs in the enum's order."""
    return [(member.value, member.value.replace("_", " ")) for member in enum]
