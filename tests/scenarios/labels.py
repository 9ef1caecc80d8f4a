"""Labels that shorten hours and minutes to seconds; the real figures are tested in `core`, where time is passed in."""

from __future__ import annotations

QUICK = {
    "selfheal.enable": "true",
    "selfheal.check_interval": "1",
    "selfheal.stop_timeout": "1",
    "selfheal.backoff_initial": "1",
    "selfheal.backoff_max": "4",
}


def quick(**values: object) -> dict[str, str]:
    """The quick labels, and these fields of the healing config."""
    return QUICK | {f"selfheal.{name}": str(value) for name, value in values.items()}
