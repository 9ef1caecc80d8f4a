"""Tenants, projects and services."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from healing.admin.looks import TabularInline, display
from healing.admin.scopes import ControlMixin
from healing.models import Probe, Project, Service, Tenant


class _ControlledAdmin(ControlMixin):
    """What is paused, run dry and maintained, and nothing else."""

    actions = (
        "pause_selected",
        "resume_selected",
        "dry_run_on_selected",
        "dry_run_off_selected",
        "maintain_selected",
    )
    actions_detail = ("pause_this", "resume_this", "maintain_this")
    readonly_fields = ("paused_until", "paused_reason", "created_at")


@admin.register(Tenant)
class TenantAdmin(_ControlledAdmin):
    """Whose containers these are."""

    list_display = ("name", "created_at", "pause_shown", "dry_run_shown")
    list_filter = ("dry_run",)
    search_fields = ("name",)
    fields = ("name", "dry_run", ("paused_until", "paused_reason"), "created_at")


class _ScopeAdmin(_ControlledAdmin):
    """A project or a service: how many containers it has, its config, its pause."""

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

    list_display = (
        "name",
        "tenant",
        "config",
        "auto_register",
        "containers_shown",
        "pause_shown",
        "dry_run_shown",
    )
    list_select_related = ("tenant", "config")
    list_filter = (
        "auto_register",
        "dry_run",
        ("tenant", AutocompleteSelectFilter),
        ("config", AutocompleteSelectFilter),
    )
    search_fields = ("name",)
    autocomplete_fields = ("tenant", "config")
    fields = (
        ("name", "tenant"),
        ("config", "auto_register"),
        "dry_run",
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

    list_display = ("name", "project", "config", "containers_shown", "pause_shown", "dry_run_shown")
    list_select_related = ("project", "config")
    list_filter = ("dry_run", ("project", AutocompleteSelectFilter), ("config", AutocompleteSelectFilter))
    search_fields = ("name", "project__name")
    autocomplete_fields = ("project", "config")
    fields = (("name", "project"), "config", "dry_run", ("paused_until", "paused_reason"), "created_at")
    inlines = (ProbeInline,)
