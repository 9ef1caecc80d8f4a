"""The names that a container and its successor have while it is recreated. Pure."""

from __future__ import annotations

NEW = ".selfheal-new"
"""The successor is made under the container's name and this, until it takes the name itself."""
OLD = ".selfheal-old"
"""The container is set aside under its name and this, until the successor has started."""


def lasting_name(name: str) -> str:
    """A container's name without what it has while it, or its predecessor, is recreated."""
    return name.removesuffix(NEW).removesuffix(OLD)


def is_successor(name: str) -> bool:
    """Whether this is a successor that has not taken its name yet."""
    return name.endswith(NEW)
