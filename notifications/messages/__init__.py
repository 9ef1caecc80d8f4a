"""What messages say: templates in English and Chinese, which people may replace, and the digest."""

from __future__ import annotations

from notifications.messages.digest import render_digest
from notifications.messages.fit import fit
from notifications.messages.sample import sample_message
from notifications.messages.texts import KINDS, check_template, preview, render
from notifications.messages.view import labelled
from notifications.messages.words import LANGUAGES

__all__ = [
    "KINDS",
    "LANGUAGES",
    "check_template",
    "fit",
    "labelled",
    "preview",
    "render",
    "render_digest",
    "sample_message",
]
