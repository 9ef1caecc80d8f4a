"""The two words a channel has for failure. A channel never retries: it raises, and the dispatcher decides."""

from __future__ import annotations

import math


class ChannelError(Exception):
    """Base of everything a channel may raise on purpose; its text is shown to people and holds no secret."""


class PermanentError(ChannelError):
    """Sending again unchanged cannot help: refused, wrong address."""


class TemporaryError(ChannelError):
    """Sending again later may help. `retry_after`: seconds that the receiver asked us to wait, if it did."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        # What a service says may be no number of seconds at all.
        self.retry_after = retry_after if retry_after is not None and 0 <= retry_after < math.inf else None


class ConfigError(ValueError):
    """A configuration value that cannot be used: `field` names it, `reason` says what to write."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
