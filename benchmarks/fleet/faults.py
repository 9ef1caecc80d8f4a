"""Faults of an endpoint, not of its containers: it hangs, fails, is slow."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(slots=True)
class Rule:
    """What happens to the next `times` requests (None: to all) whose "METHOD /path" the pattern finds a match in.

    Paths are without the version prefix and the query. `status` 0 delays only.
    """

    pattern: re.Pattern[str]
    times: int | None
    seconds: float = 0.0
    status: int = 0
    message: str = ""

    def takes(self, asked: str) -> bool:
        """Whether this request is one of its; it is then counted."""
        if self.times == 0 or not self.pattern.search(asked):
            return False
        if self.times is not None:
            self.times -= 1
        return True


class EndpointFaults:
    """Rules in the order in which they were given; a request meets the first failure, and every delay."""

    def __init__(self) -> None:
        self.hangs = False
        self._rules: list[Rule] = []

    def fail(self, pattern: str, times: int | None, status: int, message: str) -> None:
        """Raise re.error for a pattern that is none."""
        self._rules.append(Rule(re.compile(pattern), times, status=status, message=message))

    def delay(self, pattern: str, seconds: float, times: int | None) -> None:
        self._rules.append(Rule(re.compile(pattern), times, seconds=seconds))

    def clear(self) -> None:
        self._rules.clear()

    def meet(self, method: str, path: str) -> tuple[float, Rule | None]:
        """Seconds to wait before the answer, and the failure to answer with."""
        if not self._rules:
            return 0.0, None
        asked, seconds = f"{method} {path}", 0.0
        for rule in self._rules:
            if rule.status == 0 and rule.takes(asked):
                seconds += rule.seconds
        failure = next((rule for rule in self._rules if rule.status and rule.takes(asked)), None)
        self._rules = [rule for rule in self._rules if rule.times != 0]
        return seconds, failure
