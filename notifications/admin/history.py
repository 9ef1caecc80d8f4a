"""Histories: notifications, and the messages made of them. Seen, never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.formats import localize
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter

from notifications.admin.alerts import SilencingMixin
from notifications.admin.base import KIND_COLOURS, LEVEL_COLOURS, STATE_COLOURS, ReadOnlyAdmin
from notifications.admin.deliveries import DeliveryInline
from notifications.admin.html import badge, pairs, preformatted, row_link, table
from notifications.admin.looks import action, display
from notifications.core.labels import labels_of
from notifications.models import (
    ActiveAlert,
    Delivery,
    GroupMessage,
    Notification,
)

_SHOWN = 100


class DirectDeliveryInline(DeliveryInline):
    """Those that went past the groups."""

    verbose_name_plural = "Told directly"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        queryset: QuerySet[Delivery] = super().get_queryset(request)
        return queryset.filter(message=None)


@admin.register(Notification)
class NotificationAdmin(SilencingMixin):
    """One thing that people were told, or were not, and why."""

    list_display = (
        "created_at", "level_shown", "kind_shown", "title", "container", "project", "host", "state_shown", "reason",
    )  # fmt: skip
    list_display_links = ("title",)
    list_filter = (
        "level",
        "kind",
        ("state", ChoicesDropdownFilter),
        ("created_at", RangeDateTimeFilter),
    )
    search_fields = ("title", "container", "project", "service", "host", "alert_key", "alertname")
    search_help_text = "Title, container, project, service, host, alert key or alert name"
    inlines = (DirectDeliveryInline,)
    actions_row = ("silence_this",)
    actions_detail = ("silence_this",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("level_page", "kind"), ("state_page", "reason"), "title", "body_page",
                    ("created_at", "route_at"), "active_page",
                )
            },
        ),
        ("What it is about", {"fields": ("labels_page", ("outcome", "is_event"), "alert_key", "depends_page")}),
        ("Messages", {"fields": ("messages_page",)}),
    )  # fmt: skip

    def get_inlines(self, request: HttpRequest, obj: Notification | None) -> Any:
        direct = obj is not None and obj.deliveries.filter(message=None).exists()
        return self.inlines if direct else ()

    @display(description="level", ordering="level", label=LEVEL_COLOURS)
    def level_shown(self, notification: Notification) -> str:
        return notification.level

    @display(description="kind", ordering="kind", label=KIND_COLOURS)
    def kind_shown(self, notification: Notification) -> str:
        return notification.kind

    @display(description="state", ordering="state", label=STATE_COLOURS)
    def state_shown(self, notification: Notification) -> str:
        return notification.state

    @display(description="level")
    def level_page(self, notification: Notification) -> SafeString:
        return badge(notification.level, LEVEL_COLOURS)

    @display(description="state")
    def state_page(self, notification: Notification) -> SafeString:
        return badge(notification.state, STATE_COLOURS)

    @display(description="text")
    def body_page(self, notification: Notification) -> SafeString:
        return preformatted(notification.body)

    @display(description="labels")
    def labels_page(self, notification: Notification) -> SafeString:
        return pairs(labels_of(notification.alert()))

    @display(description="muted while these fire")
    def depends_page(self, notification: Notification) -> SafeString:
        return preformatted("\n".join(notification.depends_on))

    @display(description="alert")
    def active_page(self, notification: Notification) -> SafeString:
        return row_link(_alert_of(notification))

    @display(description="messages and their deliveries")
    def messages_page(self, notification: Notification) -> SafeString:
        found = notification.messages.prefetch_related("deliveries").order_by("created_at")
        rows = [
            (
                row_link(message, message.get_kind_display()),
                localize(message.created_at),
                message.reason,
                delivery.channel_name,
                badge(delivery.state, STATE_COLOURS),
                delivery.error or delivery.answer,
            )
            for message in found[:_SHOWN]
            for delivery in message.deliveries.all()
        ]
        return table(("message", "at", "why", "channel", "state", "answer or error"), rows)

    @action(description="Silence…", permissions=["silence"], icon="notifications_off")
    def silence_this(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The form of a silence, filled in from what this is about."""
        notification = self.get_object(request, object_id)
        if notification is None:
            return self.to_silence_form(request, None)
        alert = _alert_of(notification) or ActiveAlert(labels=labels_of(notification.alert()))
        return self.to_silence_form(request, alert)


def _alert_of(notification: Notification) -> ActiveAlert | None:
    key = notification.alert_key
    return ActiveAlert.objects.filter(alert_key=key).first() if key and not notification.is_event else None


@admin.register(GroupMessage)
class GroupMessageAdmin(ReadOnlyAdmin):
    """One message: a group's alerts at one moment."""

    list_display = (
        "created_at",
        "kind_shown",
        "lead_shown",
        "alerts_shown",
        "receiver",
        "reason",
        "channels_shown",
    )
    list_display_links = ("created_at",)
    list_filter = ("kind", ("created_at", RangeDateTimeFilter))
    search_fields = ("lead__title", "reason", "receiver")
    inlines = (DeliveryInline,)
    fieldsets = (
        (None, {"fields": (("kind", "created_at"), ("receiver", "reason"), "group_page", "thread")}),
        ("Alerts", {"fields": ("alerts_page",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[GroupMessage]:
        queryset: QuerySet[GroupMessage] = super().get_queryset(request)
        counted: QuerySet[GroupMessage] = queryset.annotate(alert_count=Count("items"))
        return counted.select_related("lead", "group").prefetch_related("deliveries")

    @display(description="kind", ordering="kind", label={"escalation": "warning", "summary": "warning"})
    def kind_shown(self, message: GroupMessage) -> str:
        return message.kind

    @display(description="gravest alert", ordering="lead__title")
    def lead_shown(self, message: GroupMessage) -> str:
        return message.lead.title if message.lead else "–"

    @display(description="alerts", ordering="alert_count")
    def alerts_shown(self, message: Any) -> int:
        return int(message.alert_count)

    @display(description="channels")
    def channels_shown(self, message: GroupMessage) -> str:
        sent = [f"{delivery.channel_name}: {delivery.state}" for delivery in message.deliveries.all()]
        return ", ".join(sent) or "–"

    @display(description="group")
    def group_page(self, message: GroupMessage) -> SafeString:
        return row_link(message.group)

    @display(description="alerts")
    def alerts_page(self, message: GroupMessage) -> SafeString:
        rows = [
            (
                badge(notification.level, LEVEL_COLOURS),
                badge(notification.kind, KIND_COLOURS),
                row_link(notification, notification.title),
                localize(notification.created_at),
            )
            for notification in message.notifications.all()[:_SHOWN]
        ]
        return table(("level", "", "alert", "written"), rows)
