"""The admin's first page: what is wrong now, and what was done last; each with its reason and a link to all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import truncatechars
from django.urls import reverse
from django.utils.formats import localize
from django.utils.safestring import SafeString

from healing.admin.base import RESULT_COLOURS
from healing.admin.html import ago, badge, link, table
from healing.api.readiness import by_signs
from healing.core.wording import shown
from healing.models import Container, FailureRecord, HealthStatus, Host, HostState, SystemState
from healing.store.clock import db_now

SHOWN, LATELY = 20, 5
_LONGEST = 160


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page; `more` rows are not in its table, but all of them are at `url`."""

    title: str
    table: SafeString
    url: str
    more: int = 0


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The page's context, with what this user may see of what is wrong (about ten statements, and one for each table that is cut)."""
    wrong = [section for section in (_seen(request, *part) for part in _WRONG) if section]
    lately = _seen(request, FailureRecord, _lately)
    return context | {
        "title": "What is wrong now",
        "is_well": not wrong,
        "in_short": _in_short(request, wrong),
        "sections": [*wrong, lately] if lately else wrong,
    }


def _seen(request: HttpRequest, model: type[Model], section: Callable[[], Section | None]) -> Section | None:
    return section() if admin.site._registry[model].has_view_permission(request) else None


def _in_short(request: HttpRequest, wrong: Sequence[Section]) -> str:
    if wrong:
        return "Not all is well: see " + ", ".join(section.title.lower() for section in wrong) + "."
    if not admin.site._registry[Container].has_view_permission(request):
        return "Nothing is wrong with what you may see."
    states = Container.objects.filter(monitored=True).values_list("health__lifecycle")
    found = states.annotate(number=Count("pk")).order_by("-number", "health__lifecycle")
    counts = [f"{number} {shown(state)}" for state, number in found]
    return f"Nothing is wrong. Supervised containers: {', '.join(counts) or 'none yet'}."


def _parts() -> Section | None:
    silent = [one for one in by_signs() if not one.ok]
    rows = [
        (
            one.name,
            f"{one.age:.0f} s ago" if one.age is not None else "never",
            f"{one.message.rstrip('.')}. {one.what_to_do}",
        )
        for one in silent
    ]
    return _section("Selfheal itself", ("part", "last sign", "what to do"), rows, _page_of(SystemState, 1))


def _switches() -> Section | None:
    state = SystemState.objects.filter(pk=1).first()
    if state is None:
        return None
    rows: list[tuple[object, ...]] = []
    if state.paused_until is not None and state.paused_until > db_now():
        rows.append(("paused", localize(state.paused_until), state.paused_reason))
    if state.dry_run:
        rows.append(("a dry run", shown(None), "failures are recorded, nothing is touched"))
    if state.breaker_since is not None:
        rows.append(("failing at once", shown(None), _breaker(state)))
    return _section("Switches", ("everything is", "until", "reason"), rows, _page_of(SystemState, 1))


def _hosts() -> Section | None:
    broken = Q(state=HostState.DOWN) | Q(breaker_since__isnull=False)
    hosts = Host.objects.filter(broken, enabled=True).order_by("name")
    rows = [
        (
            link(_page_of(Host, host.pk), host.name),
            "does not answer" if host.state == HostState.DOWN else _breaker(host),
            ago(host.state_since if host.state == HostState.DOWN else host.breaker_since),
            truncatechars(host.error, _LONGEST) if host.state == HostState.DOWN else "",
        )
        for host in hosts[:SHOWN]
    ]
    return _section("Hosts", ("host", "what", "since", "error"), rows, _list_of(Host), hosts)


def _breaker(row: Host | SystemState) -> str:
    return f"the breaker is open (mode: {shown(row.breaker_mode)})"


def _failures() -> Section | None:
    opened = FailureRecord.objects.filter(is_found=True, resolved_at__isnull=True)
    rows = [
        (
            link(_page_of(FailureRecord, record.pk), f"#{record.pk}"),
            link(_page_of(Container, record.container_id), record.container_name),
            record.host_name,
            ago(record.detected_at),
            truncatechars(record.cause or record.error_message, _LONGEST),
            truncatechars(record.reason, _LONGEST),
        )
        for record in opened.order_by("priority", "detected_at", "pk")[:SHOWN]
    ]
    header = ("failure", "container", "host", "found", "cause", "reason")
    url = f"{_list_of(FailureRecord)}?resolved_at__isempty=1&is_found__exact=1"
    return _section("Open failures", header, rows, url, opened)


def _quarantined() -> Section | None:
    found = HealthStatus.objects.filter(
        quarantined_at__isnull=False, container__monitored=True, container__host__enabled=True
    )
    rows = [
        (
            link(_page_of(Container, status.container_id), status.container.name),
            status.container.host.name,
            ago(status.quarantined_at),
            localize(status.quarantine_until) if status.quarantine_until else "released by hand",
            truncatechars(status.message, _LONGEST),
        )
        for status in found.select_related("container__host").order_by("quarantined_at", "pk")[:SHOWN]
    ]
    url = f"{_list_of(HealthStatus)}?quarantined_at__isempty=0"
    header = ("container", "host", "since", "until", "last check")
    return _section("Quarantined", header, rows, url, found)


def _lately() -> Section | None:
    closed = FailureRecord.objects.filter(is_found=True, resolved_at__isnull=False)
    rows = [
        (
            link(_page_of(FailureRecord, record.pk), f"#{record.pk}"),
            link(_page_of(Container, record.container_id), record.container_name),
            record.host_name,
            badge(record.action_result, RESULT_COLOURS),
            ago(record.resolved_at),
            truncatechars(record.reason, _LONGEST),
        )
        for record in closed[:LATELY]
    ]
    header = ("failure", "container", "host", "result", "ended", "reason")
    return _section("Ended last", header, rows, _list_of(FailureRecord))


def _section(
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[object]],
    url: str,
    whole: QuerySet[Any] | None = None,
) -> Section | None:
    """None without rows; counts what the rows are cut from where they may have been."""
    if not rows:
        return None
    more = whole.count() - len(rows) if whole is not None and len(rows) == SHOWN else 0
    return Section(title, table(header, rows), url, more)


def _page_of(model: type[Model], pk: object) -> str:
    meta = model._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=(pk,))


def _list_of(model: type[Model]) -> str:
    meta = model._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")


_WRONG: tuple[tuple[type[Model], Callable[[], Section | None]], ...] = (
    (SystemState, _parts),
    (SystemState, _switches),
    (Host, _hosts),
    (FailureRecord, _failures),
    (HealthStatus, _quarantined),
)
