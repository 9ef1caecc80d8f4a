"""Deliveries: each message on its way through each channel. Seen, never edited; what has failed can be tried again."""

from __future__ import annotations

import logging
from typing import Any

from celery import current_app
from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import truncatechars
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from notifications.admin.base import STATE_COLOURS, ReadOnlyAdmin
from notifications.admin.html import ago, badge, nothing, preformatted, row_link
from notifications.admin.looks import BaseDialogForm, TabularInline, action, display
from notifications.models import Delivery, DeliveryState

_DELIVER = "notifications.tasks.deliver_due"
_HINT_EXPIRES = 60
_RETRY_DIALOG: Any = {
    "title": "Try again",
    "description": "The message is sent once more through this channel, now.",
    "form_class": BaseDialogForm,
    "form_submit_text": "Try again",
}

logger = logging.getLogger(__name__)


class DeliveryInline(TabularInline):
    """How the message went through each channel."""

    model = Delivery
    fields = ("channel_name", "state_shown", "tries", "next_try_at", "sent_at", "answer", "error")
    readonly_fields = fields
    extra = max_num = 0
    can_delete = False
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="state")
    def state_shown(self, delivery: Delivery) -> SafeString:
        return badge(delivery.state, STATE_COLOURS)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """One message on its way through one channel."""

    list_display = (
        "id", "told_shown", "channel_name", "state_shown", "tries", "next_shown", "sent_at", "answer_shown", "error_shown",
    )  # fmt: skip
    list_filter = (("state", ChoicesDropdownFilter), "channel_name", "is_limited", "notification__level")
    search_fields = ("notification__title", "notification__container", "channel_name", "error")
    list_select_related = ("notification", "channel", "message")
    actions = ("retry_selected",)
    actions_row = ("retry_this",)
    actions_detail = ("retry_this",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("channel_name", "state_page"), "message_page", "notification_page", ("tries", "is_limited"),
                    ("next_try_at", "sent_at"), "answer_page", "error_page",
                )
            },
        ),
    )  # fmt: skip

    def has_retry_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("notifications.change_delivery"))

    @display(description="tells", ordering="notification__title")
    def told_shown(self, delivery: Delivery) -> str:
        return delivery.notification.title if delivery.notification else str(delivery.message or "–")

    @display(description="state", ordering="state", label=STATE_COLOURS)
    def state_shown(self, delivery: Delivery) -> str:
        return delivery.state

    @display(description="next try", ordering="next_try_at")
    def next_shown(self, delivery: Delivery) -> SafeString:
        return ago(delivery.next_try_at) if delivery.state == DeliveryState.PENDING else nothing()

    @display(description="answer")
    def answer_shown(self, delivery: Delivery) -> str:
        return truncatechars(delivery.answer, 60)

    @display(description="error")
    def error_shown(self, delivery: Delivery) -> str:
        return truncatechars(delivery.error, 100)

    @display(description="state")
    def state_page(self, delivery: Delivery) -> SafeString:
        return badge(delivery.state, STATE_COLOURS)

    @display(description="message")
    def message_page(self, delivery: Delivery) -> SafeString:
        return row_link(delivery.message)

    @display(description="notification")
    def notification_page(self, delivery: Delivery) -> SafeString:
        return row_link(delivery.notification)

    @display(description="answer")
    def answer_page(self, delivery: Delivery) -> SafeString:
        return preformatted(delivery.answer)

    @display(description="error")
    def error_page(self, delivery: Delivery) -> SafeString:
        return preformatted(delivery.error)

    @action(description="Try again now", permissions=["retry"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        self._retry(request, queryset)

    @action(description="Try again now", permissions=["retry"], icon="replay", dialog=_RETRY_DIALOG)
    def retry_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        self._retry(request, self.chosen(request, object_id))
        return self.back(request, object_id)

    def _retry(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Only what has failed: all else is on its way, or has arrived."""
        failed = [row for row in queryset if row.state == DeliveryState.FAILED]
        rows = Delivery.objects.filter(pk__in=[row.pk for row in failed], state=DeliveryState.FAILED)
        number = rows.update(state=DeliveryState.PENDING, next_try_at=timezone.now())
        if not number:
            self.message_user(request, "Only deliveries that have failed can be tried again.", messages.ERROR)
            return
        _hint()
        self.note(request, failed, "Tried again.")
        self.message_user(request, f"{number} deliveries are tried again now.", messages.SUCCESS)


def _hint() -> None:
    try:
        current_app.send_task(_DELIVER, expires=_HINT_EXPIRES, ignore_result=True)
    except Exception as error:
        logger.warning(
            "the hint to deliver could not be queued; the periodic task will deliver: %s",
            error,
            extra={"action": "alert_hint_failed"},
        )
