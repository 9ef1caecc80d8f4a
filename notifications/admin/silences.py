"""Silences: made from an alert or by hand, previewed, ended early, kept on record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from unfold.widgets import BUTTON_CLASSES, UnfoldAdminTextareaWidget

from notifications import silencing
from notifications.admin.base import AlertingAdmin
from notifications.admin.fields import DURATION_HELP, DurationField
from notifications.admin.html import ago, badge, items, span
from notifications.admin.looks import BaseDialogForm, ModelForm, action, display
from notifications.core.errors import ConfigError
from notifications.models import ActiveAlert, Silence
from notifications.models.routing import MATCHERS_HELP

_COLOURS = {"active": "warning", "pending": "info"}
_SHOWN = 20
_END_DIALOG: Any = {
    "title": "End the silence",
    "description": "What it mutes and still fires is told at its group's next turn. The silence stays on record.",
    "form_class": BaseDialogForm,
    "form_submit_text": "End now",
}
_PREVIEW_BUTTON = (
    '<button type="button" hx-post="{}" hx-target="#nt-muted" hx-disabled-elt="this" hx-indicator="#nt-muted" '
    'class="{} sh-test">What would it mute now?</button><div id="nt-muted" aria-live="polite"></div>'
)
_WHEN = {
    "active": lambda now: Q(starts_at__lte=now, ends_at__gt=now),
    "pending": lambda now: Q(starts_at__gt=now),
    "expired": lambda now: Q(ends_at__lte=now),
}


def state_of(silence: Silence, now: datetime) -> str:
    if silence.ends_at <= now:
        return "expired"
    return "active" if silence.starts_at <= now else "pending"


def new_silence_url(alerts: list[ActiveAlert], comment: str) -> str:
    """The form for a silence of these alerts, filled in. ConfigError where they have too little in common."""
    query = urlencode({"matchers": silencing.matchers_of(alerts), "comment": comment})
    return f"{reverse('admin:notifications_silence_add')}?{query}"


class StateFilter(admin.SimpleListFilter):
    """By where now stands between begin and end."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in _WHEN]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Silence]) -> QuerySet[Silence]:
        chosen = _WHEN.get(self.value() or "")
        return queryset.filter(chosen(timezone.now())) if chosen else queryset


class SilenceForm(ModelForm):
    """A new one may say how long it lasts instead of when it ends."""

    matchers = forms.CharField(
        help_text=f"{MATCHERS_HELP} All must match.",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": "5", "spellcheck": "false"}),
    )
    lasts = DurationField(required=False, initial="1h", help_text=DURATION_HELP)

    class Meta:
        model = Silence
        exclude = ()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if "lasts" not in self.fields or self.instance.pk:
            return cleaned
        lasts, starts_at = cleaned.get("lasts"), cleaned.get("starts_at")
        if "lasts" not in self.errors and not lasts:
            self.add_error("lasts", f"Say how long it lasts. {DURATION_HELP}")
        elif lasts and starts_at:
            self.instance.ends_at = starts_at + lasts
        return cleaned


@admin.register(Silence)
class SilenceAdmin(AlertingAdmin):
    """What is not told for a while, by whom and why."""

    form = SilenceForm
    list_display = (
        "number", "state_shown", "matchers_shown", "starts_shown", "ends_shown", "created_by", "comment",
    )  # fmt: skip
    list_display_links = ("number",)
    list_filter = (StateFilter,)
    search_fields = ("matchers", "comment", "created_by")
    readonly_fields = ("created_by", "created_at", "state_page", "preview_page")
    actions = ("end_selected",)
    actions_detail = ("end_this", "copy_this")
    actions_row = ("end_this", "copy_this")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.preview))
        urls: list[URLPattern] = super().get_urls()
        return [path("preview/", view, name="notifications_silence_preview"), *urls]

    def get_fieldsets(self, request: HttpRequest, obj: Silence | None = None) -> Any:
        if obj is None:
            when: tuple[Any, ...] = ("starts_at", "lasts")
            return [(None, {"fields": ("matchers", "preview_page", *when, "comment")})]
        shown = ["state_page", "matchers", "starts_at", "ends_at", "comment", ("created_by", "created_at")]
        if self.has_change_permission(request, obj):
            shown.insert(2, "preview_page")
        return [(None, {"fields": shown})]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """One that is over stays as it was: it says what was muted. Copy it instead."""
        if isinstance(obj, Silence) and obj.ends_at is not None and obj.ends_at <= timezone.now():
            return False
        return bool(super().has_change_permission(request, obj))

    def has_copy_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.has_add_permission(request))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """It is ended, and stays on record."""
        return False

    def save_model(self, request: HttpRequest, obj: Silence, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = request.user.get_username()[:150]
        super().save_model(request, obj, form, change)

    def preview(self, request: HttpRequest) -> HttpResponse:
        """What the matchers in the form would mute now; nothing is saved."""
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        return HttpResponse(_preview(request.POST.get("matchers", "")))

    @display(description="#", ordering="id")
    def number(self, silence: Silence) -> str:
        return f"#{silence.pk}"

    @display(description="state")
    def state_shown(self, silence: Silence) -> SafeString:
        return badge(state_of(silence, timezone.now()), _COLOURS)

    @display(description="state")
    def state_page(self, silence: Silence) -> SafeString:
        return self.state_shown(silence)

    @display(description="matches", ordering="matchers")
    def matchers_shown(self, silence: Silence) -> SafeString:
        return items(silence.matchers.splitlines())

    @display(description="begins", ordering="starts_at")
    def starts_shown(self, silence: Silence) -> SafeString:
        return ago(silence.starts_at)

    @display(description="ends", ordering="ends_at")
    def ends_shown(self, silence: Silence) -> SafeString:
        return ago(silence.ends_at)

    @display(description="preview")
    def preview_page(self, silence: Silence) -> SafeString:
        return format_html(
            _PREVIEW_BUTTON, reverse("admin:notifications_silence_preview"), " ".join(BUTTON_CLASSES)
        )

    @action(description="End now", permissions=["change"])
    def end_selected(self, request: HttpRequest, queryset: QuerySet[Silence]) -> None:
        self._end(request, list(queryset))

    @action(description="End now", permissions=["change"], icon="event_busy", dialog=_END_DIALOG)
    def end_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        self._end(request, list(self.chosen(request, object_id)))
        return self.back(request, object_id)

    @action(description="Copy", permissions=["copy"], icon="content_copy")
    def copy_this(self, request: HttpRequest, object_id: str) -> HttpResponse:
        silence = self.get_object(request, object_id)
        url = reverse("admin:notifications_silence_add")
        if silence is not None:
            lasts = span(silence.ends_at - silence.starts_at)
            query = {"matchers": silence.matchers, "comment": silence.comment, "lasts": lasts}
            url = f"{url}?{urlencode(query)}"
        return HttpResponseRedirect(url)

    def _end(self, request: HttpRequest, rows: list[Silence]) -> None:
        now = timezone.now()
        ended = [silence for silence in rows if silencing.end(silence, now)]
        self.note(request, ended, "Ended.")
        level = messages.SUCCESS if ended else messages.WARNING
        self.message_user(request, f"Ended {len(ended)} silences; {len(rows) - len(ended)} were over.", level)


def _preview(matchers: str) -> SafeString:
    try:
        found = silencing.preview(matchers, timezone.now())
    except ConfigError as error:
        return format_html('<p class="sh-answer sh-bad">{}</p>', error.reason)
    if not found:
        return format_html('<p class="sh-answer">{}</p>', "Nothing that fires now.")
    lines = [f"{alert.level}: {alert.notification.title}" for alert in found[:_SHOWN]]
    more = f" The first {_SHOWN}:" if len(found) > _SHOWN else ""
    head = f"It would mute {len(found)} of what fires now.{more}"
    return format_html('<div class="sh-answer"><p>{}</p>{}</div>', head, items(lines))
