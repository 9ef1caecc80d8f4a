"""The route tree: a list in the order in which routes are asked, and what each inherits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget

from notifications import routes
from notifications.admin.base import AlertingAdmin
from notifications.admin.fields import DURATION_HELP, ONE_GROUP, DurationField, LabelsField
from notifications.admin.html import items, muted, nothing, row_link, span
from notifications.admin.looks import ChangeList, ModelForm, TabularInline, action, display
from notifications.admin.trying import try_page
from notifications.core.routing import GROUP_INTERVAL, GROUP_WAIT, REPEAT_INTERVAL
from notifications.models import EscalationStep, Route
from notifications.models.routing import MATCHERS_HELP

_INHERITED = ("receiver", "group_by", "group_wait", "group_interval", "repeat_interval")
_TIMINGS = ("group_wait", "group_interval", "repeat_interval")
_DEFAULTS: dict[str, Any] = {
    "receiver": None,
    "group_by": routes.DEFAULT_GROUP_BY,
    "group_wait": GROUP_WAIT,
    "group_interval": GROUP_INTERVAL,
    "repeat_interval": REPEAT_INTERVAL,
}
_MOST = 1000
_GROUP_BY_HELP = (
    "Names of labels, such as alertname, project: alerts with the same values come in one message. ... alone: each alert "
    f"by itself. {ONE_GROUP} alone: all in one. Empty: as the parent."
)


def in_tree_order(rows: Iterable[Route]) -> list[Any]:
    """The routes as they are asked, depth first. Each gets `depth`, and `effective`: what holds for it, and whether that is
    inherited.
    """
    children: dict[int | None, list[Route]] = {}
    for row in rows:
        children.setdefault(row.parent_id, []).append(row)
    return list(_below(children, None, 0, _DEFAULTS))


def _below(
    children: dict[int | None, list[Route]], parent: int | None, depth: int, above: dict[str, Any]
) -> Iterator[Any]:
    for row in children.get(parent, []):
        own = {name: getattr(row, name) for name in _INHERITED}
        values = {name: above[name] if own[name] is None else own[name] for name in _INHERITED}
        row.depth = depth  # type: ignore[attr-defined]
        row.effective = {name: (values[name], own[name] is None) for name in _INHERITED}  # type: ignore[attr-defined]
        yield row
        yield from _below(children, row.pk, depth + 1, values)


class TreeChangeList(ChangeList):
    """The list as a tree, on one page."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list: Any = in_tree_order(self.result_list)


class RouteForm(ModelForm):
    """Durations and labels as people write them."""

    group_by = LabelsField(nothing=None, help_text=_GROUP_BY_HELP)
    group_wait = DurationField(
        required=False,
        help_text=f"Before a new group's first message; critical ones do not wait. {DURATION_HELP}",
    )
    group_interval = DurationField(
        required=False, help_text=f"Between two messages of a group that has changed. {DURATION_HELP}"
    )
    repeat_interval = DurationField(
        required=False, help_text=f"Until an unchanged group is told again. {DURATION_HELP}"
    )
    matchers = forms.CharField(
        required=False,
        help_text=f"{MATCHERS_HELP} All must match; none at all matches everything.",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": "4", "spellcheck": "false"}),
    )

    class Meta:
        model = Route
        exclude = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        inherited = _inherited_by(self.instance)
        for name in _TIMINGS:
            if name in self.fields:
                self.fields[name].widget.attrs["placeholder"] = span(inherited[name])
        if self.instance.parent_id is None and self.instance.pk:
            for name in self.fields.keys() & {"parent", "matchers", "enabled"}:
                self.fields[name].disabled = True


def _inherited_by(route: Route) -> dict[str, Any]:
    """What an empty field of this route means."""
    if route.parent_id is None:
        return _DEFAULTS
    rows = {row.pk: row for row in in_tree_order(Route.objects.select_related("receiver"))}
    parent = rows.get(route.parent_id)
    return {name: value for name, (value, _) in parent.effective.items()} if parent else _DEFAULTS


class EscalationForm(ModelForm):
    """One step."""

    after = DurationField(help_text="After the first message; an acknowledgement stops it.")

    class Meta:
        model = EscalationStep
        exclude = ()


class EscalationInline(TabularInline):
    """Who else is told while nobody acknowledges."""

    model = EscalationStep
    form = EscalationForm
    fields = ("after", "receiver")
    extra = 0
    hide_title = True
    verbose_name = "escalation step"
    verbose_name_plural = "Escalation: who else is told while nobody acknowledges"


@admin.register(Route)
class RouteAdmin(AlertingAdmin):
    """One node of the route tree."""

    form = RouteForm
    list_display = (
        "name_shown", "matchers_shown", "receiver_shown", "group_by_shown", "timings_shown", "times_shown",
        "steps_shown",
    )  # fmt: skip
    list_display_links = ("name_shown",)
    list_per_page = list_max_show_all = _MOST
    sortable_by = ()
    actions = None
    actions_list = ("try_alert",)
    autocomplete_fields = ("receiver", "mute_intervals", "active_intervals")
    inlines = (EscalationInline,)
    fieldsets = (
        (None, {"fields": (("name", "enabled"), ("parent", "position"), "matchers", "continue_matching")}),
        ("Who is told", {"fields": ("receiver",)}),
        ("In which messages", {"fields": ("group_by", ("group_wait", "group_interval"), "repeat_interval")}),
        ("At which times", {"fields": ("mute_intervals", "active_intervals")}),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return TreeChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Route]:
        queryset: QuerySet[Route] = super().get_queryset(request)
        related = ("mute_intervals", "active_intervals", "escalation__receiver")
        return queryset.select_related("receiver", "parent").prefetch_related(*related)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        top = routes.root()
        last = (
            Route.objects.filter(parent=top).order_by("-position").values_list("position", flat=True).first()
        )
        return {
            "parent": top.pk,
            "position": (last or 0) + 10,
            **super().get_changeform_initial_data(request),
        }

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        routes.root()
        response: HttpResponse = super().changelist_view(request, extra_context)
        return response

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The root stays: every alert needs a way."""
        if isinstance(obj, Route) and obj.parent_id is None:
            return False
        return bool(super().has_delete_permission(request, obj))

    @action(description="Try an alert", permissions=["view"], icon="alt_route", url_path="try")
    def try_alert(self, request: HttpRequest) -> HttpResponse:
        return try_page(self, request)

    @display(description="route")
    def name_shown(self, route: Any) -> SafeString:
        name = format_html('<span class="{}">{}</span>', "" if route.enabled else "nt-off", route.name)
        branch = format_html('<span class="nt-branch">└</span> ', "") if route.depth else ""
        indent = max(route.depth - 1, 0) * 1.25
        return format_html(
            '<span class="nt-tree" style="padding-left: {}rem">{}{}</span>', indent, branch, name
        )

    @display(description="matches")
    def matchers_shown(self, route: Any) -> SafeString:
        if route.parent_id is None:
            return muted("what no other route takes")
        lines = [line for line in route.matchers.splitlines() if line.strip()] or ["everything"]
        more = " (and goes on)" if route.continue_matching else ""
        return format_html("{}{}", items(lines), more)

    @display(description="receiver")
    def receiver_shown(self, route: Any) -> SafeString:
        receiver, is_inherited = route.effective["receiver"]
        if receiver is None:
            return muted("every enabled channel")
        return muted(receiver.name) if is_inherited else row_link(receiver)

    @display(description="group by")
    def group_by_shown(self, route: Any) -> Any:
        names, is_inherited = route.effective["group_by"]
        text = {(): "all in one", ("...",): "each by itself"}.get(tuple(names), ", ".join(names))
        return muted(text) if is_inherited and route.depth else text

    @display(description="wait / interval / repeat")
    def timings_shown(self, route: Any) -> SafeString:
        parts = [_timing(*route.effective[name], grey=route.depth > 0) for name in _TIMINGS]
        return format_html('<span class="sh-ago">{} / {} / {}</span>', *parts)

    @display(description="times")
    def times_shown(self, route: Any) -> SafeString:
        quiet = [f"not in {interval.name}" for interval in route.mute_intervals.all()]
        return items([*quiet, *(f"only in {interval.name}" for interval in route.active_intervals.all())])

    @display(description="escalation")
    def steps_shown(self, route: Any) -> SafeString:
        steps = [f"{step.receiver.name} after {span(step.after)}" for step in route.escalation.all()]
        return items(steps) if steps else nothing()


def _timing(value: Any, is_inherited: bool, *, grey: bool) -> Any:
    return muted(span(value)) if is_inherited and grey else span(value)
