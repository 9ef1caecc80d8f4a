"""The selection of GET /containers/json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from benchmarks.fleet.container import Container
from benchmarks.fleet.errors import Refusal
from benchmarks.fleet.events import has_label

KNOWN = ("id", "name", "label", "status", "health")


def chosen(containers: Iterable[Container], query: Mapping[str, str]) -> list[Container]:
    """Running ones, or with `all` or a status filter all of them, through `filters`. Raise Refusal."""
    filters = _filters(query.get("filters", ""))
    everything = query.get("all", "0").lower() in ("1", "true") or "status" in filters
    return [
        container
        for container in containers
        if (everything or container.is_up) and all(_fits(container, key, filters[key]) for key in filters)
    ]


def _filters(text: str) -> dict[str, list[str]]:
    try:
        body = json.loads(text or "{}")
        filters = {str(key): [str(value) for value in values] for key, values in body.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise Refusal(400, f"invalid filter: {text[:80]}") from error
    for key in filters:
        if key not in KNOWN:
            raise Refusal(400, f"Invalid filter '{key}' (the simulator knows {', '.join(KNOWN)})")
    for pattern in filters.get("name", ()):
        _require_pattern(pattern)
    return filters


def _fits(container: Container, key: str, values: list[str]) -> bool:
    if key == "label":
        return all(has_label(container.labels, value) for value in values)
    if key == "id":
        return any(container.id.startswith(value) for value in values)
    if key == "name":
        return any(
            re.search(value, f"/{container.name}") or re.search(value, container.name) for value in values
        )
    seen = container.status if key == "status" else container.health or "none"
    return seen in values


def _require_pattern(text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        raise Refusal(400, f"invalid filter: name={text}: {error}") from error
