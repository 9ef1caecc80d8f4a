"""Deleting containers and hosts: rows of our own bookkeeping go along, a history stands in the way."""

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
