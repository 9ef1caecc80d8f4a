"""Containers: what they are, how they are, how they are checked and why, and what people may do about them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter

from healing.admin.base import HEALTH_COLOURS, LIFECYCLE_COLOURS, labelled
from healing.admin.container_actions import ContainerActions
from healing.admin.container_page import failures_table, origins_table, status_table, warnings_list
from healing.admin.dependency import DependencyInline, needed_by, written_by_hand
from healing.admin.html import evidence
from healing.admin.looks import TabularInline, display
from healing.admin.removal import BookkeepingGoesAlong
from healing.models import Container, Dependency, HealthStatus, Probe


class ProbeInline(TabularInline):
    """Our own questions to this container."""

    model = Probe
    fields = ("name", "target", "options", "enabled")
    extra = 0
    tab = True


@admin.register(Container)
class ContainerAdmin(BookkeepingGoesAlong, ContainerActions):
    """One supervised container."""

    list_display = (
        "name", "host", "project", "service_shown", "health_shown", "lifecycle_shown", "monitored",
        "failures_in_a_row", "restarts", "last_check", "pause_shown", "dry_run_shown",
    )  # fmt: skip
    list_select_related = ("host", "project", "service", "health")
    list_filter = (
        ("health__status", ChoicesDropdownFilter),
        ("health__lifecycle", ChoicesDropdownFilter),
        "monitored",
        "dry_run",
        ("host", AutocompleteSelectFilter),
        ("project", AutocompleteSelectFilter),
        ("service", AutocompleteSelectFilter),
        ("tenant", AutocompleteSelectFilter),
    )
    search_fields = ("name", "engine_id", "image", "project__name", "service__name")
    autocomplete_fields = ("host", "project", "service", "tenant", "config")
    readonly_fields = (
        "engine_id", "image", "paused_until", "paused_reason", "registered_by", "created_at",
        "status_page", "warnings_page", "config_page", "failures_page", "labels_page", "mapped_page",
        "needed_by_page",
    )  # fmt: skip
    fieldsets = (
        (None, {"fields": ("status_page", "warnings_page")}),
        (
            "Container",
            {
                "fields": (
                    ("name", "host"), ("project", "service"), ("tenant", "config"), ("monitored", "dry_run"),
                    ("paused_until", "paused_reason"), ("image", "engine_id"), ("registered_by", "created_at"),
                )
            },
        ),
        ("Last failures", {"classes": ("tab",), "fields": ("failures_page",)}),
        ("Effective config", {"classes": ("tab",), "fields": ("config_page", "mapped_page")}),
        ("Labels", {"classes": ("tab",), "fields": ("labels_page",)}),
        ("Needed by", {"classes": ("tab",), "fields": ("needed_by_page",)}),
    )  # fmt: skip
    add_fieldsets = (
        (None, {"fields": (("name", "host"), ("project", "service"), ("tenant", "config"), "monitored")}),
    )
    inlines = (DependencyInline, ProbeInline)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """What a person has changed of a dependency stays."""
        if formset.model is Dependency:
            for row in formset.save(commit=False):
                written_by_hand(row)
        super().save_formset(request, form, formset, change)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Container]:
        queryset: QuerySet[Container] = super().get_queryset(request)
        return queryset.select_related("host", "project", "service__project", "health", "config")

    def get_inlines(self, request: HttpRequest, obj: Container | None) -> Any:
        return self.inlines if obj is not None else ()

    @display(description="service", ordering="service__name")
    def service_shown(self, container: Container) -> str:
        return container.service.name if container.service else ""

    @display(description="health", ordering="health__status", label=HEALTH_COLOURS)
    def health_shown(self, container: Container) -> str | None:
        return labelled(_health(container).status)

    @display(description="state", ordering="health__lifecycle", label=LIFECYCLE_COLOURS)
    def lifecycle_shown(self, container: Container) -> str | None:
        return labelled(_health(container).lifecycle)

    @display(description="failures in a row", ordering="health__consecutive_failures")
    def failures_in_a_row(self, container: Container) -> int:
        return _health(container).consecutive_failures

    @display(description="restarts", ordering="health__total_restarts")
    def restarts(self, container: Container) -> int:
        return _health(container).total_restarts

    @display(description="last check")
    def last_check(self, container: Container) -> object:
        return _health(container).last_checked_at

    @display(description="Status now")
    def status_page(self, container: Container) -> SafeString:
        return status_table(container, _health(container))

    @display(description="Warnings")
    def warnings_page(self, container: Container) -> SafeString:
        return warnings_list(container, _health(container))

    @display(description="Values, and where each comes from (the nearest wins)")
    def config_page(self, container: Container) -> SafeString:
        return origins_table(container)

    @display(description="Last failures and what was done about them")
    def failures_page(self, container: Container) -> SafeString:
        return failures_table(container)

    @display(description="Labels, as the engine tells them")
    def labels_page(self, container: Container) -> SafeString:
        return evidence(container.labels)

    @display(description="Containers that are held while this one fails, and what happens when it is back")
    def needed_by_page(self, container: Container) -> SafeString:
        return needed_by(container)

    @display(description="Derived from the restart policy and the HEALTHCHECK")
    def mapped_page(self, container: Container) -> SafeString:
        return evidence(container.mapped)


def _health(container: Container) -> HealthStatus:
    try:
        return container.health
    except HealthStatus.DoesNotExist:
        return HealthStatus(container=container)
