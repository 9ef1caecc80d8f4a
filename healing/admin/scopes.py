"""Pausing, running dry and maintenance, the same for containers, services, projects, hosts, tenants and everything."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from healing import commands
from healing.admin.base import HealingAdmin
from healing.admin.looks import BaseDialogForm, action, display
from healing.api import control
from healing.api.control import Pausable

_LONGEST_PAUSE_MINUTES = 60 * 24 * 365


class PauseForm(BaseDialogForm):
    """How long, and why."""

    minutes = forms.IntegerField(
        min_value=1,
        max_value=_LONGEST_PAUSE_MINUTES,
        initial=60,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="It ends by itself after so many minutes.",
    )
    reason = forms.CharField(max_length=200, required=False, widget=UnfoldAdminTextInputWidget)


PAUSE_DIALOG: Any = {
    "title": "Pause",
    "description": "Neither checked nor healed until the pause ends.",
    "form_class": PauseForm,
    "form_submit_text": "Pause",
}
RESUME_DIALOG: Any = {
    "title": "Resume",
    "description": "Checking and healing go on with the next check. A pause of something wider goes on.",
    "form_class": BaseDialogForm,
    "form_submit_text": "Resume",
}


DRY_RUN_DIALOG: Any = {
    "title": "Dry run on or off",
    "description": "On: failures are recorded with what would be done, and nothing is touched. Off: what is still broken is healed.",
    "form_class": BaseDialogForm,
    "form_submit_text": "Switch",
}
MAINTENANCE_DIALOG: Any = {
    "title": "Maintenance",
    "description": "Checks go on; healing and paging wait until it ends. What still fails then is told and healed.",
    "form_class": PauseForm,
    "form_submit_text": "Begin",
}


def _until(minutes: int) -> datetime:
    return timezone.now() + timedelta(minutes=minutes)


class PauseMixin(HealingAdmin):
    """The actions pause and resume, in lists and on the page, and the column that shows a pause."""

    @display(description="paused", ordering="paused_until", label=True)
    def pause_shown(self, scope: Pausable) -> str | None:
        if scope.paused_until is None or scope.paused_until <= timezone.now():
            return None
        return f"until {scope.paused_until:%m-%d %H:%M}"

    @action(description="Pause for 1 hour", permissions=["change"])
    def pause_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        rows = list(queryset)
        for scope in rows:
            control.pause(scope, _until(60), f"paused in the admin by {request.user.get_username()}")
        self.note(request, rows, "Paused for 1 hour.")
        self.message_user(request, f"Paused {len(rows)} for 1 hour.", messages.SUCCESS)

    @action(description="Resume", permissions=["change"])
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        rows = list(queryset)
        for scope in rows:
            control.resume(scope)
        self.note(request, rows, "Resumed.")
        self.message_user(request, f"Resumed {len(rows)}.", messages.SUCCESS)

    @action(description="Pause…", permissions=["change"], icon="pause", dialog=PAUSE_DIALOG)
    def pause_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        scope = self.get_object(request, object_id)
        if scope is not None:
            minutes, reason = form.cleaned_data["minutes"], form.cleaned_data["reason"]
            control.pause(scope, _until(minutes), reason)
            self.note(request, [scope], f"Paused for {minutes} minutes. {reason}".strip())
            self.message_user(request, f"Paused {scope} for {minutes} minutes.", messages.SUCCESS)
        return self.back(request, object_id)

    @action(description="Resume", permissions=["change"], icon="play_arrow", dialog=RESUME_DIALOG)
    def resume_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        scope = self.get_object(request, object_id)
        if scope is not None:
            control.resume(scope)
            self.note(request, [scope], "Resumed.")
            self.message_user(request, f"Resumed {scope}.", messages.SUCCESS)
        return self.back(request, object_id)


class ControlMixin(PauseMixin):
    """Beside pause and resume: dry run and maintenance, in lists and on the page."""

    @display(description="dry run", ordering="dry_run", label={"dry run": "warning"})
    def dry_run_shown(self, scope: Pausable) -> str | None:
        return "dry run" if scope.dry_run else None

    @action(description="Dry run on", permissions=["change"])
    def dry_run_on_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._switch_dry_run(request, list(queryset), True)

    @action(description="Dry run off", permissions=["change"])
    def dry_run_off_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._switch_dry_run(request, list(queryset), False)

    @action(description="Dry run", permissions=["change"], icon="science", dialog=DRY_RUN_DIALOG)
    def dry_run_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        scope = self.get_object(request, object_id)
        if scope is not None:
            self._switch_dry_run(request, [scope], not scope.dry_run)
        return self.back(request, object_id)

    def _switch_dry_run(self, request: HttpRequest, rows: list[Any], on: bool) -> None:
        for scope in rows:
            control.set_dry_run(scope, on)
        word = "on" if on else "off"
        self.note(request, rows, f"Dry run {word}.")
        self.message_user(request, f"Dry run {word} for {len(rows)}.", messages.SUCCESS)

    @action(description="Maintenance for 1 hour", permissions=["change"])
    def maintain_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        reason = f"begun in the admin by {request.user.get_username()}"
        for scope in queryset:
            self._maintain(request, scope, 60, reason)

    @action(description="Maintenance…", permissions=["change"], icon="engineering", dialog=MAINTENANCE_DIALOG)
    def maintain_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        scope = self.get_object(request, object_id)
        if scope is not None:
            self._maintain(request, scope, form.cleaned_data["minutes"], form.cleaned_data["reason"])
        return self.back(request, object_id)

    def _maintain(self, request: HttpRequest, scope: Any, minutes: int, reason: str) -> None:
        try:
            window = commands.start_maintenance(scope, _until(minutes), reason)
        except commands.Refused as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.note(request, [scope], f"Maintenance for {minutes} minutes. {reason}".strip())
            self.message_user(request, f"Maintenance window {window.name} has begun.", messages.SUCCESS)
