"""Channels: ways to reach people. Built in: log, webhook, fake; others are entry points of `selfheal.channels`."""

from __future__ import annotations

from notifications.channels.registry import build, kinds

__all__ = ["build", "kinds"]
