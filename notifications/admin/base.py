"""What all pages of alerting have in common: 50 rows a page, colours that mean something, histories that stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from notifications.admin.looks import ModelAdmin

LEVEL_COLOURS = {"info": "info", "warning": "warning", "error": "danger", "critical": "danger"}
KIND_COLOURS = {"firing": "danger", "resolved": "success"}
STATE_COLOURS = {
    "pending": "info",
    "sent": "success",
    "failed": "danger",
    "skipped": "warning",
    "muted": "warning",
    "held": "warning",
    "merged": "info",
    "diverted": "warning",
}
EMPTY = "Nothing is selected, or what was is there no more: nothing was done."


def _of_some(act: Callable[..., Any]) -> Callable[..., Any]:
    """The action, told as an error and not done where what was selected is there no more."""

    @wraps(act)
    def guarded(admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        if queryset.exists():
            return act(admin, request, queryset)
        admin.message_user(request, EMPTY, messages.ERROR)
        return None

    return guarded


class AlertingAdmin(ModelAdmin):
    """Base of every page."""

    list_per_page = 50
    list_max_show_all = 200
    show_full_result_count = False
    list_filter_submit = True
    list_fullwidth = True
    warn_unsaved_form = True

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The actions of a list; each refuses an empty selection, which means nothing, never everything."""
        found: dict[str, Any] = super().get_actions(request)
        return {name: (_of_some(func), *rest) for name, (func, *rest) in found.items()}

    def note(self, request: HttpRequest, rows: list[Any], what: str) -> None:
        """Write into the admin's own history who did what to which rows."""
        assert request.user.pk is not None
        LogEntry.objects.log_actions(request.user.pk, rows, CHANGE, change_message=what)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The row of an address; None where it is there no more, or where what stands there is no id."""
        try:
            return super().get_object(request, object_id, from_field)
        except OverflowError:
            return None

    def chosen(self, request: HttpRequest, object_id: str) -> QuerySet[Any]:
        """As `get_object`, for an action that takes several; empty for None."""
        row = self.get_object(request, object_id)
        rows: QuerySet[Any] = self.model._default_manager.all()
        return rows.none() if row is None else rows.filter(pk=row.pk)

    def back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer a dialog by returning to where it was opened, the list or the object's page."""
        meta = self.opts
        page = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=(object_id,))
        if not request.headers.get("HX-Request"):
            return HttpResponseRedirect(page)
        came_from = urlsplit(request.headers.get("HX-Current-URL", ""))
        if came_from.path == reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist"):
            page = f"{came_from.path}?{came_from.query}" if came_from.query else came_from.path
        return HttpResponse(headers={"HX-Redirect": page})


class ReadOnlyAdmin(AlertingAdmin):
    """A history or a state of our own: seen, never edited."""

    warn_unsaved_form = False
    actions: Any = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
