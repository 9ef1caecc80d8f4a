"""The fake channel: keeps messages in memory, for tests and for trying out. Each process has its own list."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from notifications.core.alert import Message
from notifications.core.config import read_choice, refuse_unknown
from notifications.core.errors import PermanentError, TemporaryError
from notifications.core.fields import Field

_lock = threading.Lock()
_sent: list[Message] = []
_LIMIT = 10_000


def sent() -> list[Message]:
    """What was sent so far, oldest first."""
    with _lock:
        return list(_sent)


def clear() -> None:
    """Forget everything."""
    with _lock:
        _sent.clear()


@dataclass(frozen=True, slots=True)
class FakeChannel:
    """`fail`: empty, `temporary` or `permanent`: how every send ends."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(
            "fail",
            "Fails",
            "How every send ends.",
            "choice",
            choices=(("", "no"), ("temporary", "for now"), ("permanent", "for good")),
        ),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = frozenset()

    fail: str = ""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        refuse_unknown(config, ("fail",))
        return cls(read_choice(config, "fail", ("", "temporary", "permanent")))

    def send(self, message: Message) -> str:
        if self.fail == "temporary":
            raise TemporaryError("fails for now, as configured")
        if self.fail == "permanent":
            raise PermanentError("fails for good, as configured")
        with _lock:
            _sent.append(message)
            del _sent[:-_LIMIT]
        return "kept"
