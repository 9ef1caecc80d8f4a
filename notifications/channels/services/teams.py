"""Microsoft Teams: a workflow that posts to a channel when a webhook request is received."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from notifications.channels.exchange import Request
from notifications.channels.services.base import Service, json_request
from notifications.channels.services.words import cut, in_json, links_within, title_of
from notifications.core.alert import AlertKind, AlertLevel, Message
from notifications.core.fields import Field, secret_names

TITLE_LIMIT = 900
LINKS_LIMIT = 2500
LIMIT = 14_000
"""Bytes of the text; a card is at most 28 KB with all around it."""
LINES = 100
LINKS = 6
"""Buttons that Teams shows on a card."""


@dataclass(frozen=True, slots=True)
class TeamsChannel(Service):
    """`url` of the workflow. The message is an adaptive card, the links are its buttons."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(
            "url",
            "Workflow address",
            "From the workflow “Post to a channel when a webhook request is received”",
            "url",
            secret=True,
            required=True,
        ),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = secret_names(FIELDS)

    url: str = field(default="", repr=False)

    def request(self, message: Message) -> Request:
        content = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "msteams": {"width": "Full"},
            "body": [_title(message), *_body(message)],
            "actions": [
                {"type": "Action.OpenUrl", "title": link.label, "url": link.url}
                for link in links_within(message, LINKS_LIMIT, in_json)[:LINKS]
            ],
        }
        kind = "application/vnd.microsoft.card.adaptive"
        attachment = {"contentType": kind, "contentUrl": None, "content": content}
        return json_request(self.url, {"type": "message", "attachments": [attachment]})


def _title(message: Message) -> dict[str, Any]:
    colour = "Good" if message.status is AlertKind.RESOLVED else "Attention"
    if colour == "Attention" and not message.alert.level.reaches(AlertLevel.ERROR):
        colour = "Warning" if message.alert.level is AlertLevel.WARNING else "Default"
    run = {
        "type": "TextRun",
        "text": cut(title_of(message), TITLE_LIMIT, in_json),
        "weight": "Bolder",
        "size": "Medium",
        "color": colour,
    }
    return {"type": "RichTextBlock", "inlines": [run]}


def _body(message: Message) -> list[dict[str, Any]]:
    """A rich block for each line, as for the title: a text block would take what a container says for mark-up, and join
    lines.
    """
    lines = cut(message.body.strip(), LIMIT, in_json).splitlines()
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], f"… ({len(lines) - LINES + 1} more lines)"]
    return [
        {"type": "RichTextBlock", "spacing": "None", "inlines": [{"type": "TextRun", "text": line or " "}]}
        for line in lines
    ]
