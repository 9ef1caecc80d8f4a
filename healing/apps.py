"""The healing app."""

from __future__ import annotations

from django.apps import AppConfig


class HealingConfigApp(AppConfig):
    name = "healing"
    verbose_name = "Self-healing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from healing import approving, engine_places, signals
        from notifications import approvals
        from notifications.channels import stores

        signals.connect()
        approvals.register(approving.BREAKER, approving.decide)
        stores.register(engine_places.places)
