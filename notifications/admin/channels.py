"""Channels: choose a kind, fill in its settings, send a test."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from notifications.admin import kinds, typed
from notifications.admin.base import LEVEL_COLOURS, AlertingAdmin
from notifications.admin.html import ago, badge, nothing, table
from notifications.admin.looks import BaseDialogForm, ModelForm, action, display
from notifications.admin.settings_form import (
    SettingsMixin,
    field_names,
    settings_form,
    shown_settings,
    unreadable,
)
from notifications.admin.testing import Answer, send_test
from notifications.core.noise import Tell
from notifications.models import Channel
from notifications.models.choices import Digest

_TEST_DIALOG: Any = {
    "title": "Send a test",
    "description": "A made-up message, marked as a test, goes to this channel now. People may be called by it.",
    "form_class": BaseDialogForm,
    "form_submit_text": "Send",
}
_NO_DIGEST = (
    "Heals that work at the first attempt are left to the digest, and this channel gets none: "
    "choose a digest too, or it will not hear of them."
)
_PRIVATE = "This channel may call private addresses: only superusers may change where it sends to."
_MODEL_ONLY = ("config", "kind")


class ChannelForm(SettingsMixin, ModelForm):
    """A channel with the settings of its kind."""

    class Meta:
        model = Channel
        exclude = _MODEL_ONLY

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_refused = False
        self.instance.kind = self.kind or self.instance.kind
        if "backup" in self.fields and self.instance.pk:
            backup: Any = self.fields["backup"]
            backup.queryset = backup.queryset.exclude(pk=self.instance.pk)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        self._is_refused = bool(self.errors)
        if "config" in cleaned:
            self._refuse_private(cleaned["config"])
            self.instance.config = cleaned["config"]
        return cleaned

    def _refuse_private(self, config: dict[str, Any]) -> None:
        """Who may not open the way to private networks does not turn one that is open elsewhere."""
        is_open = self.instance.allow_private and "allow_private" not in self.fields
        if is_open and self.leads_elsewhere(config):
            self.add_error(None, _PRIVATE)

    def _update_errors(self, errors: ValidationError) -> None:
        """What the model says of fields that this form does not have is said already, or said at the top."""
        found: dict[str, Any] = getattr(errors, "error_dict", {})
        texts = [text for name in _MODEL_ONLY for text in found.pop(name, [])]
        if texts and not self._is_refused:
            found.setdefault(NON_FIELD_ERRORS, []).extend(texts)
        super()._update_errors(errors)  # type: ignore[misc]


@admin.register(Channel)
class ChannelAdmin(AlertingAdmin):
    """One configured way to reach people."""

    list_display = (
        "name", "kind_shown", "min_level_shown", "tell", "enabled", "state_shown", "backup", "digest",
    )  # fmt: skip
    list_select_related = ("backup",)
    list_filter = ("kind", "min_level", "enabled", "language")
    search_fields = ("name", "kind")
    readonly_fields = (
        "kind_page", "settings_page", "test_page", "failing_since", "blocked_until", "disabled_reason", "created_at",
    )  # fmt: skip
    actions = ("enable_selected", "disable_selected")
    actions_detail = ("send_test_this",)
    actions_row = ("send_test_this",)

    def get_urls(self) -> list[URLPattern]:
        test = self.admin_site.admin_view(require_POST(self.test_typed))
        urls: list[URLPattern] = super().get_urls()
        return [path("test/", test, name="notifications_channel_test"), *urls]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Programs are set up by superusers only; who may change other channels sees them."""
        if isinstance(obj, Channel) and obj.kind in kinds.FOR_SUPERUSERS and not _is_superuser(request):
            return False
        return bool(super().has_change_permission(request, obj))

    def get_readonly_fields(self, request: HttpRequest, obj: Channel | None = None) -> Any:
        """Only superusers open the way to private networks: the answers of what is there are shown."""
        own = () if _is_superuser(request) else ("allow_private",)
        return (*super().get_readonly_fields(request, obj), *own)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """First the kind, then its form."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.GET.get("kind") not in kinds.offered(_is_superuser(request)):
            return self._choose_kind(request)
        response: HttpResponse = super().add_view(request, form_url, extra_context)
        return response

    def _choose_kind(self, request: HttpRequest) -> HttpResponse:
        rest = {name: str(value) for name, value in request.GET.items() if name != "kind"}
        groups = [
            (title, [(kind, urlencode({**rest, "kind": kind.name})) for kind in group])
            for title, group in kinds.groups(_is_superuser(request))
        ]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Add channel",
            "groups": groups,
        }
        return TemplateResponse(request, "notifications/admin/channel_kinds.html", context)

    def get_form(
        self, request: HttpRequest, obj: Channel | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if self._may_write(request, obj):
            kwargs["form"] = self._form_class(request, obj)
        return super().get_form(request, obj, change, **kwargs)

    def _form_class(self, request: HttpRequest, channel: Channel | None) -> type[ChannelForm]:
        return settings_form(self._kind(request, channel), channel, ChannelForm)

    def _kind(self, request: HttpRequest, channel: Channel | None) -> str:
        return channel.kind if channel is not None else request.GET.get("kind", "")

    def _may_write(self, request: HttpRequest, channel: Channel | None) -> bool:
        if channel is None:
            return bool(self.has_add_permission(request))
        return bool(self.has_change_permission(request, channel))

    def get_fieldsets(self, request: HttpRequest, obj: Channel | None = None) -> Any:
        may_write = self._may_write(request, obj)
        settings: list[Any] = ["settings_page"]
        if may_write:
            settings = field_names(self._kind(request, obj), self._form_class(request, obj))
        parts: list[Any] = [
            (None, {"fields": ("name", "kind_page", "enabled")}),
            ("Settings", {"fields": (*settings, "allow_private"), "description": unreadable(obj)}),
            ("Test", {"fields": ("test_page",)}) if may_write else None,
            ("What it is told", {"fields": ("min_level", "tell", "send_resolved", "digest")}),
            ("In which words", {"fields": (("language", "template"),)}),
            ("Limit and backup", {"fields": (("rate_limit", "rate_window"), "backup")}),
        ]
        if obj is not None:
            state = ("disabled_reason", ("failing_since", "blocked_until"), "created_at")
            parts.append(("State", {"fields": state}))
        return [part for part in parts if part is not None]

    def save_model(self, request: HttpRequest, obj: Channel, form: Any, change: bool) -> None:
        """What the sending of messages writes meanwhile stays as it is, but for a channel that is enabled again."""
        if obj.tell == Tell.FIRST_HEALS_IN_DIGEST and obj.digest == Digest.NONE:
            self.message_user(request, _NO_DIGEST, messages.WARNING)
        if not change:
            super().save_model(request, obj, form, change)
            return
        written = [field.name for field in obj._meta.concrete_fields if field.name in form.fields]
        obj.save(update_fields=[*written, "config"])
        if obj.enabled and "enabled" in form.changed_data:
            _forget_failures(Channel.objects.filter(pk=obj.pk))

    def test_typed(self, request: HttpRequest) -> HttpResponse:
        """The answer to the button in the form, for what stands in its fields; nothing is saved."""
        channel = None
        if "channel" in request.GET:
            channel = self.get_object(request, request.GET["channel"])
            if channel is None:
                raise Http404
        if not self._may_write(request, channel):
            raise PermissionDenied
        kind = self._kind(request, channel)
        if channel is None and kind not in kinds.offered(_is_superuser(request)):
            raise Http404
        if channel is not None:
            self.note(request, [channel], "Test with values that are not saved.")
        form = settings_form(kind, channel, typed.TypedForm)(request.POST)
        allowed = None if _is_superuser(request) else bool(channel and channel.allow_private)
        return HttpResponse(typed.answer_to(form, allowed))

    @display(description="test")
    def test_page(self, channel: Channel) -> SafeString:
        return typed.button(channel=channel.pk) if channel.pk else typed.button(kind=channel.kind)

    @display(description="kind")
    def kind_page(self, channel: Channel) -> str:
        return kinds.kind_of(channel.kind).title

    @display(description="settings")
    def settings_page(self, channel: Channel) -> SafeString:
        return table(("", ""), shown_settings(channel))

    @display(description="kind", ordering="kind")
    def kind_shown(self, channel: Channel) -> str:
        return kinds.kind_of(channel.kind).title

    @display(description="from level", ordering="min_level", label=LEVEL_COLOURS)
    def min_level_shown(self, channel: Channel) -> str:
        return channel.min_level

    @display(description="state", ordering="failing_since")
    def state_shown(self, channel: Channel) -> SafeString:
        if channel.disabled_reason:
            return format_html(
                '{}<div class="sh-error">{}</div>',
                badge("disabled", {"disabled": "danger"}),
                channel.disabled_reason,
            )
        if channel.failing_since is not None:
            return format_html("{} {}", badge("failing", {"failing": "danger"}), ago(channel.failing_since))
        return badge("works", {"works": "success"}) if channel.enabled else nothing()

    @action(description="Send a test", permissions=["change"], icon="send", dialog=_TEST_DIALOG)
    def send_test_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        channel = self.get_object(request, object_id)
        if channel is not None:
            if not self.has_change_permission(request, channel):
                raise PermissionDenied
            answer = send_test(channel, timezone.now())
            self.note(request, [channel], "Test sent." if answer.is_sent else "Test failed.")
            self.message_user(request, *_told(channel.name, answer))
        return self.back(request, object_id)

    @action(description="Enable", permissions=["change"])
    def enable_selected(self, request: HttpRequest, queryset: QuerySet[Channel]) -> None:
        rows = self._changeable(request, queryset.exclude(enabled=True))
        _forget_failures(Channel.objects.filter(pk__in=[row.pk for row in rows]))
        self._switched(request, rows, "Enabled")

    @action(description="Disable", permissions=["change"])
    def disable_selected(self, request: HttpRequest, queryset: QuerySet[Channel]) -> None:
        rows = self._changeable(request, queryset.exclude(enabled=False))
        Channel.objects.filter(pk__in=[row.pk for row in rows]).update(enabled=False)
        self._switched(request, rows, "Disabled")

    def _changeable(self, request: HttpRequest, queryset: QuerySet[Channel]) -> list[Channel]:
        """Those that this person may change; that others were left is told."""
        rows = list(queryset)
        own = [row for row in rows if self.has_change_permission(request, row)]
        if len(own) < len(rows):
            left = f"Left {len(rows) - len(own)} channels as they are: only superusers may change those."
            self.message_user(request, left, messages.ERROR)
        return own

    def _switched(self, request: HttpRequest, rows: list[Channel], word: str) -> None:
        self.note(request, rows, f"{word}.")
        self.message_user(request, f"{word} {len(rows)} channels.", messages.SUCCESS)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


def _forget_failures(channels: QuerySet[Channel]) -> None:
    """Begin anew with channels that a person enables."""
    channels.update(enabled=True, disabled_reason="", failing_since=None, blocked_until=None)


def _told(name: str, answer: Answer) -> tuple[str, int]:
    if answer.is_sent:
        return f"{name}: sent, and the answer was: {answer.text}", messages.SUCCESS
    return f"{name}: not sent: {answer.text}", messages.ERROR
