"""The one way in which a step of the start says no."""

from __future__ import annotations


class StartRefused(Exception):
    """Selfheal cannot start; the text says in one sentence why, and what to do."""
