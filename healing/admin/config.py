"""Healing configs (profiles), ceilings and probes."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from healing.admin.base import HealingAdmin
from healing.admin.looks import ModelForm, display
from healing.models import ConfigCeiling, HealingConfig, Probe

OPTIONS_HELP = (
    'Such as {"status": "200-299", "body_match": "ok", "tls_verify": false, "timeout": 2, "interval": 0.5}. '
    "An interval below the container's check_interval, from 0.1 s, makes the probe run oftener than its checks."
)


class HealingConfigForm(ModelForm):
    """A choice that is left open is inherited, not unknown."""

    class Meta:
        model = HealingConfig
        exclude = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if isinstance(field, forms.NullBooleanField):
                field.widget.choices = (("unknown", "inherited"), ("true", "yes"), ("false", "no"))


@admin.register(HealingConfig)
class HealingConfigAdmin(HealingAdmin):
    """A named set of values; what it leaves empty is inherited."""

    form = HealingConfigForm

    list_display = (
        "name", "description", "check_interval", "check_timeout", "failure_threshold", "max_restarts",
        "restart_window", "auto_restart", "send_alert",
    )  # fmt: skip
    list_filter = ("auto_restart", "send_alert", "priority", "engine_verdicts", "found_stopped")
    search_fields = ("name", "description")
    readonly_fields = ("updated_at",)
    fieldsets = (
        (None, {"fields": ("name", "description", "updated_at")}),
        (
            "Checking",
            {
                "fields": (
                    ("check_interval", "check_timeout"), ("failure_threshold", "success_threshold"),
                    ("start_period", "engine_verdicts"), ("always_running", "found_stopped"),
                )
            },
        ),
        (
            "Healing",
            {
                "fields": (
                    ("auto_restart", "priority"), ("max_restarts", "restart_window"),
                    ("backoff_initial", "backoff_max"), ("stop_timeout", "verify_timeout"), "quarantine_release",
                )
            },
        ),
        ("Telling", {"fields": ("send_alert",)}),
    )  # fmt: skip


@admin.register(ConfigCeiling)
class ConfigCeilingAdmin(HealingAdmin):
    """Limits that outrank every config and label."""

    list_display = ("field", "host_shown", "minimum", "maximum")
    list_select_related = ("host",)
    list_filter = ("field", ("host", AutocompleteSelectFilter))
    search_fields = ("field", "host__name")
    autocomplete_fields = ("host",)

    @display(description="host", ordering="host__name")
    def host_shown(self, ceiling: ConfigCeiling) -> str:
        return ceiling.host.name if ceiling.host else "all hosts"


@admin.register(Probe)
class ProbeAdmin(HealingAdmin):
    """Our own questions to containers."""

    list_display = ("name", "target", "container", "service", "enabled")
    list_select_related = ("container", "service__project")
    list_filter = (
        "enabled",
        ("container", AutocompleteSelectFilter),
        ("service", AutocompleteSelectFilter),
    )
    search_fields = ("name", "target", "container__name", "service__name")
    autocomplete_fields = ("container", "service")

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name == "options":
            field.help_text = OPTIONS_HELP
        return field
