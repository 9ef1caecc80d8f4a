"""Selfheal from Python: `container_health`, `failure_history`, `healing_stats`. Needs Django to be set up."""

from healing.api.lookup import LookupFailed
from healing.api.queries import container_health, failure_history, healing_stats

__all__ = ["LookupFailed", "container_health", "failure_history", "healing_stats"]
