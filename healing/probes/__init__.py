"""Probes: ways of asking a container whether it works. Built in: http, tcp, exec; others by the entry points below."""

from __future__ import annotations

from healing.probes.registry import build, kinds, parse
from healing.probes.run import run_probes

__all__ = ["build", "kinds", "parse", "run_probes"]
