"""What an engine answers when it does not do what it was asked."""

from __future__ import annotations


class Refusal(Exception):
    """An HTTP status with the engine's sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class NotModified(Exception):
    """304: it is already as it was asked to be."""


def no_such_container(name: str) -> Refusal:
    return Refusal(404, f"No such container: {name}")


def not_running(container_id: str) -> Refusal:
    return Refusal(409, f"Container {container_id} is not running")
