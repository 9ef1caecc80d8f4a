"""The page "Try an alert": which way a made-up alert would go now, and why it would not go another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from notifications.admin.base import AlertingAdmin
from notifications.admin.html import badge, items, nothing, pairs, row_link, span, table
from notifications.core.alert import Alert, AlertLevel
from notifications.core.muting import SILENCE, Muted
from notifications.explaining import ChannelVerdict, ExplainedWay, Explanation, Passage, explain
from notifications.models import ActiveAlert, Silence
from notifications.models.choices import choices

MADE_UP = "made-up"
_CSS = {
    Passage.TAKES: "nt-takes",
    Passage.LEADS: "nt-leads",
    Passage.NO_MATCH: "nt-no",
    Passage.UNASKED: "nt-no",
}
_ICONS = {
    Passage.TAKES: "check_circle",
    Passage.LEADS: "arrow_downward",
    Passage.NO_MATCH: "close",
    Passage.UNASKED: "remove",
}
_NAMES = ("alertname", "host", "project", "service", "container", "tenant", "failure_type")
_SENT = {"told": "success", "not told": "danger"}


def _text(help_text: str = "") -> forms.CharField:
    return forms.CharField(
        required=False, max_length=255, help_text=help_text, widget=UnfoldAdminTextInputWidget
    )


class TryForm(forms.Form):
    """A made-up alert; with `alert`, one that is active stands in the fields."""

    level = forms.ChoiceField(choices=choices(AlertLevel), initial="critical", widget=UnfoldAdminSelectWidget)
    alertname = _text("Such as container_failed, quarantined, host_down.")
    host = _text()
    project = _text()
    service = _text()
    container = _text()
    tenant = _text()
    failure_type = _text("Such as container_stopped, health_check_failed.")
    labels = forms.CharField(
        required=False,
        label="Further labels",
        help_text="One a line: team=shop.",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": "3", "spellcheck": "false"}),
    )
    alert = forms.ModelChoiceField(ActiveAlert.objects.all(), required=False, widget=forms.HiddenInput)

    def clean_labels(self) -> dict[str, str]:
        labels = {}
        for number, line in enumerate(self.cleaned_data["labels"].splitlines(), 1):
            name, sign, value = line.partition("=")
            if line.strip() and not (sign and name.strip()):
                raise forms.ValidationError(f"Line {number}: write a label as name=value.")
            if line.strip():
                labels[name.strip()] = value.strip().strip('"')
        return labels

    def made_up(self) -> Alert:
        values = self.cleaned_data
        active: ActiveAlert | None = values["alert"]
        return Alert(
            level=values["level"],
            title="made up",
            alert_key=active.alert_key if active else MADE_UP,
            depends_on=tuple(active.depends_on) if active else (),
            labels=values["labels"],
            **{name: values[name] for name in _NAMES},
        )


def values_of(alert: ActiveAlert) -> dict[str, Any]:
    """What the form says of an alert that is active."""
    labels = dict(alert.labels)
    labels.pop("severity", None)
    named = {name: labels.pop(name, "") for name in _NAMES}
    lines = "\n".join(f"{name}={value}" for name, value in labels.items())
    return {**named, "level": alert.level, "labels": lines, "alert": alert.pk}


def try_page(model_admin: AlertingAdmin, request: HttpRequest) -> HttpResponse:
    """The form, and below it what would become of the alert. It tells nobody."""
    form = TryForm(request.GET if "level" in request.GET else None)
    context: dict[str, Any] = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": "Try an alert",
        "form": form,
        "is_fullwidth": "1",
    }
    if form.is_bound and form.is_valid():
        explanation = explain(form.made_up(), timezone.now())
        context |= {
            "labels": pairs(explanation.labels),
            "muted": muted_by(explanation.muted),
            "routes": [_route(verdict) for verdict in explanation.routes],
            "ways": [_way(way) for way in explanation.ways],
            "summary": _summary(explanation),
        }
    return TemplateResponse(request, "notifications/admin/try_alert.html", context)


def _summary(explanation: Explanation) -> str:
    told = sorted({each.channel.name for way in explanation.ways for each in way.channels if each.takes})
    if told:
        return f"It would be told on {', '.join(told)}."
    return "Nobody would be told now."


def _route(verdict: Any) -> Mapping[str, Any]:
    return {
        "verdict": verdict,
        "css": _CSS[verdict.passage],
        "icon": _ICONS[verdict.passage],
        "indent": f"{verdict.depth * 1.25 + 0.5:g}rem",
    }


def _way(way: ExplainedWay) -> Mapping[str, Any]:
    return {"title": " › ".join(way.way.names), "facts": _facts(way), "channels": _channels(way.channels)}


def _facts(way: ExplainedWay) -> list[tuple[str, Any]]:
    receiver: Any = way.receiver or "every enabled channel"
    if way.on_duty and way.on_duty != way.receiver:
        receiver = f"{way.receiver}: {way.on_duty} is on duty"
    timings = (way.way.group_wait, way.way.group_interval, way.way.repeat_interval)
    steps = [f"{name} after {span(after)} without acknowledgement" for after, name in way.escalation]
    return [
        ("Receiver", receiver),
        ("Group", format_html("{}{}", pairs(way.group_labels), _group(way))),
        ("Timings", "wait {}, interval {}, repeat {}".format(*map(span, timings))),
        ("Told first", _when(way)),
        ("Muted now", muted_by(way.muted)),
        ("Escalation", items(steps)),
    ]


def _when(way: ExplainedWay) -> str:
    at = localize(timezone.localtime(way.first_at))
    return f"at once ({at})" if way.is_urgent else at


def _group(way: ExplainedWay) -> SafeString:
    return format_html(" joins {}", row_link(way.group, "an open group")) if way.group else SafeString("")


def muted_by(muted: Muted | None) -> SafeString:
    """What mutes, in words, with a link where it is a silence; a dash for nothing."""
    if muted is None:
        return nothing()
    if muted.kind == SILENCE:
        return row_link(Silence(pk=int(muted.by)), muted.reason)
    return format_html("{}", muted.reason)


def _channels(verdicts: tuple[ChannelVerdict, ...]) -> SafeString:
    if not verdicts:
        return format_html("{}", "There is no channel on this way.")
    rows = [
        (row_link(each.channel), badge("told" if each.takes else "not told", _SENT), each.reason)
        for each in verdicts
    ]
    return table(("channel", "", "why"), rows)
