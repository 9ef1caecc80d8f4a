"""The two words a plug-in has for failure, and the ones the pipeline tells apart.

A plug-in never retries: it raises, and the pipeline decides what a failure means.
"""

from __future__ import annotations


class PluginError(Exception):
    """Base of everything a plug-in may raise on purpose; its text is shown to people."""


class PermanentError(PluginError):
    """Trying again unchanged cannot help: bad address, missing object, refused request."""


class TemporaryError(PluginError):
    """Trying again later may help: unreachable, overloaded, timed out."""


class EngineUnreachable(TemporaryError):
    """The engine did not answer, so nothing is known about its containers."""


class EngineRefused(PermanentError):
    """The engine cannot be talked to as configured: TLS mismatch, no permission, bad address."""


class ContainerNotFound(PermanentError):
    """The engine has no container with this id (HTTP 404)."""


class EngineConflict(PermanentError):
    """The engine says that the container's state forbids the action (HTTP 409)."""


class ActionFailed(TemporaryError):
    """The engine answered, and its answer is that the action failed (HTTP 400 or 500)."""


class ActionTimedOut(TemporaryError):
    """No answer in time: the action may still succeed. Verify; never repeat."""


class ConfigError(ValueError):
    """A configuration value that cannot be used: `field` names it, the text says what to write."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
