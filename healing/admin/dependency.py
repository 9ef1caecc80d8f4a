"""Which container needs which: learned, or written by people."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from healing.admin.base import HealingAdmin, labelled
from healing.admin.html import items
from healing.admin.looks import TabularInline, display
from healing.models import Container, Dependency, Origin

_ORIGIN_COLOURS = {
    Origin.MANUAL.value: "info",
    Origin.COMPOSE.value: "success",
    Origin.NETWORK.value: "success",
    Origin.BOTH.value: "info",
}


def written_by_hand(dependency: Dependency) -> None:
    """What a person has changed stays; that a network is shared remains a fact."""
    if not Origin(dependency.origin).shares_network:
        dependency.origin = Origin.MANUAL.value


class DependencyInline(TabularInline):
    """What this container needs."""

    model = Dependency
    fk_name = "dependant"
    verbose_name_plural = "needs"
    fields = ("dependency", "on_return", "is_job", "origin")
    readonly_fields = ("origin",)
    autocomplete_fields = ("dependency",)
    extra = 0
    tab = True


@admin.register(Dependency)
class DependencyAdmin(HealingAdmin):
    """All dependencies of the fleet."""

    list_display = ("dependant", "dependency", "on_return", "is_job", "origin_shown", "created_at")
    list_select_related = ("dependant", "dependency")
    list_filter = (
        "origin",
        "on_return",
        ("dependant", AutocompleteSelectFilter),
        ("dependency", AutocompleteSelectFilter),
    )
    search_fields = ("dependant__name", "dependency__name")
    autocomplete_fields = ("dependant", "dependency")
    fields = (("dependant", "dependency"), ("on_return", "is_job"), ("origin", "created_at"))
    readonly_fields = ("origin", "created_at")

    @display(description="learned from", ordering="origin", label=_ORIGIN_COLOURS)
    def origin_shown(self, dependency: Dependency) -> str | None:
        return labelled(dependency.origin)

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm[Any], change: bool) -> None:
        written_by_hand(obj)
        super().save_model(request, obj, form, change)


def needed_by(container: Container) -> SafeString:
    """The containers that need this one, and what happens to them when it is back."""
    rows = container.dependants.select_related("dependant").order_by("dependant__name")
    return items(f"{row.dependant.name} ({row.on_return})" for row in rows)
