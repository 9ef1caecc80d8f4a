"""Receivers: who is told, and who of a rotation is on duty."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from notifications.admin.base import AlertingAdmin
from notifications.admin.html import items, nothing, row_link
from notifications.admin.looks import TabularInline, display
from notifications.models import Receiver, RotationMember

_ROTATION = (
    "With members this receiver is a rotation: the one on duty is told, and the channels above are not used. Shifts change "
    "at the same time of day, in the order of the members."
)


class RotationMemberInline(TabularInline):
    """Who takes turns."""

    model = RotationMember
    fk_name = "rotation"
    fields = ("position", "member")
    extra = 0
    hide_title = True
    verbose_name_plural = "Members, in the order of their shifts"

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field: Any = super().formfield_for_foreignkey(db_field, request, **kwargs)
        own = request.resolver_match.kwargs.get("object_id") if request.resolver_match else None
        if field is not None and db_field.name == "member" and own is not None:
            field.queryset = Receiver.objects.exclude(pk=own)
        return field


@admin.register(Receiver)
class ReceiverAdmin(AlertingAdmin):
    """Who is told."""

    list_display = ("name", "channels_shown", "rotation_shown", "duty_shown")
    search_fields = ("name",)
    autocomplete_fields = ("channels",)
    readonly_fields = ("duty_page", "routes_page")
    inlines = (RotationMemberInline,)
    fieldsets = (
        (None, {"fields": ("name", "channels")}),
        (
            "Rotation",
            {
                "fields": ("rotation_start", "rotation_days", "rotation_timezone", "duty_page"),
                "description": _ROTATION,
            },
        ),
        ("Used by", {"fields": ("routes_page",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Receiver]:
        queryset: QuerySet[Receiver] = super().get_queryset(request)
        return queryset.prefetch_related("channels", "members__member__members__member", "routes")

    def get_fieldsets(self, request: HttpRequest, obj: Receiver | None = None) -> Any:
        """A new one is used by nobody."""
        parts = super().get_fieldsets(request, obj)
        return parts if obj is not None else [part for part in parts if part[0] != "Used by"]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if isinstance(field, forms.Field) and db_field.name == "rotation_days":
            field.help_text = "Days a shift lasts; 7 is a week."
        return field

    @display(description="channels")
    def channels_shown(self, receiver: Receiver) -> SafeString:
        return items(_named(channel.name, channel.enabled) for channel in receiver.channels.all())

    @display(description="rotation")
    def rotation_shown(self, receiver: Receiver) -> str:
        members = [row.member.name for row in receiver.members.all()]
        return f"{', '.join(members)}, every {receiver.rotation_days} days" if members else "–"

    @display(description="on duty now")
    def duty_shown(self, receiver: Receiver) -> SafeString:
        if not receiver.pk or not receiver.members.all():
            return nothing()
        return row_link(receiver.on_duty(timezone.now()))

    @display(description="on duty now")
    def duty_page(self, receiver: Receiver) -> SafeString:
        return self.duty_shown(receiver)

    @display(description="routes")
    def routes_page(self, receiver: Receiver) -> SafeString:
        return items(row_link(route) for route in receiver.routes.all())


def _named(name: str, enabled: bool) -> str:
    return name if enabled else f"{name} (off)"
