"""I5, judged by the receiver: who was restarted is spoken of, each alert comes, and repeats carry its id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from tests.faults.sink import Received
from tests.faults.world import World
from tests.testbed.wait import NotInTimeError, until

ENDS_WITHIN = 120.0
"""Seconds from the fault's end until every failure has ended, and every alert is received."""


def alerts_come(world: World) -> str:
    """Who was restarted is spoken of; what is in the outbox is received; what is told again of a failure has the first id."""
    try:
        until(lambda: not _untold(world), ENDS_WITHIN, "every alert is received", interval=0.5)
    except NotInTimeError:
        return f"never received: {_untold(world)}"
    if silent := _restarted_silently(world):
        return f"restarted without a word: {silent}"
    ids: dict[tuple[object, ...], set[str]] = defaultdict(set)
    for message in world.sink.since(world.begun):
        fields = message.fields
        if fields.get("failure_id"):
            ids[fields["failure_id"], message.kind, message.level, message.title].add(message.id)
    twice = {key: found for key, found in ids.items() if len(found) > 1}
    return f"told twice under different ids: {twice}" if twice else ""


def _restarted_silently(world: World) -> list[str]:
    """Whoever our own outbox knows of: an alert that was never written is missing here. A host's alert speaks for all of it,
    also where it was told before and had not ended.
    """
    told = world.sink.since(world.begun)
    lasting = {m.key: m for m in world.sink.received if m.at < world.begun}
    of_hosts = [*told, *(m for m in lasting.values() if m.kind != "resolved")]
    hosts = {m.fields.get("host") for m in of_hosts if m.key.startswith(("host:", "breaker:"))}
    restarted = [target for target in world.targets if target.calls(world.begun) and target.is_there()]
    named = {message.container for message in told}
    return [one.name for one in restarted if one.name not in named and one.host.name not in hosts]


def _untold(world: World) -> list[str]:
    """What is in the outbox and the receiver lacks. What was told directly has a state for each channel: the log may have
    what the receiver refused.
    """
    rows = world.stack.rows(
        "SELECT n.id, n.title, n.alert_key, n.host, n.state, n.reason, n.written_at, d.state AS receiver, d.answer, d.error"
        " FROM notifications_notification n LEFT JOIN notifications_delivery d"
        " ON d.notification_id = n.id AND d.message_id IS NULL AND d.channel_name = 'sink'"
        " WHERE n.state <> 'skipped' AND extract(epoch FROM n.written_at) >= ?",
        world.begun,
    )
    return [_shown(row) for row in lacking(rows, world.sink.received, world.begun)]


def lacking(
    rows: Sequence[dict[str, Any]], received: Sequence[Received], begun: float
) -> list[dict[str, Any]]:
    """An alert is told by itself, or by a newer one about the same thing where that came before its turn, or by the word that it
    flaps, after which its begins and ends are not told one by one, or that its host does not answer, which mutes it.
    """
    ids = {message.id for message in received}
    newest = {row["alert_key"]: row["written_at"] for row in sorted(rows, key=_age) if str(row["id"]) in ids}
    told = [message for message in received if message.at >= begun]
    flap = {message.key for message in told if message.flaps}
    down = {message.fields["host"] for message in told if message.key.startswith("host:")}
    missing = [row for row in rows if str(row["id"]) not in ids and row["alert_key"] not in flap]
    missing = [row for row in missing if row["state"] != "muted" or row["host"] not in down]
    return [row for row in missing if not _is_overtaken(row) or not _is_newer(newest, row)]


def _is_overtaken(row: dict[str, Any]) -> bool:
    return "merged" in (row["state"], row["receiver"])


def _shown(row: dict[str, Any]) -> str:
    return (
        f"{row['title']} ({row['alert_key']} {row['state']}: {row['reason']}; written {row['written_at']};"
        f" receiver {row['receiver']}: {row['answer']} {row['error']})"
    )


def _age(row: dict[str, Any]) -> Any:
    return row["written_at"]


def _is_newer(newest: dict[str, Any], row: dict[str, Any]) -> bool:
    return row["alert_key"] in newest and newest[row["alert_key"]] >= row["written_at"]
