"""What one look at a container says, before anything is counted."""

from __future__ import annotations

from dataclasses import dataclass

from healing.core.types import FailureType, Lifecycle

NO_VERDICT, PASSED, FAILED, UNKNOWN, PARTIAL = "none", "passed", "failed", "unknown", "partial"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look says, before counting. `at_once`: the engine has counted already."""

    verdict: str
    lifecycle: Lifecycle
    message: str
    failure_type: FailureType | None = None
    at_once: bool = False
    left_alone: bool = False
    look_again_in: float | None = None
