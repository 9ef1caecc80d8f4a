"""The read-only parts of a container's page."""

from __future__ import annotations

from django.urls import reverse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString

from healing.admin.base import HEALTH_COLOURS, LIFECYCLE_COLOURS, RESULT_COLOURS
from healing.admin.html import badge, items, link, table
from healing.api.queries import config_values, maintenance_of, pause_of
from healing.core.wording import duration, shown
from healing.effective import config_book, effective_config
from healing.models import Container, FailureRecord, HealthStatus

_FAILURES_SHOWN = 10


def status_table(container: Container, status: HealthStatus) -> SafeString:
    """How the container is now, in the words of the last check."""
    rows: list[tuple[str, object]] = [
        ("Health", badge(status.status, HEALTH_COLOURS)),
        ("State", badge(status.lifecycle, LIFECYCLE_COLOURS)),
        ("Message", status.message or "–"),
        ("Last check", localize(status.last_checked_at) if status.last_checked_at else "not yet"),
        ("Failures in a row", status.consecutive_failures),
        ("Restarts by Selfheal", status.total_restarts),
        ("Last restart", localize(status.last_restart_time) if status.last_restart_time else "never"),
    ]
    if status.quarantined_at:
        until = (
            f"{localize(status.quarantine_until)}, then one silent trial"
            if status.quarantine_until
            else "released by hand"
        )
        rows.append(("Quarantine", f"since {localize(status.quarantined_at)}, until {until}"))
    pause = pause_of(container, timezone.now())
    if pause is not None:
        rows.append(("Paused", f"until {localize(pause['until'])}: {pause['reason']}"))
    held = maintenance_of(container, timezone.now())
    if held is not None:
        rows.append(("Held", f"{held['reason']}; checked, neither healed nor told"))
    if scope := config_book().dry_run_by(container):
        rows.append(("Dry run", f"of {scope}: failures are recorded, nothing is touched"))
    return table(("", ""), rows)


def warnings_list(container: Container, status: HealthStatus) -> SafeString:
    """What is wrong with what was written: bad labels, values limited by a ceiling."""
    return items(dict.fromkeys([*status.warnings, *effective_config(container).warnings]))


def origins_table(container: Container) -> SafeString:
    """The effective config: field, value, and where the value comes from."""
    effective = effective_config(container)
    rows = [(name, shown(value), effective.origins[name]) for name, value in config_values(effective).items()]
    return table(("field", "value", "from"), rows)


def failures_table(container: Container) -> SafeString:
    """The newest failures, each with its reason and a link to everything about it."""
    records = list(container.failures.filter(is_found=True)[:_FAILURES_SHOWN])
    if not records:
        return format_html("{}", "No failure on record.")
    return table(
        ("failure", "detected", "cause", "done", "result", "took", "reason"), map(_failure_row, records)
    )


def _failure_row(record: FailureRecord) -> tuple[object, ...]:
    url = reverse("admin:healing_failurerecord_change", args=(record.pk,))
    ended = record.resolved_at
    return (
        link(url, f"#{record.pk} {shown(record.failure_type)}"),
        localize(record.detected_at),
        record.cause or record.error_message,
        record.action,
        badge(record.action_result, RESULT_COLOURS),
        duration((ended - record.detected_at).total_seconds()) if ended else "open",
        record.reason,
    )
