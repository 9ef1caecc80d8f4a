"""Maintenance windows: what for, when, whether one is open now, and when it opens next."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timeuntil
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from healing import commands
from healing.admin.base import HealingAdmin
from healing.admin.html import badge
from healing.admin.looks import BaseDialogForm, action, display
from healing.api.maintenance import opening, scope_text, when_text
from healing.core.errors import ConfigError
from healing.core.wording import NOTHING
from healing.models import MaintenanceWindow
from healing.models.maintenance import SCOPES

_END_DIALOG: Any = {
    "title": "End now",
    "description": "What comes once is over; what recurs opens again at its next time. What still fails is told and healed.",
    "form_class": BaseDialogForm,
    "form_submit_text": "End now",
}


@admin.register(MaintenanceWindow)
class MaintenanceWindowAdmin(HealingAdmin):
    """When people work on something: checks go on, healing and paging wait."""

    list_display = ("name", "scope_shown", "when_shown", "open_shown", "next_shown", "enabled", "reason")
    list_select_related = (*SCOPES, "service__project")
    list_filter = (
        "enabled",
        "recurrence",
        ("host", AutocompleteSelectFilter),
        ("project", AutocompleteSelectFilter),
        ("tenant", AutocompleteSelectFilter),
    )
    search_fields = (
        "name",
        "reason",
        "host__name",
        "project__name",
        "service__name",
        "container__name",
        "tenant__name",
    )
    autocomplete_fields = SCOPES
    readonly_fields = ("open_page", "next_page", "created_at")
    fieldsets = (
        (None, {"fields": (("name", "enabled"), "reason", ("open_page", "next_page"))}),
        ("For one of these", {"fields": ("everything", ("tenant", "host"), ("project", "service"), "container")}),
        (
            "When",
            {
                "fields": (
                    "recurrence", "starts_at", "ends_at", ("start_time", "end_time", "time_zone"),
                    ("weekdays", "days"), "created_at",
                )
            },
        ),
    )  # fmt: skip
    actions = ("end_selected", "enable_selected", "disable_selected")
    actions_detail = ("end_this",)

    @display(description="for")
    def scope_shown(self, window: MaintenanceWindow) -> str:
        return scope_text(window)

    @display(description="comes")
    def when_shown(self, window: MaintenanceWindow) -> str:
        return when_text(window)

    @display(description="now")
    def open_shown(self, window: MaintenanceWindow) -> SafeString:
        until = opening(window, timezone.now())[0]
        if until is None:
            return format_html("{}", NOTHING)
        return format_html("{} {}", badge("open", {"open": "warning"}), _ahead("for {} more", until))

    @display(description="opens next")
    def next_shown(self, window: MaintenanceWindow) -> SafeString:
        opens = opening(window, timezone.now())[1]
        return _ahead("in {}", opens) if opens is not None else format_html("{}", NOTHING)

    @display(description="now")
    def open_page(self, window: MaintenanceWindow) -> SafeString:
        return self.open_shown(window)

    @display(description="opens next")
    def next_page(self, window: MaintenanceWindow) -> SafeString:
        return self.next_shown(window)

    @action(description="End now", permissions=["change"])
    def end_selected(self, request: HttpRequest, queryset: QuerySet[MaintenanceWindow]) -> None:
        self._end(request, list(queryset))

    @action(description="Enable", permissions=["change"])
    def enable_selected(self, request: HttpRequest, queryset: QuerySet[MaintenanceWindow]) -> None:
        self._switch(request, list(queryset), True)

    @action(description="Disable", permissions=["change"])
    def disable_selected(self, request: HttpRequest, queryset: QuerySet[MaintenanceWindow]) -> None:
        self._switch(request, list(queryset), False)

    @action(description="End now", permissions=["change"], icon="event_busy", dialog=_END_DIALOG)
    def end_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        self._end(request, list(self.chosen(request, object_id)))
        return self.back(request, object_id)

    def _end(self, request: HttpRequest, rows: list[MaintenanceWindow]) -> None:
        for window in rows:
            try:
                commands.end_maintenance(window)
            except (commands.Refused, ConfigError) as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.note(request, [window], "Ended.")
                self.message_user(request, f"Ended {window.name}.", messages.SUCCESS)

    def _switch(self, request: HttpRequest, rows: list[MaintenanceWindow], enabled: bool) -> None:
        for window in rows:
            window.enabled = enabled
            window.save(update_fields=["enabled"])
        word = "Enabled" if enabled else "Disabled"
        self.note(request, rows, f"{word}.")
        self.message_user(request, f"{word} {len(rows)} windows.", messages.SUCCESS)


def _ahead(form: str, at: datetime) -> SafeString:
    """How far ahead, with the time itself, in the reader's time zone, on hover."""
    text = form.format(timeuntil(at, depth=2))
    return format_html('<span class="sh-ago" title="{}">{}</span>', localize(timezone.localtime(at)), text)
