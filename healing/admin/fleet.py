"""Tenants, projects and services."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from healing.admin.base import HealingAdmin
from healing.admin.looks import TabularInline, display
from healing.admin.scopes import PauseMixin
from healing.models import Probe, Project, Service, Tenant


@admin.register(Tenant)
class TenantAdmin(HealingAdmin):
    """Whose containers these are."""

    list_display = ("name", "created_at")
    search_fields = ("name",)
    readonly_fields = ("created_at",)


class _ScopeAdmin(PauseMixin):
    """A project or a service: how many containers it has, its config, its pause."""

    actions = ("pause_selected", "resume_selected")
    actions_detail = ("pause_this", "resume_this")
    readonly_fields = ("paused_until", "paused_reason", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Project | Service]:
        queryset: QuerySet[Project | Service] = super().get_queryset(request)
        annotated: QuerySet[Project | Service] = queryset.annotate(container_count=Count("containers"))
        return annotated

    @display(description="containers", ordering="container_count")
    def containers_shown(self, scope: Project | Service) -> int:
        return int(scope.container_count)  # type: ignore[union-attr]


@admin.register(Project)
class ProjectAdmin(_ScopeAdmin):
    """Services that belong together."""

    list_display = ("name", "tenant", "config", "auto_register", "containers_shown", "pause_shown")
    list_select_related = ("tenant", "config")
    list_filter = (
        "auto_register",
        ("tenant", AutocompleteSelectFilter),
        ("config", AutocompleteSelectFilter),
    )
    search_fields = ("name",)
    autocomplete_fields = ("tenant", "config")
    fields = (
        ("name", "tenant"),
        ("config", "auto_register"),
        ("paused_until", "paused_reason"),
        "created_at",
    )


class ProbeInline(TabularInline):
    """Our own questions to every container of this service."""

    model = Probe
    fields = ("name", "target", "options", "enabled")
    extra = 0


@admin.register(Service)
class ServiceAdmin(_ScopeAdmin):
    """Containers that do the same work."""

    list_display = ("name", "project", "config", "containers_shown", "pause_shown")
    list_select_related = ("project", "config")
    list_filter = (("project", AutocompleteSelectFilter), ("config", AutocompleteSelectFilter))
    search_fields = ("name", "project__name")
    autocomplete_fields = ("project", "config")
    fields = (("name", "project"), "config", ("paused_until", "paused_reason"), "created_at")
    inlines = (ProbeInline,)
