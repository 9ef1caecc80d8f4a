"""What the own channels over HTTP have in common: how they take the answers of a receiver."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from notifications.channels.registry import class_of
from notifications.core.alert import Message, Told
from notifications.core.errors import PermanentError, TemporaryError
from tests.contract.channels.receiver import DRIP, NEVER, Receiver
from tests.contract.channels.samples import HTTP_KINDS, MESSAGE, config_of


def channel_of(kind: str, receiver: Receiver, timeout: float = 10.0) -> Any:
    made: Any = class_of(kind).from_config(config_of(kind, receiver))
    receiver.body = b"said so"
    return replace(made, timeout=timeout)


@pytest.mark.parametrize("kind", HTTP_KINDS)
@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 403, 404, 410])
def test_answer_that_stays_is_permanent(kind: str, status: int, receiver: Receiver) -> None:
    """Protects receivers from useless repeats, and us from being sent elsewhere by a redirect."""
    channel = channel_of(kind, receiver)
    receiver.status, receiver.headers = status, {"Location": receiver.url + "/elsewhere"}
    with pytest.raises(PermanentError, match=str(status)):
        channel.send(MESSAGE)
    assert len(receiver.received) == 1


@pytest.mark.parametrize("kind", HTTP_KINDS)
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_answer_that_passes_is_temporary(kind: str, status: int, receiver: Receiver) -> None:
    """Protects alerts while a receiver is overloaded; when it says how long, that is obeyed."""
    channel = channel_of(kind, receiver)
    receiver.status = status
    with pytest.raises(TemporaryError, match=str(status)) as fault:
        channel.send(MESSAGE)
    assert fault.value.retry_after is None
    receiver.headers = {"Retry-After": "17"}
    with pytest.raises(TemporaryError) as fault:
        channel.send(MESSAGE)
    assert fault.value.retry_after == 17


@pytest.mark.parametrize("kind", HTTP_KINDS)
@pytest.mark.parametrize("behaviour", [NEVER, DRIP])
def test_timeout_holds(kind: str, behaviour: int, receiver: Receiver) -> None:
    """Protects the worker from a receiver that says nothing, or never finishes."""
    channel = channel_of(kind, receiver, timeout=0.2)
    receiver.status = behaviour
    started = time.monotonic()
    with pytest.raises(TemporaryError, match=r"did not answer within 0\.2 s"):
        channel.send(MESSAGE)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("kind", ["webhook", "alertmanager"])
def test_slow_answer_is_an_answer(kind: str, receiver: Receiver) -> None:
    """Protects from a repeat to a receiver that takes its time."""
    channel = channel_of(kind, receiver)
    receiver.pause = 0.1
    assert "said so" in channel.send(MESSAGE)


@pytest.mark.parametrize("kind", HTTP_KINDS)
def test_group_is_one_request(kind: str, receiver: Receiver) -> None:
    """Protects receivers from a storm: what is grouped comes as one."""
    channel = channel_of(kind, receiver)
    receiver.body = b'{"Code": "OK"}'
    channel.send(group(20))
    assert len(receiver.received) == 1


def group(size: int) -> Message:
    told = tuple(
        Told(f"id-{number}", MESSAGE.created_at, replace(MESSAGE.alert, container=f"web-{number}"))
        for number in range(size)
    )
    return replace(MESSAGE, alerts=told)
