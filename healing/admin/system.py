"""Selfheal's own state: heartbeats, shards, and the switch that pauses everything."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import truncatechars
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RangeDateTimeFilter

from healing.admin.base import ReadOnlyAdmin
from healing.admin.breaker import BreakerMixin
from healing.admin.html import evidence
from healing.admin.liveness import PartsMixin
from healing.admin.looks import display
from healing.admin.scopes import ControlMixin
from healing.core.queues import CHECKS, near
from healing.models import CheckShard, Heartbeat, Overload, PutOff, SystemState, Trouble


@admin.register(SystemState)
class SystemStateAdmin(ControlMixin, BreakerMixin, PartsMixin, ReadOnlyAdmin):
    """One row: what all processes must agree on, and the pause and the dry run of everything."""

    list_display = (
        "__str__", "config_revision", "pause_shown", "paused_reason", "dry_run_shown", "breaker_shown",
    )  # fmt: skip
    actions = None
    actions_detail = (
        "pause_this", "resume_this", "dry_run_this", "maintain_this", "approve_this", "set_breaker_this",
    )  # fmt: skip

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody edits the row; who may change it may pause and resume (every field is read-only)."""
        return bool(request.user.has_perm("healing.change_systemstate"))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (
            "config_revision", "paused_until", "paused_reason", "dry_run", "breaker_mode", "breaker_share",
            "breaker_page", "parts_page",
        )  # fmt: skip

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        SystemState.objects.get_or_create(pk=1)
        response: HttpResponse = super().changelist_view(request, extra_context)
        return response

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        extra = {"show_save": False, "show_save_and_continue": False, **(extra_context or {})}
        response: HttpResponse = super().changeform_view(request, object_id, form_url, extra)
        return response


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    """When each part of Selfheal last showed that it works."""

    list_display = ("name", "at", "age")
    search_fields = ("name",)
    fields = ("name", "at", "details_page")
    readonly_fields = ("details_page",)

    @display(description="age", ordering="at")
    def age(self, heartbeat: Heartbeat) -> str:
        seconds = (timezone.now() - heartbeat.at).total_seconds()
        return f"{seconds:.0f} s" if seconds < 120 else timesince(heartbeat.at)

    @display(description="details")
    def details_page(self, heartbeat: Heartbeat) -> SafeString:
        return evidence(heartbeat.details)


@admin.register(CheckShard)
class CheckShardAdmin(ReadOnlyAdmin):
    """Parts of hosts, each checked by one task at a time."""

    list_display = (
        "host", "number", "priority", "checked_at", "next_due_at", "begun_at", "lease_until", "is_cut_short",
        "lost_claims",
    )  # fmt: skip
    list_filter = ("priority", "is_cut_short")
    list_select_related = ("host",)
    search_fields = ("host__name",)


@admin.register(Trouble)
class TroubleAdmin(ReadOnlyAdmin):
    """What is or was wrong with Selfheal's own sight."""

    list_display = ("key", "open_shown", "told", "since", "resolved_at", "message_shown")
    list_filter = (("resolved_at", admin.EmptyFieldListFilter), ("since", RangeDateTimeFilter))
    search_fields = ("key", "message")

    @display(description="state", label={"open": "danger", "over": "success"})
    def open_shown(self, trouble: Trouble) -> str:
        return "open" if trouble.resolved_at is None else "over"

    @display(description="message")
    def message_shown(self, trouble: Trouble) -> str:
        return truncatechars(trouble.message, 120)


@admin.register(Overload)
class OverloadAdmin(ReadOnlyAdmin):
    """How late the checks of each queue are, and what is shed because of it; empty where they never were."""

    list_display = (
        "queue_shown", "shed_shown", "lateness_shown", "heals_waiting", "raised_at", "told_at", "measured_at",
    )  # fmt: skip

    @display(description="queue", ordering="queue")
    def queue_shown(self, overload: Overload) -> str:
        return near(CHECKS, overload.queue)

    @display(
        description="put off",
        label={"nothing": "success", "non-critical": "warning", "all but critical": "danger"},
    )
    def shed_shown(self, overload: Overload) -> str:
        return ("nothing", "non-critical", "all but critical")[overload.level]

    @display(description="late by", ordering="lateness")
    def lateness_shown(self, overload: Overload) -> str:
        return f"{overload.lateness:.1f} s"


@admin.register(PutOff)
class PutOffAdmin(ReadOnlyAdmin):
    """Checks that were put off for more important ones."""

    list_display = ("hour", "host", "priority", "checks")
    list_select_related = ("host",)
    list_filter = ("priority", ("hour", RangeDateTimeFilter), ("host", AutocompleteSelectFilter))
    search_fields = ("host__name",)
