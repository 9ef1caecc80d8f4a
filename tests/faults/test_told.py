"""How I5's judge tells what the receiver lacks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.sink import Received
from tests.faults.told import lacking

pytestmark = pytest.mark.quick_fault


def outbox(name: str, written_at: float, state: str = "sent", receiver: str | None = None) -> dict[str, Any]:
    """A row about one queue; `receiver` is the state of what was told it directly."""
    row = {"id": name, "alert_key": "self:queue:heal", "host": "", "written_at": written_at}
    return row | {"state": state, "receiver": receiver}


@pytest.mark.parametrize(
    ("begin", "end_received", "wrong"),
    [
        (outbox("begin", 1.0, receiver="merged"), True, []),
        (outbox("begin", 1.0, receiver="merged"), False, ["begin", "end"]),
        (outbox("begin", 1.0, state="merged"), True, []),
        (outbox("begin", 1.0, receiver="sent"), True, ["begin"]),
        (outbox("begin", 1.0), True, ["begin"]),
        (outbox("begin", 3.0, receiver="merged"), True, ["begin"]),
    ],
)
def test_a_begin_that_its_end_overtook_at_the_receiver(
    begin: dict[str, Any], end_received: bool, wrong: list[str]
) -> None:
    """A begin that the log has, and whose end came before the receiver's next try, is not missed; any other is."""
    received = [Received(5.0, "end", {"alert_key": "self:queue:heal"})] if end_received else []
    found = lacking([begin, outbox("end", 2.0, receiver="sent")], received, begun=0.0)
    assert [row["id"] for row in found] == wrong
