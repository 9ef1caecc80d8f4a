"""The labels of an alert: what matchers of routes, silences and inhibition rules see."""

from __future__ import annotations

from notifications.core.alert import Alert

BUILT_IN = ("alertname", "severity", "failure_type", "host", "project", "service", "container", "tenant")
"""Names that say what Selfheal knows; a container's own label of such a name is not seen."""


def labels_of(alert: Alert) -> dict[str, str]:
    """The built-in labels and the container's own, sorted by name. An empty one is left out: it is as absent."""
    labels = dict(alert.labels)
    for name in BUILT_IN:
        labels[name] = alert.level.value if name == "severity" else getattr(alert, name)
    return {name: labels[name] for name in sorted(labels) if labels[name]}
