"""Form fields that a person can write: durations as `5m`, lists of label names as `alertname, host`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget

from notifications.admin.html import span

DURATION_HELP = "Such as 30s, 5m, 4h, 1h30m, 2d or 1w."
_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_LONGEST = timedelta(days=366)
ONE_GROUP = "-"
"""Written for the empty list of labels: everything in one group."""


def read_duration(text: str) -> timedelta:
    """Alertmanager's way to write a duration; ValueError says what to write."""
    squeezed = "".join(text.split()).lower()
    found = _DURATION.fullmatch(squeezed)
    if not squeezed or (found is None and squeezed != "0"):
        raise ValueError(f"{text!r} is no duration. Write it {DURATION_HELP[0].lower()}{DURATION_HELP[1:]}")
    numbers = [int(number or 0) for number in found.groups()] if found else [0] * 5
    if any(number > 1_000_000_000 for number in numbers):
        raise ValueError("Give a duration of at most 366 days.")
    weeks, days, hours, minutes, seconds = numbers
    value = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    if value > _LONGEST:
        raise ValueError("Give a duration of at most 366 days.")
    return value


class DurationField(forms.CharField):
    """A duration in words of a few letters; empty is None."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        return span(value) if isinstance(value, timedelta) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return None
        try:
            return read_duration(text)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != initial)
        except forms.ValidationError:
            return True


class LabelsField(forms.CharField):
    """Names of labels, separated by commas or spaces, or as JSON; `-` or `[]` is the empty list. Nothing written is
    `nothing`: None, or the empty list.
    """

    widget = UnfoldAdminTextInputWidget

    def __init__(self, *, nothing: list[str] | None, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)
        self.nothing = nothing

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return ", ".join(value) if value or self.nothing is not None else ONE_GROUP
        return value

    def to_python(self, value: Any) -> Any:
        text = str(value or "").strip()
        names = [name for name in re.split(r'[,\s\[\]"]+', text) if name]
        if text in (ONE_GROUP, "[]"):
            return []
        return list(dict.fromkeys(names)) or self.nothing

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(data) != initial)
