"""Channels: ways to reach people. What is built in stands in the registry; others are entry points of `selfheal.channels`."""

from __future__ import annotations

from notifications.channels.guard import Policy, own_stores
from notifications.channels.registry import build, fields_of, kinds, secret_fields_of

__all__ = ["Policy", "build", "fields_of", "kinds", "own_stores", "secret_fields_of"]
