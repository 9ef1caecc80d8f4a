"""What fires now and in which groups it is: acknowledged, silenced, followed on its way."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from notifications import acknowledging, mutes, silencing
from notifications.admin.base import LEVEL_COLOURS, ReadOnlyAdmin
from notifications.admin.html import ago, badge, items, nothing, pairs, row_link
from notifications.admin.looks import BaseDialogForm, ChangeList, action, display
from notifications.admin.silences import new_silence_url
from notifications.admin.trying import muted_by, values_of
from notifications.core.errors import ConfigError
from notifications.models import ActiveAlert

_ACK_DIALOG: Any = {
    "title": "Acknowledge",
    "description": "You take it on: it is not repeated and does not escalate, unless its level rises. Its end is told.",
    "form_class": BaseDialogForm,
    "form_submit_text": "Acknowledge",
}
_UNACK_DIALOG: Any = {
    "title": "Take back the acknowledgement",
    "description": "Repeats and escalation go on.",
    "form_class": BaseDialogForm,
    "form_submit_text": "Take back",
}
_HOUR_DIALOG: Any = {
    "title": "Silence for 1 hour",
    "description": "Alerts with the same name, host, project, service and container are not told for an hour.",
    "form_class": BaseDialogForm,
    "form_submit_text": "Silence",
}


class FiringFilter(admin.SimpleListFilter):
    """What fires, unless something else is asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("firing", "firing"), ("ended", "ended"), ("all", "all")]

    def choices(self, changelist: Any) -> Any:
        """Without Django's own "All": nothing chosen means what fires."""
        for value, title in self.lookup_choices:
            yield {
                "selected": (self.value() or "firing") == value,
                "query_string": changelist.get_query_string({self.parameter_name: value}),
                "display": title,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet[ActiveAlert]) -> QuerySet[ActiveAlert]:
        if self.value() == "all":
            return queryset
        return queryset.filter(ends_at__isnull=self.value() != "ended")


class MutedChangeList(ChangeList):
    """Each row with what mutes it now; all that can mute is read once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        found = mutes.read(timezone.now())
        self.result_list: Any = list(self.result_list)
        for alert in self.result_list:
            alert.muted_now = found.of_alert(alert) if alert.ends_at is None else None


class SilencingMixin(ReadOnlyAdmin):
    """Leads from a row to the form of a silence that is filled in from it."""

    def has_silence_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("notifications.add_silence"))

    def to_silence_form(self, request: HttpRequest, alert: ActiveAlert | None) -> HttpResponse:
        """Back to the list where there is none to be made."""
        back = reverse(f"admin:notifications_{self.opts.model_name}_changelist")
        if alert is None:
            return HttpResponseRedirect(back)
        try:
            return HttpResponseRedirect(new_silence_url([alert], ""))
        except ConfigError as error:
            self.message_user(request, f"{error.reason}.", messages.ERROR)
            return HttpResponseRedirect(back)


@admin.register(ActiveAlert)
class ActiveAlertAdmin(SilencingMixin):
    """One thing that is told of, while it fires and for a while after."""

    list_display = (
        "level_shown", "title_shown", "where_shown", "since_shown", "acknowledged_shown", "groups_shown",
        "muted_shown",
    )  # fmt: skip
    list_display_links = ("title_shown",)
    list_filter = (
        FiringFilter,
        "level",
        "alertname",
        ("acknowledged_at", admin.EmptyFieldListFilter),
        "is_flapping",
    )
    search_fields = (
        "alert_key",
        "alertname",
        "notification__title",
        "notification__container",
        "notification__host",
    )
    ordering = (F("ends_at").desc(nulls_first=True), "-starts_at", "-pk")
    actions = ("acknowledge_selected", "silence_selected")
    actions_row = ("acknowledge_this", "silence_hour_this", "silence_this", "way_this")
    actions_detail = (
        "acknowledge_this",
        "unacknowledge_this",
        "silence_hour_this",
        "silence_this",
        "way_this",
    )
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("level_page", "alertname"), "notification_page", ("starts_at", "ends_at"), "muted_page",
                    "acknowledged_page", "labels_page", "groups_page", "depends_page", "flapping_page", "alert_key",
                )
            },
        ),
    )  # fmt: skip

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """To acknowledge, or to take it back: only one of them makes sense."""
        taken = self.chosen(request, object_id).filter(acknowledged_at__isnull=False).exists()
        senseless = "_acknowledge_this" if taken else "_unacknowledge_this"
        found: list[Any] = super().get_actions_detail(request, object_id)  # type: ignore[misc]
        return [each for each in found if not each.action_name.endswith(senseless)]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return MutedChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[ActiveAlert]:
        queryset: QuerySet[ActiveAlert] = super().get_queryset(request)
        return queryset.select_related("notification").prefetch_related("memberships__group__route")

    def has_acknowledge_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("notifications.change_activealert"))

    def has_try_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("notifications.view_route"))

    @display(description="level", ordering="level", label=LEVEL_COLOURS)
    def level_shown(self, alert: ActiveAlert) -> str:
        return alert.level

    @display(description="alert", ordering="notification__title")
    def title_shown(self, alert: ActiveAlert) -> SafeString:
        return format_html('<div class="nt-wide">{}</div>', alert.notification.title)

    @display(description="where")
    def where_shown(self, alert: ActiveAlert) -> SafeString:
        return format_html('<div class="nt-wide">{}</div>', where(alert.labels))

    @display(description="since", ordering="starts_at")
    def since_shown(self, alert: ActiveAlert) -> SafeString:
        flaps = badge("flapping", {"flapping": "warning"}) if alert.is_flapping else ""
        if alert.ends_at is not None:
            return format_html("ended {}", ago(alert.ends_at))
        return format_html("{} {}", ago(alert.starts_at), flaps)

    @display(description="acknowledged by", ordering="acknowledged_at")
    def acknowledged_shown(self, alert: ActiveAlert) -> SafeString:
        if alert.acknowledged_at is None:
            return nothing()
        return format_html("{}, {}", alert.acknowledged_by, ago(alert.acknowledged_at))

    @display(description="groups")
    def groups_shown(self, alert: ActiveAlert) -> SafeString:
        return items(row_link(member.group, member.group.route_name) for member in alert.memberships.all())

    @display(description="muted now")
    def muted_shown(self, alert: Any) -> SafeString:
        return format_html('<div class="nt-wide">{}</div>', muted_by(alert.muted_now))

    @display(description="muted now")
    def muted_page(self, alert: ActiveAlert) -> SafeString:
        return muted_by(mutes.read(timezone.now()).of_alert(alert)) if alert.ends_at is None else nothing()

    @display(description="level")
    def level_page(self, alert: ActiveAlert) -> SafeString:
        return badge(alert.level, LEVEL_COLOURS)

    @display(description="newest notification")
    def notification_page(self, alert: ActiveAlert) -> SafeString:
        return row_link(alert.notification, alert.notification.title)

    @display(description="acknowledged by")
    def acknowledged_page(self, alert: ActiveAlert) -> SafeString:
        return self.acknowledged_shown(alert)

    @display(description="labels")
    def labels_page(self, alert: ActiveAlert) -> SafeString:
        return pairs(alert.labels)

    @display(description="groups")
    def groups_page(self, alert: ActiveAlert) -> SafeString:
        return items(row_link(member.group) for member in alert.memberships.all())

    @display(description="muted while these fire")
    def depends_page(self, alert: ActiveAlert) -> SafeString:
        return items(alert.depends_on)

    @display(description="began lately")
    def flapping_page(self, alert: ActiveAlert) -> SafeString:
        return items(alert.changes)

    @action(description="Acknowledge", permissions=["acknowledge"])
    def acknowledge_selected(self, request: HttpRequest, queryset: QuerySet[ActiveAlert]) -> None:
        self._acknowledge(request, list(queryset))

    @action(description="Acknowledge", permissions=["acknowledge"], icon="task_alt", dialog=_ACK_DIALOG)
    def acknowledge_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        self._acknowledge(request, list(self.chosen(request, object_id)))
        return self.back(request, object_id)

    @action(description="Take back", permissions=["acknowledge"], icon="undo", dialog=_UNACK_DIALOG)
    def unacknowledge_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        rows = list(self.chosen(request, object_id))
        number = acknowledging.unacknowledge(rows)
        self.note(request, rows if number else [], "Acknowledgement taken back.")
        self.message_user(request, f"Taken back for {number} alerts.", messages.SUCCESS)
        return self.back(request, object_id)

    @action(description="Silence for 1 h", permissions=["silence"])
    def silence_selected(self, request: HttpRequest, queryset: QuerySet[ActiveAlert]) -> None:
        self._silence(request, list(queryset))

    @action(
        description="Silence for 1 h",
        permissions=["silence"],
        icon="notifications_paused",
        dialog=_HOUR_DIALOG,
    )
    def silence_hour_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        self._silence(request, list(self.chosen(request, object_id)))
        return self.back(request, object_id)

    @action(description="Silence…", permissions=["silence"], icon="notifications_off")
    def silence_this(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The form of a silence, filled in."""
        return self.to_silence_form(request, self.chosen(request, object_id).first())

    @action(description="Which way?", permissions=["try"], icon="alt_route")
    def way_this(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The page that explains which way it goes."""
        alert = self.chosen(request, object_id).first()
        url = reverse("admin:notifications_route_try_alert")
        return HttpResponseRedirect(f"{url}?{urlencode(values_of(alert))}" if alert else url)

    def _acknowledge(self, request: HttpRequest, alerts: list[ActiveAlert]) -> None:
        number = acknowledging.acknowledge(alerts, request.user.get_username(), timezone.now())
        self.note(request, alerts if number else [], "Acknowledged.")
        left = len(alerts) - number
        rest = f" {left} were left: ended, taken on by somebody else, or changed meanwhile." if left else ""
        self.message_user(
            request, f"Acknowledged {number} alerts.{rest}", messages.SUCCESS if number else messages.WARNING
        )

    def _silence(self, request: HttpRequest, alerts: list[ActiveAlert]) -> None:
        try:
            silence = silencing.silence_alerts(
                alerts, request.user.get_username(), "silenced in the admin", timezone.now()
            )
        except ConfigError as error:
            self.message_user(request, f"{error.reason}.", messages.ERROR)
            return
        self.note(request, alerts, f"Silenced by silence #{silence.pk}.")
        self.message_user(
            request,
            f"Silence #{silence.pk} until {localize(timezone.localtime(silence.ends_at))}.",
            messages.SUCCESS,
        )


def where(labels: Any) -> str:
    """The place that labels tell, from the project to the host."""
    names = [labels.get(name) for name in ("project", "service", "container")]
    place = " / ".join(dict.fromkeys(name for name in names if name))
    host = labels.get("host") or ""
    return f"{place} @ {host}" if place and host else place or host or "–"
