"""Whether the parts of Selfheal live, and the messages that were kept aside."""

from __future__ import annotations

from django.contrib import admin
from django.template.defaultfilters import truncatechars
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RangeDateTimeFilter

from healing.admin.base import ReadOnlyAdmin
from healing.admin.html import preformatted, table
from healing.admin.looks import display
from healing.api.readiness import readiness
from healing.models import DeadLetter, SystemState


class PartsMixin:
    """The field `parts_page` on the page of the system's state."""

    @display(description="parts")
    def parts_page(self, _: SystemState) -> SafeString:
        """What `/readyz` says, and the errors that it keeps to itself."""
        rows = [
            (
                one.name,
                "alive" if one.ok else "silent",
                f"{one.age:.0f} s ago" if one.age is not None else "",
                f"{one.message} {one.what_to_do}".strip(),
            )
            for one in readiness()
        ]
        return table(("part", "state", "last sign", "what to do"), rows)


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Messages that could not be worked off, and what has ended its workers."""

    list_display = ("at", "queue", "task", "reason_shown")
    list_filter = ("queue", ("at", RangeDateTimeFilter))
    search_fields = ("queue", "task", "task_id", "reason")
    fields = ("at", "queue", "task", "task_id", "reason", "body_page")
    readonly_fields = ("body_page",)

    @display(description="reason")
    def reason_shown(self, letter: DeadLetter) -> str:
        return truncatechars(letter.reason, 120)

    @display(description="body")
    def body_page(self, letter: DeadLetter) -> SafeString:
        return preformatted(letter.body)
