"""The names of queues: the common ones, and those of hosts that have workers near them."""

from __future__ import annotations

import re

HEAL, CHECKS = "heal", "checks"
NAME = r"^[a-z0-9-]+\Z"
LONGEST_NAME = 40
WRONG_NAME = "The name of a queue is made of small letters, digits and hyphens, such as rack-7."

_NAME = re.compile(NAME)


def is_name(text: str) -> bool:
    """Whether a host's queue may be called so."""
    return len(text) <= LONGEST_NAME and _NAME.match(text) is not None


def near(common: str, name: str) -> str:
    """The queue in which the work of a host waits: `checks.rack-7`, or the common one where the host names none."""
    return f"{common}.{name}" if name else common


def name_of(queue: str) -> str:
    """The host queue's name that a queue was made of; empty for a common one."""
    return queue.partition(".")[2]


def common_of(queue: str) -> str:
    """`checks` of `checks.rack-7`."""
    return queue.partition(".")[0]
