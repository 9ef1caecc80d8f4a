"""What mutes an alert now: silences, inhibition, the route's times. Read once for a round of flushes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from notifications.core.intervals import Interval
from notifications.core.muting import Firing, Inhibitor, Muted, SilenceRule, outside, silenced
from notifications.core.routing import Way
from notifications.models import ActiveAlert
from notifications.routes import Tree, inhibit_rules, silence_rules


@dataclass(frozen=True, slots=True)
class Mutes:
    """All that can mute, as it is at `now`."""

    now: datetime
    silences: tuple[SilenceRule, ...]
    inhibitor: Inhibitor

    def of_alert(self, alert: ActiveAlert) -> Muted | None:
        """A silence, or what makes the alert a symptom."""
        return silenced(alert.labels, self.silences, self.now) or self.inhibitor.inhibited(
            alert.alert_key, alert.labels, tuple(alert.depends_on)
        )

    def of_way(self, tree: Tree, way: Way) -> Muted | None:
        """The times at which nothing goes this way."""
        mute: list[tuple[str, Sequence[Interval]]] = tree.named(way.mute_intervals)
        return outside(mute, tree.named(way.active_intervals), self.now)


def read(now: datetime) -> Mutes:
    """Three statements; what fires and can inhibit is read whole."""
    rows = ActiveAlert.objects.filter(ends_at=None, is_event=False)
    firing = rows.values_list("alert_key", "labels", "depends_on")
    sources = [Firing(key, labels, tuple(depends_on)) for key, labels, depends_on in firing]
    return Mutes(now, silence_rules(now), Inhibitor(inhibit_rules(), sources))
