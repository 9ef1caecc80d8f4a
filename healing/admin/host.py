"""Hosts: the engines we talk to."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from healing.admin.base import HOST_COLOURS, labelled
from healing.admin.html import badge
from healing.admin.looks import BaseDialogForm, ModelForm, action, display
from healing.admin.removal import BookkeepingGoesAlong
from healing.admin.scopes import PauseMixin
from healing.core.errors import ConfigError
from healing.doctor import Level, check_engines
from healing.engines import open_engine
from healing.models import Host
from healing.pipeline.engines import config_of
from healing.signals import bump_revision

_TESTED_AT_ONCE = 50
_TEST_DIALOG: Any = {
    "title": "Test the connection",
    "description": "Asks the engine who it is. Nothing is changed on it.",
    "form_class": BaseDialogForm,
    "form_submit_text": "Test",
}


class HostForm(ModelForm):
    """Says at the field what is wrong with an address or a TLS file; connects to nothing."""

    class Meta:
        model = Host
        exclude = ()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if "address" not in cleaned or "engine_kind" not in cleaned:
            return cleaned
        names = ("engine_kind", "address", "tls_ca", "tls_cert", "tls_key", "tls_verify")
        draft = Host(**{name: cleaned[name] for name in names if name in cleaned})
        try:
            open_engine(config_of(draft)).close()
        except ConfigError as error:
            field = {"kind": "engine_kind"}.get(error.field, error.field)
            self.add_error(field if field in self.fields else "address", error.reason)
        return cleaned


@admin.register(Host)
class HostAdmin(BookkeepingGoesAlong, PauseMixin):
    """One container engine."""

    form = HostForm
    list_display = (
        "name", "engine_kind", "address", "state_shown", "enabled", "containers_shown", "unhealthy_shown",
        "version", "last_seen", "pause_shown",
    )  # fmt: skip
    list_filter = ("state", "enabled", "engine_kind", "auto_register", ("tenant", AutocompleteSelectFilter))
    search_fields = ("name", "address")
    autocomplete_fields = ("tenant", "config")
    readonly_fields = (
        "state_page", "state_since", "error", "version", "last_seen", "stream_since", "last_event_at", "grace_until",
        "paused_until", "paused_reason", "created_at",
    )  # fmt: skip
    fieldsets = (
        (None, {"fields": (("name", "enabled"), ("engine_kind", "address"), ("tenant", "config"))}),
        ("TLS", {"fields": ("tls_verify", "tls_ca", ("tls_cert", "tls_key"))}),
        ("Behaviour", {"fields": (("auto_register", "start_grace"), ("paused_until", "paused_reason"))}),
        (
            "State",
            {
                "fields": (
                    ("state_page", "state_since"), "error", ("version", "last_seen"),
                    ("stream_since", "last_event_at"), ("grace_until", "created_at"),
                )
            },
        ),
    )  # fmt: skip
    actions = ("enable_selected", "disable_selected", "test_selected", "pause_selected", "resume_selected")
    actions_detail = ("test_this", "pause_this", "resume_this")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Host]:
        queryset: QuerySet[Host] = super().get_queryset(request)
        if request.resolver_match is None or not str(request.resolver_match.url_name).endswith("_changelist"):
            return queryset
        unhealthy = Count("containers", filter=Q(containers__health__status="unhealthy"))
        return queryset.annotate(container_count=Count("containers"), unhealthy_count=unhealthy)

    @display(description="state", ordering="state", label=HOST_COLOURS)
    def state_shown(self, host: Host) -> str | None:
        return labelled(host.state)

    @display(description="state")
    def state_page(self, host: Host) -> SafeString:
        return badge(host.state, HOST_COLOURS)

    @display(description="containers", ordering="container_count")
    def containers_shown(self, host: Any) -> int:
        return int(host.container_count)

    @display(description="unhealthy", ordering="unhealthy_count")
    def unhealthy_shown(self, host: Any) -> int:
        return int(host.unhealthy_count)

    @action(description="Enable", permissions=["change"])
    def enable_selected(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        self._switch(request, queryset, True)

    @action(description="Disable", permissions=["change"])
    def disable_selected(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        self._switch(request, queryset, False)

    @action(description="Test the connection", permissions=["change"])
    def test_selected(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        hosts = list(queryset[: _TESTED_AT_ONCE + 1])
        if len(hosts) > _TESTED_AT_ONCE:
            self.message_user(
                request, f"Choose at most {_TESTED_AT_ONCE} hosts to test at a time.", messages.ERROR
            )
            return
        self._test(request, hosts)

    @action(description="Test the connection", permissions=["change"], icon="cable", dialog=_TEST_DIALOG)
    def test_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        self._test(request, list(Host.objects.filter(pk=object_id)))
        return self.back(request, object_id)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Host], enabled: bool) -> None:
        rows = list(queryset.exclude(enabled=enabled))
        Host.objects.filter(pk__in=[row.pk for row in rows]).update(enabled=enabled)
        bump_revision()
        word = "Enabled" if enabled else "Disabled"
        self.note(request, rows, f"{word}.")
        self.message_user(request, f"{word} {len(rows)} hosts.", messages.SUCCESS)

    def _test(self, request: HttpRequest, hosts: list[Host]) -> None:
        for check in check_engines(hosts) if hosts else ():
            level = messages.SUCCESS if check.level is Level.OK else messages.ERROR
            self.message_user(request, f"{check.name}: {check.message}. {check.advice}".strip(), level)
