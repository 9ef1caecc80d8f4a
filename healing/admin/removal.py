"""Containers and hosts have bookkeeping of our own: deleted, it goes along; saved, it stays as it is."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from healing.admin.base import HealingAdmin
from healing.models import CheckShard, HealthStatus

_BOOKKEEPING = (HealthStatus, CheckShard)


class BookkeepingGoesAlong(HealingAdmin):
    """Health status and check shards cannot be deleted by themselves, and must not keep what they belong to.

    Failure records and attempts do: what has a history is switched off, not deleted.
    """

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """What watchers, checks and heals have written since the form was read stays as it is."""
        if not change:
            super().save_model(request, obj, form, change)
            return
        obj.save(update_fields=[each.name for each in obj._meta.concrete_fields if each.name in form.fields])

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        deleted, counts, needed, protected = super().get_deleted_objects(objs, request)
        return (
            deleted,
            counts,
            set(needed) - {str(model._meta.verbose_name) for model in _BOOKKEEPING},
            protected,
        )
