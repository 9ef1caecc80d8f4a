"""The docker engine's pure parts: output frames, queries, versions, sentences."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from healing.core.errors import EngineRefused
from healing.engines.address import parse_address
from healing.engines.docker import _agree
from healing.engines.docker_errors import transport_error
from healing.engines.docker_events import FILTERS, events_query
from healing.engines.docker_logs import Demultiplexer, last_lines

NOW = datetime(2030, 1, 1, tzinfo=UTC)
EARLIER = datetime(2029, 12, 31, 23, 59, 59, 250_000, tzinfo=UTC)


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


@given(st.lists(st.binary(max_size=20), max_size=6), st.lists(st.integers(1, 30), max_size=20))
def test_frames_however_they_are_cut(payloads: list[bytes], cuts: list[int]) -> None:
    """Where one read ends and the next begins changes nothing."""
    data = b"".join(frame(1 + number % 2, payload) for number, payload in enumerate(payloads))
    demultiplexer, seen = Demultiplexer(), b""
    for cut in [*cuts, len(data)]:
        part, data = data[:cut], data[cut:]
        seen += b"".join(demultiplexer.feed(part))
    assert seen + demultiplexer.rest() == b"".join(payloads)


def test_a_terminals_output_has_no_frames() -> None:
    """Containers with a TTY write plain bytes."""
    assert last_lines(b"one\r\ntwo\r\n", 5) == ["one", "two"]
    assert last_lines(b"ok", 5) == ["ok"]


def test_lines_are_the_last_ones_and_cut() -> None:
    """At most as many as asked for, each at most 1,000 characters, odd bytes made visible."""
    body = frame(1, b"one\ntwo\n") + frame(2, b"x" * 2000 + b"\n\xff\n")
    assert last_lines(body, 2) == ["x" * 1000, "�"]
    assert last_lines(body, 0) == []


def test_the_stream_is_asked_for_no_exec_events() -> None:
    """Every HEALTHCHECK run makes three of them."""
    filters = json.loads(FILTERS)
    assert filters["type"] == ["container"]
    assert "health_status" in filters["event"]
    assert not [name for name in filters["event"] if name.startswith("exec")]


def test_since_is_never_in_the_engines_future_and_until_is_never_asked() -> None:
    """A `since` beyond the engine's clock is its present; an `until` would end the stream."""
    assert events_query(EARLIER, NOW)["since"] == "1893455999.250000000"
    assert events_query(NOW, EARLIER)["since"] == "1893455999.250000000"
    assert events_query(None, EARLIER)["since"] == "1893455999.250000000"
    assert "since" not in events_query(None, None)
    assert "until" not in events_query(EARLIER, NOW)


def test_the_api_version_is_one_that_both_speak() -> None:
    """Old engines set theirs, new ones may no longer speak ours."""
    assert _agree("1.41", "1.12") == "1.41"
    assert _agree("1.99", "1.44") == "1.51"
    assert _agree("1.99", "1.60") == "1.60"
    assert _agree("1.41", "") == "1.41"


def test_a_socket_without_permission_says_what_to_do() -> None:
    """The commonest mistake on a first day, with the way out."""
    address = parse_address("unix:///nowhere/docker.sock")
    error = transport_error(address, PermissionError(13, "Permission denied"), 5)
    assert isinstance(error, EngineRefused)
    assert "add it to the group 'docker'" in str(error)
