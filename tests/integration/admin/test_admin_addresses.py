"""Addresses of the admin that name nothing that is there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.test import Client

pytestmark = pytest.mark.django_db

NOTHING = ("abc", "9" * 30)


def addresses() -> Iterator[str]:
    """Each page and action of one object, of every model of ours, with `{}` for the object."""
    for model, pages in admin.site._registry.items():
        meta = model._meta
        if meta.app_label not in ("healing", "notifications"):
            continue
        for pattern in pages.urls:
            route = str(pattern.pattern)
            if "<path:object_id>" in route:
                yield f"/admin/{meta.app_label}/{meta.model_name}/{route.replace('<path:object_id>', '{}')}"


def test_there_are_such_addresses() -> None:
    """Protects the test below from testing nothing."""
    found = set(addresses())
    assert any("heal_this" in address for address in found)
    assert any("acknowledge_this" in address for address in found)


@pytest.mark.parametrize("thing", NOTHING)
def test_what_is_not_there_is_no_error_of_ours(admin_client: Client, thing: str) -> None:
    """Protects people with an old bookmark, and the log from whoever tries addresses: no page answers 500, read or posted to."""
    for address in sorted(set(addresses())):
        path = address.format(thing)
        for answer in (admin_client.get(path), admin_client.post(path)):
            assert answer.status_code < 500, path
