"""Histories: failure records, attempts, health statuses. Seen, never edited."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import truncatechars
from django.urls import reverse
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, RangeDateTimeFilter

from healing.admin.base import (
    ATTEMPT_COLOURS,
    HEALTH_COLOURS,
    LEVEL_COLOURS,
    LIFECYCLE_COLOURS,
    RESULT_COLOURS,
    ReadOnlyAdmin,
    labelled,
)
from healing.admin.html import badge, evidence, items, link, preformatted, table
from healing.admin.looks import TabularInline, display
from healing.core.wording import duration, shown
from healing.models import Attempt, FailureRecord, HealthStatus

_SHOWN = 100


class AttemptInline(TabularInline):
    """What was tried about this failure."""

    model = Attempt
    fields = (
        "number", "action", "state_shown", "reason", "budget_shown", "backoff", "intent_at", "answered_at", "ended_at",
        "answer_shown", "outcome_shown",
    )  # fmt: skip
    readonly_fields = fields
    extra = max_num = 0
    can_delete = False
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: FailureRecord | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: FailureRecord | None = None) -> bool:
        return False

    @display(description="state")
    def state_shown(self, attempt: Attempt) -> SafeString:
        return badge(attempt.state, ATTEMPT_COLOURS)

    @display(description="budget spent")
    def budget_shown(self, attempt: Attempt) -> str:
        return f"{attempt.budget_spent} of {attempt.budget_limit}, {attempt.row_number} in a row"

    @display(description="the engine's answer")
    def answer_shown(self, attempt: Attempt) -> SafeString:
        return preformatted(attempt.answer) if attempt.answer else format_html("{}", "–")

    @display(description="outcome")
    def outcome_shown(self, attempt: Attempt) -> SafeString:
        return preformatted(attempt.outcome) if attempt.outcome else format_html("{}", "–")


@admin.register(FailureRecord)
class FailureRecordAdmin(ReadOnlyAdmin):
    """One failure from detection to resolution, or what automation did about one."""

    list_display = (
        "number", "detected_at", "container_link", "host_name", "failure_type", "cause_shown", "action",
        "result_shown", "level_shown", "took", "reason_shown",
    )  # fmt: skip
    list_select_related = ("container",)
    list_filter = (
        ("failure_type", ChoicesDropdownFilter),
        ("action_result", ChoicesDropdownFilter),
        ("action", ChoicesDropdownFilter),
        ("stage", ChoicesDropdownFilter),
        "priority",
        "is_found",
        ("resolved_at", admin.EmptyFieldListFilter),
        ("detected_at", RangeDateTimeFilter),
        ("container", AutocompleteSelectFilter),
        ("tenant", AutocompleteSelectFilter),
    )
    search_fields = ("container_name", "host_name", "project_name", "service_name", "cause", "error_message")
    inlines = (AttemptInline,)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("container_link", "failure_type"), ("cause", "result_page"), "reason", "error_page",
                    ("detected_at", "resolved_at"), ("took", "level_page"), ("action", "stage"), "parent_link",
                )
            },
        ),
        ("What was seen", {"fields": ("evidence_page",)}),
        ("What automation did", {"fields": ("children_page",)}),
        ("Failures that belong to it", {"classes": ("collapse",), "fields": ("incident_page",)}),
        (
            "Bookkeeping",
            {
                "classes": ("collapse",),
                "fields": (
                    ("host_name", "engine_id"), ("project_name", "service_name"), ("tenant", "is_found"),
                    ("is_trial", "in_success_rate"), ("priority", "put_off_at"), ("forced", "forced_at"), ("due_at", "fence"), ("lease_owner", "lease_until"),
                ),
            },
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[FailureRecord]:
        queryset: QuerySet[FailureRecord] = super().get_queryset(request)
        return queryset.select_related("container", "parent", "tenant")

    @display(description="#", ordering="id")
    def number(self, record: FailureRecord) -> str:
        return f"#{record.pk}"

    @display(description="container", ordering="container_name")
    def container_link(self, record: FailureRecord) -> SafeString:
        url = reverse("admin:healing_container_change", args=(record.container_id,))
        return link(url, record.container_name)

    @display(description="cause", ordering="cause")
    def cause_shown(self, record: FailureRecord) -> str:
        return truncatechars(record.cause or record.error_message, 60)

    @display(description="result", ordering="action_result", label=RESULT_COLOURS)
    def result_shown(self, record: FailureRecord) -> str | None:
        return labelled(record.action_result)

    @display(description="alert", ordering="alert_level", label=LEVEL_COLOURS)
    def level_shown(self, record: FailureRecord) -> str | None:
        return labelled(record.alert_level)

    @display(description="result")
    def result_page(self, record: FailureRecord) -> SafeString:
        return badge(record.action_result, RESULT_COLOURS)

    @display(description="highest alert so far")
    def level_page(self, record: FailureRecord) -> SafeString:
        return badge(record.alert_level, LEVEL_COLOURS)

    @display(description="took")
    def took(self, record: FailureRecord) -> str:
        ended = record.resolved_at
        return duration((ended - record.detected_at).total_seconds()) if ended else "open"

    @display(description="reason")
    def reason_shown(self, record: FailureRecord) -> str:
        return truncatechars(record.reason, 80)

    @display(description="error message")
    def error_page(self, record: FailureRecord) -> SafeString:
        return preformatted(record.error_message or "–")

    @display(description="evidence")
    def evidence_page(self, record: FailureRecord) -> SafeString:
        return evidence(record.details)

    @display(description="belongs to")
    def parent_link(self, record: FailureRecord) -> SafeString:
        return _record_link(record.parent) if record.parent else format_html("{}", "–")

    @display(description="records")
    def children_page(self, record: FailureRecord) -> SafeString:
        rows = [
            (
                _record_link(child),
                localize(child.detected_at),
                child.action,
                child.action_result,
                child.reason,
            )
            for child in record.children.filter(is_found=False)
        ]
        return table(("record", "at", "action", "result", "reason"), rows) if rows else format_html("{}", "–")

    @display(description="failures")
    def incident_page(self, record: FailureRecord) -> SafeString:
        """The others of its incident, where this record stands for one; long lists are cut."""
        found = record.children.filter(is_found=True).order_by("detected_at", "pk")
        rows = [
            (_record_link(child), child.container_name, localize(child.detected_at), child.action_result)
            for child in found[:_SHOWN]
        ]
        if not rows:
            return format_html("{}", "–")
        more = found.count() - len(rows)
        rest = format_html("<p>and {} more</p>", more) if more else ""
        return format_html("{}{}", table(("record", "container", "at", "result"), rows), rest)


def _record_link(record: FailureRecord) -> SafeString:
    url = reverse("admin:healing_failurerecord_change", args=(record.pk,))
    return link(url, f"#{record.pk} {shown(record.failure_type)}")


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    """One try of an action."""

    list_display = (
        "id", "intent_at", "container", "failure", "number", "action", "state_shown", "budget_shown", "backoff",
        "took", "reason_shown",
    )  # fmt: skip
    list_select_related = ("container", "failure")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        "action",
        ("intent_at", RangeDateTimeFilter),
        ("container", AutocompleteSelectFilter),
    )
    search_fields = ("container__name", "reason", "answer")
    ordering = ("-intent_at", "-id")

    @display(description="state", ordering="state", label=ATTEMPT_COLOURS)
    def state_shown(self, attempt: Attempt) -> str | None:
        return labelled(attempt.state)

    @display(description="budget")
    def budget_shown(self, attempt: Attempt) -> str:
        return f"{attempt.budget_spent} of {attempt.budget_limit}"

    @display(description="engine took")
    def took(self, attempt: Attempt) -> str:
        if attempt.called_at is None or attempt.answered_at is None:
            return "–"
        return duration((attempt.answered_at - attempt.called_at).total_seconds())

    @display(description="reason")
    def reason_shown(self, attempt: Attempt) -> str:
        return truncatechars(attempt.reason, 80)


@admin.register(HealthStatus)
class HealthStatusAdmin(ReadOnlyAdmin):
    """The newest verdict about each container."""

    list_display = (
        "container", "host_shown", "status_shown", "lifecycle_shown", "consecutive_failures", "total_restarts",
        "last_check", "last_restart_time", "message_shown",
    )  # fmt: skip
    list_select_related = ("container__host",)
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("lifecycle", ChoicesDropdownFilter),
        ("container__host", AutocompleteSelectFilter),
        ("quarantined_at", admin.EmptyFieldListFilter),
    )
    search_fields = ("container__name", "message")
    ordering = ("container__name",)
    readonly_fields = ("warnings_page",)

    @display(description="host", ordering="container__host__name")
    def host_shown(self, status: HealthStatus) -> str:
        return status.container.host.name

    @display(description="health", ordering="status", label=HEALTH_COLOURS)
    def status_shown(self, status: HealthStatus) -> str | None:
        return labelled(status.status)

    @display(description="state", ordering="lifecycle", label=LIFECYCLE_COLOURS)
    def lifecycle_shown(self, status: HealthStatus) -> str | None:
        return labelled(status.lifecycle)

    @display(description="last check")
    def last_check(self, status: HealthStatus) -> object:
        return status.last_checked_at

    @display(description="message")
    def message_shown(self, status: HealthStatus) -> str:
        return truncatechars(status.message, 100)

    @display(description="warnings, one a line")
    def warnings_page(self, status: HealthStatus) -> SafeString:
        return items(status.warnings)
