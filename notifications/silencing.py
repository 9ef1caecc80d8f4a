"""Silences: made from alerts, ended early, and what one would mute."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from notifications.core.errors import ConfigError
from notifications.core.matchers import VALUE_LIMIT, Matcher, all_match, is_selective, parse_matchers
from notifications.models import ActiveAlert, Silence

IDENTIFYING = ("alertname", "host", "project", "service", "container")
"""Labels that say which thing an alert is about."""
PLACES = ("host", "project", "service", "container")
HOUR = timedelta(hours=1)
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")
"""What is not itself in a regular expression."""


def silence_alert(
    alert: ActiveAlert, by: str, comment: str, now: datetime, for_: timedelta = HOUR
) -> Silence:
    """Mute from now on what has the alert's identifying labels. Raise ConfigError where it has none."""
    return silence_alerts([alert], by, comment, now, for_)


def silence_alerts(
    alerts: Sequence[ActiveAlert], by: str, comment: str, now: datetime, for_: timedelta = HOUR
) -> Silence:
    """Mute from now on what these have in common (`matchers_of`), by one silence."""
    silence = Silence(
        matchers=matchers_of(alerts),
        starts_at=now,
        ends_at=now + for_,
        created_by=by[:150],
        comment=comment[:500],
    )
    silence.clean()
    silence.save()
    return silence


def matchers_of(alerts: Sequence[ActiveAlert]) -> str:
    """Matchers, one a line, that match all of these alerts and as few others as can be said.

    A label that is the same for all must be the same; of one that differs, each of its values is taken, or any where
    that would be too long. Raise ConfigError where nothing would be left that says where.
    """
    found = [matcher for name in IDENTIFYING if (matcher := _matcher(name, alerts)) is not None]
    is_left_out = len(found) < len(
        {name for alert in alerts for name in IDENTIFYING if alert.labels.get(name)}
    )
    says_where = is_selective(each for each in found if each.name in PLACES)
    if not is_selective(found) or (is_left_out and not says_where):
        raise ConfigError(
            "matchers",
            "these alerts have too little in common for one silence; write its matchers in the admin, under Silences",
        )
    return "\n".join(map(str, found))


def _matcher(name: str, alerts: Sequence[ActiveAlert]) -> Matcher | None:
    values = sorted({str(alert.labels.get(name, "")) for alert in alerts})
    if values == [""] or not values:
        return None
    if len(values) == 1:
        return Matcher(name, "=", values[0])
    either = "|".join(_META.sub(r"\\\g<0>", value) for value in values)
    return Matcher(name, "=~", either) if len(either) <= VALUE_LIMIT else None


def end(silence: Silence, now: datetime) -> bool:
    """End a silence that holds or has yet to begin; False where it was over. It stays on record."""
    rows = Silence.objects.filter(pk=silence.pk, ends_at__gt=now)
    silence.starts_at, silence.ends_at = min(silence.starts_at, now), min(silence.ends_at, now)
    return rows.update(starts_at=silence.starts_at, ends_at=silence.ends_at) == 1


def preview(matchers_text: str, now: datetime) -> list[ActiveAlert]:
    """The alerts that a silence with these matchers would mute now, the newest first.

    Raise ConfigError for matchers that cannot be read, and for such as would mute everything.
    """
    matchers = parse_matchers(matchers_text)
    if not is_selective(matchers):
        raise ConfigError(
            "matchers", "this would mute everything; give a matcher that does not match an empty value"
        )
    rows = ActiveAlert.objects.filter(ends_at=None, starts_at__lte=now).select_related("notification")
    waiting = rows.exclude(is_event=True, memberships=None).order_by("-starts_at", "-pk")
    return [alert for alert in waiting.distinct() if all_match(matchers, alert.labels)]


__all__ = ["end", "matchers_of", "preview", "silence_alert", "silence_alerts"]
