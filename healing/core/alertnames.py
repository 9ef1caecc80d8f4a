"""What people are told of, by name: routes, silences and inhibition match these, as Alertmanager's `alertname`.

What ends a thing bears the name and the key under which its begin was told last.
"""

from __future__ import annotations

from enum import StrEnum


class AlertName(StrEnum):
    """Of containers first, then of hosts, then of Selfheal itself."""

    CONTAINER_FAILED = "container_failed"
    CRASH_LOOP = "crash_loop"
    RESTART_FAILED = "restart_failed"
    QUARANTINED = "quarantined"
    DRY_RUN = "dry_run"
    STOPPED_WHILE_AWAY = "stopped_while_away"
    CANNOT_LOOK = "cannot_look"
    HOST_DOWN = "host_down"
    BREAKER_OPEN = "breaker_open"
    APPROVAL_OVER = "approval_over"
    LEFT_QUARANTINED = "left_quarantined"
    NO_ENGINE_ANSWERS = "no_engine_answers"
    OWN_CONTAINER_FAILED = "own_container_failed"
    SELFHEAL_SILENT = "selfheal_silent"
    SELFHEAL_OVERLOADED = "selfheal_overloaded"
    QUEUE_UNSERVED = "queue_unserved"
    CLOCK_SKEWED = "clock_skewed"
    DEAD_LETTER = "dead_letter"
    HEALS_BREAK = "heals_break"
    CHECKS_BREAK = "checks_break"


CRASH_LOOP_CAUSE = "crash loop"


def of_cause(cause: str) -> AlertName:
    """The name of a failure that is told of for its own sake."""
    return AlertName.CRASH_LOOP if cause == CRASH_LOOP_CAUSE else AlertName.CONTAINER_FAILED
