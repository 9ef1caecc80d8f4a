"""Time intervals and inhibit rules, with examples."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget

from notifications.admin.base import AlertingAdmin
from notifications.admin.fields import LabelsField
from notifications.admin.html import badge, items, nothing, preformatted, table
from notifications.admin.looks import ModelForm, display
from notifications.core.errors import ConfigError
from notifications.models import InhibitRule, TimeInterval
from notifications.models.routing import MATCHERS_HELP

_INTERVALS = (
    (
        "working hours in Berlin",
        [
            {
                "weekdays": ["monday:friday"],
                "times": [{"start_time": "09:00", "end_time": "17:00"}],
                "location": "Europe/Berlin",
            }
        ],
    ),
    (
        "nights, across midnight",
        [
            {
                "times": [
                    {"start_time": "22:00", "end_time": "24:00"},
                    {"start_time": "00:00", "end_time": "07:00"},
                ],
                "location": "Asia/Shanghai",
            }
        ],
    ),
    ("weekends", [{"weekdays": ["saturday", "sunday"]}]),
    ("the last three days of each quarter", [{"days_of_month": ["-3:-1"], "months": ["3", "6", "9", "12"]}]),
)
_RULES = (
    (
        "a host that is down mutes its containers",
        'alertname="host_down"',
        'alertname=~"container_failed|quarantined"',
        "host",
    ),
    (
        "what is critical mutes warnings of the same service",
        'severity="critical"',
        'severity="warning"',
        "project, service",
    ),
)
_MATCHERS_WIDGET: dict[str, Any] = {"rows": "3", "spellcheck": "false"}


class IndentedJsonField(forms.JSONField):
    """JSON that a person can read."""

    def prepare_value(self, value: Any) -> Any:
        text = super().prepare_value(value)
        try:
            return json.dumps(json.loads(text), indent=2, ensure_ascii=False) if value is not None else text
        except (TypeError, ValueError):
            return text


class TimeIntervalForm(ModelForm):
    """Times in Alertmanager's own shape."""

    spec = IndentedJsonField(
        label="Times",
        help_text="A list, any of which may hold; within one, all that it names must hold. Fields: times, weekdays, "
        "days_of_month, months, years, location (a time zone; without it UTC).",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": "14", "spellcheck": "false", "class": "font-mono"}),
    )

    class Meta:
        model = TimeInterval
        exclude = ()


@admin.register(TimeInterval)
class TimeIntervalAdmin(AlertingAdmin):
    """Times at which routes are quiet, or active."""

    form = TimeIntervalForm
    list_display = ("name", "holds_shown", "routes_shown")
    search_fields = ("name",)
    readonly_fields = ("holds_page", "examples_page")
    fieldsets = (
        (None, {"fields": ("name", "spec", "holds_page")}),
        ("Examples", {"fields": ("examples_page",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[TimeInterval]:
        queryset: QuerySet[TimeInterval] = super().get_queryset(request)
        return queryset.prefetch_related("muting", "activating")

    @display(description="now")
    def holds_shown(self, interval: TimeInterval) -> SafeString:
        if not interval.pk:
            return nothing()
        try:
            holds = any(each.contains(timezone.now()) for each in interval.intervals())
        except ConfigError as error:
            return preformatted(str(error))
        return badge("holds" if holds else "does not hold", {"holds": "success"})

    @display(description="now")
    def holds_page(self, interval: TimeInterval) -> SafeString:
        return self.holds_shown(interval)

    @display(description="used by")
    def routes_shown(self, interval: TimeInterval) -> SafeString:
        mute = [f"{route.name} is quiet" for route in interval.muting.all()]
        return items([*mute, *(f"{route.name} is active only then" for route in interval.activating.all())])

    @display(description="examples")
    def examples_page(self, interval: TimeInterval) -> SafeString:
        return table(
            ("", ""), [(name, preformatted(json.dumps(spec, indent=2))) for name, spec in _INTERVALS]
        )


class InhibitRuleForm(ModelForm):
    """Labels as people write them."""

    source_matchers = forms.CharField(
        help_text=f"Of the alert that mutes, while it fires. {MATCHERS_HELP}",
        widget=UnfoldAdminTextareaWidget(attrs=_MATCHERS_WIDGET),
    )
    target_matchers = forms.CharField(
        help_text="Of the alerts that are muted.", widget=UnfoldAdminTextareaWidget(attrs=_MATCHERS_WIDGET)
    )
    equal = LabelsField(
        nothing=[],
        help_text="Names of labels that both must have with the same value, such as host, project. Without any, one alert "
        "mutes all that the target matches.",
    )

    class Meta:
        model = InhibitRule
        exclude = ()


@admin.register(InhibitRule)
class InhibitRuleAdmin(AlertingAdmin):
    """Which alerts are symptoms of which."""

    form = InhibitRuleForm
    list_display = ("name", "source_shown", "target_shown", "equal_shown", "enabled")
    list_filter = ("enabled",)
    search_fields = ("name", "source_matchers", "target_matchers")
    readonly_fields = ("examples_page",)
    fieldsets = (
        (None, {"fields": (("name", "enabled"), "source_matchers", "target_matchers", "equal")}),
        ("Examples", {"fields": ("examples_page",)}),
    )

    @display(description="while this fires")
    def source_shown(self, rule: InhibitRule) -> SafeString:
        return items(rule.source_matchers.splitlines())

    @display(description="this is muted")
    def target_shown(self, rule: InhibitRule) -> SafeString:
        return items(rule.target_matchers.splitlines())

    @display(description="with the same")
    def equal_shown(self, rule: InhibitRule) -> str:
        return ", ".join(rule.equal) or "–"

    @display(description="examples")
    def examples_page(self, rule: InhibitRule) -> SafeString:
        return table(("", "source matchers", "target matchers", "equal"), _RULES)
