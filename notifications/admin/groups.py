"""Groups: which alerts are told together, when, and what each channel was told last."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, F, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from notifications.admin.base import LEVEL_COLOURS, ReadOnlyAdmin
from notifications.admin.html import ago, badge, pairs, row_link, table
from notifications.admin.looks import display
from notifications.models import AlertGroup


@admin.register(AlertGroup)
class AlertGroupAdmin(ReadOnlyAdmin):
    """Alerts that are told in one message."""

    list_display = (
        "number",
        "route_name",
        "labels_shown",
        "members_shown",
        "created_at",
        "flush_shown",
        "closed_at",
    )
    list_filter = (("closed_at", admin.EmptyFieldListFilter), "route_name")
    search_fields = ("route_name", "key")
    ordering = (F("closed_at").desc(nulls_first=True), "-created_at", "-pk")
    fieldsets = (
        (None, {"fields": (("route_name", "route"), "labels_shown", ("created_at", "closed_at"))}),
        ("Its turns", {"fields": (("flush_at", "flushed_at"), "log_page")}),
        ("Alerts", {"fields": ("members_page",)}),
        ("Messages", {"fields": ("messages_page",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[AlertGroup]:
        queryset: QuerySet[AlertGroup] = super().get_queryset(request)
        counted: QuerySet[AlertGroup] = queryset.select_related("route").annotate(
            member_count=Count("members")
        )
        return counted

    @display(description="#", ordering="id")
    def number(self, group: AlertGroup) -> str:
        return f"#{group.pk}"

    @display(description="labels")
    def labels_shown(self, group: AlertGroup) -> SafeString:
        return pairs(group.labels)

    @display(description="alerts", ordering="member_count")
    def members_shown(self, group: Any) -> int:
        return int(group.member_count)

    @display(description="next turn", ordering="flush_at")
    def flush_shown(self, group: AlertGroup) -> SafeString:
        return ago(group.flush_at)

    @display(description="alerts")
    def members_page(self, group: AlertGroup) -> SafeString:
        rows = [
            (
                badge(member.alert.level, LEVEL_COLOURS),
                row_link(member.alert, member.alert.notification.title),
                ago(member.alert.starts_at),
                ago(member.told_at),
                member.escalated or "–",
            )
            for member in group.members.select_related("alert__notification").order_by("alert__starts_at")
        ]
        return table(("level", "alert", "since", "first told", "escalation steps"), rows)

    @display(description="what each channel was told last")
    def log_page(self, group: AlertGroup) -> SafeString:
        rows = [
            (row_link(entry.channel), ago(entry.sent_at), len(entry.firing), len(entry.resolved))
            for entry in group.log.select_related("channel")
        ]
        return table(("channel", "at", "firing", "resolved"), rows)

    @display(description="messages")
    def messages_page(self, group: AlertGroup) -> SafeString:
        rows = [
            (row_link(message, message.get_kind_display()), ago(message.created_at), message.reason)
            for message in group.messages.all()[:50]
        ]
        return table(("message", "at", "why"), rows)
