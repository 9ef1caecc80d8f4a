"""Containers that share the network of another (`network_mode: container:ID`), and whether that one is still there."""

from __future__ import annotations

from contextlib import suppress

from healing.core.errors import ContainerNotFound
from healing.core.evidence import NetworkParent
from healing.core.ports import Engine
from healing.core.types import SHARED_NETWORK, Snapshot
from healing.effective import ConfigBook
from healing.models import Container


def lost_parent(
    engine: Engine, snapshot: Snapshot, container: Container, book: ConfigBook
) -> NetworkParent | None:
    """The parent that the engine no longer has under the id that the container names, with what has replaced it.

    None where the container shares nobody's network, or its parent is there. The new parent is the container that has
    the name of the registered one. Raise what the engine raises.
    """
    shared = snapshot.network_mode.removeprefix(SHARED_NETWORK)
    if shared == snapshot.network_mode:
        return None
    there = _inspect(engine, shared)
    name = _registered_name(container, book)
    named = _inspect(engine, name) if name else None
    now = named if named is not None and named.name == name else None
    if there is not None and (now is None or now.id == there.id):
        return None
    return NetworkParent(shared, name, now.id if now is not None else "")


def _inspect(engine: Engine, container_id: str) -> Snapshot | None:
    with suppress(ContainerNotFound):
        return engine.inspect(container_id)
    return None


def _registered_name(container: Container, book: ConfigBook) -> str:
    edges = book.dependencies.needs(container.pk)
    parent = next((edge.dependency for edge in edges if edge.origin.shares_network), None)
    if parent is None:
        return ""
    return Container.objects.filter(pk=parent).values_list("name", flat=True).first() or ""
