"""The breakers of hosts and of the fleet: how they stand, and a person's approval."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from healing.admin.base import HealingAdmin
from healing.admin.html import badge, link
from healing.admin.looks import BaseDialogForm, action, display
from healing.api import breakers
from healing.commands import Refused
from healing.core.breaker import BreakerMode
from healing.models.choices import choices
from healing.store.breaker_counts import Row

_COLOURS = {"closed": "success", "open": "danger", "approved": "warning"}
_LONGEST_APPROVAL_MINUTES = 60 * 24


class ApproveForm(BaseDialogForm):
    """For how long."""

    minutes = forms.IntegerField(
        min_value=1,
        max_value=_LONGEST_APPROVAL_MINUTES,
        initial=60,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Heals go on for so many minutes, or until the breaker closes.",
    )


class SettingForm(BaseDialogForm):
    """Mode and share."""

    mode = forms.ChoiceField(choices=choices(BreakerMode), widget=UnfoldAdminSelectWidget)
    share = forms.FloatField(
        min_value=0.0, max_value=1.0, initial=0.4, widget=UnfoldAdminTextInputWidget, help_text="From 0 to 1."
    )


_APPROVE: Any = {
    "title": "Approve healing",
    "description": "The open breaker lets heals go on, within the slow-start window.",
    "form_class": ApproveForm,
    "form_submit_text": "Approve",
}
_SET: Any = {
    "title": "Set the breaker",
    "description": "What it does while too much of the fleet fails at once, and above which share it opens.",
    "form_class": SettingForm,
    "form_submit_text": "Set",
}


class BreakerMixin(HealingAdmin):
    """The column and the field that show a breaker, and the action that approves."""

    @display(description="breaker", ordering="breaker_since", label={"open": "danger"})
    def breaker_shown(self, row: Row) -> str | None:
        return "open" if row.breaker_since is not None else None

    @display(description="breaker")
    def breaker_page(self, row: Row) -> SafeString:
        (status,) = breakers.breaker_status([row])
        text = f"{status['failing']} of {status['running']} containers fail"
        if status["since"]:
            text += f"; open since {localize(status['since'])}, {status['held']} heals held"
        if status["state"] == "approved":
            text += f"; approved until {localize(status['approved_until'])}"
        return format_html("{} {} {}", badge(status["state"], _COLOURS), text, _incident(row))

    @action(description="Approve healing", permissions=["change"], icon="task_alt", dialog=_APPROVE)
    def approve_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is not None:
            self._approve(request, [row], form.cleaned_data["minutes"])
        return self.back(request, object_id)

    @action(description="Approve healing for 1 hour", permissions=["change"])
    def approve_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._approve(request, list(queryset), 60)

    def _approve(self, request: HttpRequest, rows: list[Any], minutes: int) -> None:
        try:
            breakers.approve(rows, timezone.now() + timedelta(minutes=minutes))
        except Refused as error:
            self.message_user(request, f"{error}.", messages.ERROR)
            return
        self.note(request, rows, f"Healing approved for {minutes} minutes.")
        self.message_user(request, f"Healing approved for {minutes} minutes.", messages.SUCCESS)

    @action(description="Set the breaker…", permissions=["change"], icon="tune", dialog=_SET)
    def set_breaker_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is not None:
            mode, share = BreakerMode(form.cleaned_data["mode"]), form.cleaned_data["share"]
            breakers.configure([row], mode, share)
            self.note(request, [row], f"Breaker set: {mode.value}, share {share:g}.")
            self.message_user(request, f"Set the breaker: {mode.value}, share {share:g}.", messages.SUCCESS)
        return self.back(request, object_id)


def _incident(row: Row) -> SafeString:
    if row.breaker_incident_id is None:
        return SafeString("")
    url = reverse("admin:healing_failurerecord_change", args=(row.breaker_incident_id,))
    return link(url, f"incident #{row.breaker_incident_id}")
