"""Hosts: the engines we talk to."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.views.decorators.http import require_POST
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.widgets import BUTTON_CLASSES

from healing.admin.base import HOST_COLOURS, labelled
from healing.admin.breaker import BreakerMixin
from healing.admin.connection import ConnectionForm, ask_all, ask_typed
from healing.admin.html import ago, badge, link
from healing.admin.looks import BaseDialogForm, action, display
from healing.admin.removal import BookkeepingGoesAlong
from healing.admin.scopes import ControlMixin
from healing.core.wording import NOTHING, duration, visible
from healing.models import Host
from healing.signals import bump_revision

_SHORT_ERROR = 60
_TESTED_AT_ONCE = 50
_TEST_DIALOG: Any = {
    "title": "Test the connection",
    "description": "Asks the engine who it is. Nothing is changed on it.",
    "form_class": BaseDialogForm,
    "form_submit_text": "Test",
}
_TEST_BUTTON = (
    '<button type="button" hx-post="{}" hx-target="#sh-connection" hx-disabled-elt="this" hx-indicator="#sh-connection" '
    'class="{} sh-test">Test the connection</button><div id="sh-connection" aria-live="polite"></div>'
)
"""htmx sends the whole form along with the button, so that what is typed is tested before it is saved."""


class HostForm(ConnectionForm):
    """A host; no two have the same engine, for each would heal the other's containers."""

    class Meta:
        model = Host
        fields = None
        exclude = ()

    def clean_address(self) -> str:
        address: str = self.cleaned_data["address"]
        other = Host.objects.filter(address=address).exclude(pk=self.instance.pk).first()
        if other is not None:
            raise forms.ValidationError(
                f"Host {other.name} has this address already: its containers would be healed twice."
            )
        return address


@admin.register(Host)
class HostAdmin(BookkeepingGoesAlong, ControlMixin, BreakerMixin):
    """One container engine."""

    form = HostForm
    list_display = (
        "name", "state_shown", "since_shown", "containers_shown", "unhealthy_shown", "engine_shown",
        "latency_shown", "event_shown", "address", "enabled", "pause_shown",
        "dry_run_shown", "breaker_shown",
    )  # fmt: skip
    list_filter = (
        "state",
        "enabled",
        "dry_run",
        "engine_kind",
        "auto_register",
        ("tenant", AutocompleteSelectFilter),
    )
    search_fields = ("name", "address", "error")
    autocomplete_fields = ("tenant", "config")
    readonly_fields = (
        "connection_test", "breaker_page", "state_page", "state_since", "error_page", "version", "containers_page", "latency_page",
        "last_seen", "stream_since", "event_page", "grace_until", "paused_until", "paused_reason", "created_at",
    )  # fmt: skip
    fieldsets = (
        (None, {"fields": (("name", "engine_kind"), "address", ("tenant", "config"), "enabled")}),
        ("TLS", {"fields": ("tls_verify", "tls_ca", ("tls_cert", "tls_key"))}),
        ("Connection", {"fields": ("connection_test",)}),
        ("Behaviour", {"fields": (("auto_register", "start_grace"), "queue", "dry_run", ("paused_until", "paused_reason"))}),
        ("Breaker", {"fields": (("breaker_mode", "breaker_share"), "breaker_page")}),
        (
            "State",
            {
                "fields": (
                    ("state_page", "state_since"), "error_page", ("version", "containers_page"),
                    ("latency_page", "event_page"), ("last_seen", "stream_since"), ("grace_until", "created_at"),
                )
            },
        ),
    )  # fmt: skip
    actions = (
        "enable_selected", "disable_selected", "test_selected", "pause_selected", "resume_selected",
        "dry_run_on_selected", "dry_run_off_selected", "maintain_selected", "approve_selected",
    )  # fmt: skip
    actions_detail = (
        "test_this", "pause_this", "resume_this", "maintain_this", "approve_this",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Host]:
        queryset: QuerySet[Host] = super().get_queryset(request)
        if request.resolver_match is None or not str(request.resolver_match.url_name).endswith("_changelist"):
            return queryset
        unhealthy = Count("containers", filter=Q(containers__health__status="unhealthy"))
        return queryset.annotate(container_count=Count("containers"), unhealthy_count=unhealthy)

    def get_urls(self) -> list[URLPattern]:
        test = self.admin_site.admin_view(require_POST(self.test_typed))
        urls: list[URLPattern] = super().get_urls()
        return [path("test/", test, name="healing_host_test"), *urls]

    def get_fieldsets(self, request: HttpRequest, obj: Host | None = None) -> Any:
        """New hosts have no state yet; who may only look has nothing to test."""
        hidden = set() if self._may_test(request) else {"Connection"}
        hidden |= {"State"} if obj is None else set()
        return [part for part in super().get_fieldsets(request, obj) if part[0] not in hidden]

    def _may_test(self, request: HttpRequest) -> bool:
        return bool(self.has_add_permission(request) or self.has_change_permission(request))

    def test_typed(self, request: HttpRequest) -> HttpResponse:
        """The answer to the button in the form, for what stands in its fields; nothing is saved."""
        if not self._may_test(request):
            raise PermissionDenied
        return HttpResponse(ask_typed(request))

    @display(description="test")
    def connection_test(self, host: Host | None) -> SafeString:
        return format_html(_TEST_BUTTON, reverse("admin:healing_host_test"), " ".join(BUTTON_CLASSES))

    @display(description="state", ordering="state", label=HOST_COLOURS)
    def state_shown(self, host: Host) -> str | None:
        return labelled(host.state)

    @display(description="since", ordering="state_since")
    def since_shown(self, host: Host) -> SafeString:
        if not host.error:
            return ago(host.state_since)
        short = Truncator(host.error).chars(_SHORT_ERROR)
        return format_html(
            '{}<div class="sh-error" title="{}">{}</div>',
            ago(host.state_since), visible(host.error), visible(short),
        )  # fmt: skip

    @display(description="state")
    def state_page(self, host: Host) -> SafeString:
        return badge(host.state, HOST_COLOURS)

    @display(description="error")
    def error_page(self, host: Host) -> str:
        return visible(host.error) or NOTHING

    @display(description="containers", ordering="container_count")
    def containers_shown(self, host: Any) -> int:
        return int(host.container_count)

    @display(description="containers")
    def containers_page(self, host: Host) -> SafeString:
        url = f"{reverse('admin:healing_container_changelist')}?host__id__exact={host.pk}"
        return link(url, f"{host.containers.count()} registered")

    @display(description="unhealthy", ordering="unhealthy_count")
    def unhealthy_shown(self, host: Any) -> int:
        return int(host.unhealthy_count)

    @display(description="engine", ordering="version")
    def engine_shown(self, host: Host) -> str:
        return f"{host.engine_kind} {visible(host.version)}".strip()

    @display(description="latency", ordering="latency")
    def latency_shown(self, host: Host) -> str:
        return duration(host.latency)

    @display(description="latency")
    def latency_page(self, host: Host) -> SafeString:
        if host.latency_at is None:
            return format_html("{}", NOTHING)
        return format_html("{}, measured {}", duration(host.latency), ago(host.latency_at))

    @display(description="last event", ordering="last_event_at")
    def event_shown(self, host: Host) -> SafeString:
        return ago(host.last_event_at)

    @display(description="last event")
    def event_page(self, host: Host) -> SafeString:
        return ago(host.last_event_at)

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
        self._test(request, list(self.chosen(request, object_id)))
        return self.back(request, object_id)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Host], enabled: bool) -> None:
        rows = list(queryset.exclude(enabled=enabled))
        Host.objects.filter(pk__in=[row.pk for row in rows]).update(enabled=enabled)
        bump_revision()
        word = "Enabled" if enabled else "Disabled"
        self.note(request, rows, f"{word}.")
        self.message_user(request, f"{word} {len(rows)} hosts.", messages.SUCCESS)

    def _test(self, request: HttpRequest, hosts: list[Host]) -> None:
        for host, answer in zip(hosts, ask_all(hosts), strict=True):
            text = f"{host.name}: {visible(answer.text)}"
            if answer.info is None:
                self.message_user(request, text, messages.ERROR)
                continue
            Host.objects.filter(pk=host.pk).update(
                latency=answer.latency, latency_at=timezone.now(), version=answer.info.version[:100]
            )
            self.message_user(request, text, messages.SUCCESS)
