"""Channels to configure; notifications and deliveries to read. History is not edited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from notifications.channels import kinds
from notifications.models import Channel, Delivery, Notification

if TYPE_CHECKING:
    _ChannelModelForm = forms.ModelForm[Channel]
else:
    _ChannelModelForm = forms.ModelForm

LEVEL_COLOURS = {"info": "info", "warning": "warning", "error": "danger", "critical": "danger"}
STATE_COLOURS = {"pending": "info", "sent": "success", "failed": "danger", "skipped": "warning"}


class ReadOnlyMixin:
    """Nobody adds, changes or deletes; looking needs the usual permission."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ChannelForm(_ChannelModelForm):
    """Offers the kinds that are installed; the model checks the configuration at its field."""

    class Meta:
        model = Channel
        fields = ("name", "kind", "config", "min_level", "enabled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = [(kind, kind) for kind in kinds() if kind != "fake" or self.instance.kind == "fake"]
        self.fields["kind"] = forms.ChoiceField(choices=offered, widget=UnfoldAdminSelectWidget)

    def clean_config(self) -> Any:
        """An emptied field means no settings."""
        config = self.cleaned_data.get("config")
        return {} if config is None else config


@admin.register(Channel)
class ChannelAdmin(ModelAdmin):
    form = ChannelForm
    list_display = ("name", "kind", "min_level_shown", "enabled", "blocked_until", "created_at")
    list_filter = ("kind", "min_level", "enabled")
    search_fields = ("name",)
    readonly_fields = ("blocked_until", "created_at")
    list_per_page = 50

    @display(description="from level", ordering="min_level", label=LEVEL_COLOURS)
    def min_level_shown(self, channel: Channel) -> str:
        return channel.min_level


class DeliveryInline(ReadOnlyMixin, TabularInline):
    model = Delivery
    extra = 0
    fields = ("channel_name", "state", "tries", "next_try_at", "sent_at", "answer", "error")
    readonly_fields = fields


@admin.register(Notification)
class NotificationAdmin(ReadOnlyMixin, ModelAdmin):
    list_display = (
        "created_at", "level_shown", "kind", "title", "container", "project", "host", "state_shown", "reason",
    )  # fmt: skip
    list_display_links = ("title",)
    list_filter = ("level", "kind", "state", "created_at")
    search_fields = ("title", "container", "project", "service", "host", "alert_key")
    search_help_text = "Title, container, project, service, host or alert key"
    inlines = (DeliveryInline,)
    list_per_page = 50
    show_full_result_count = False

    @display(description="level", ordering="level", label=LEVEL_COLOURS)
    def level_shown(self, notification: Notification) -> str:
        return notification.level

    @display(description="state", ordering="state", label=STATE_COLOURS)
    def state_shown(self, notification: Notification) -> str:
        return notification.state


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyMixin, ModelAdmin):
    list_display = (
        "id", "notification", "channel_name", "state_shown", "tries", "next_try_at", "sent_at", "answer", "error",
    )  # fmt: skip
    list_filter = ("state", "channel_name", "notification__level")
    search_fields = ("notification__title", "notification__container", "channel_name", "error")
    list_select_related = ("notification", "channel")
    list_per_page = 50
    show_full_result_count = False

    @display(description="state", ordering="state", label=STATE_COLOURS)
    def state_shown(self, delivery: Delivery) -> str:
        return delivery.state
